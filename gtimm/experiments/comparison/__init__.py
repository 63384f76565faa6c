"""`gtimm.compare`: which strategy for my data?"""
