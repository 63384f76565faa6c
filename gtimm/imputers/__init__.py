"""Imputers: ways to fill a missing modality."""
