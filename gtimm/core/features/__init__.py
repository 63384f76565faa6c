"""Embeddings: computed once, kept on disk."""

from gtimm.core.features.store import ABOUT, FAN, FeatureStore, shard_files

__all__ = ["ABOUT", "FAN", "FeatureStore", "shard_files"]
