"""`gtimm sweep`: one quantity varied, what it buys and at what cost."""
