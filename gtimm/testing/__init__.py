"""The conformance kit for authors of plug-ins: plain functions, each named after the promise that it holds."""

from __future__ import annotations

from gtimm.testing.backbone import BACKBONE_CHECKS, check_backbone, check_fingerprint_follows_weights

__all__ = ["BACKBONE_CHECKS", "check_backbone", "check_fingerprint_follows_weights"]
