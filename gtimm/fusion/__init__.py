"""Fusions: how embeddings of several modalities become one prediction."""
