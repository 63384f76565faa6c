"""Engines: where batches of work run."""
