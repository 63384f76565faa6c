"""Balancing: ways to keep one modality from outrunning the others in training."""
