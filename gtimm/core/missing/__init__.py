"""Simulated missingness: which rows lose which modality."""

from gtimm.core.missing.masks import Missing, refuse_holes

__all__ = ["Missing", "refuse_holes"]
