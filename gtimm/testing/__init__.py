"""The conformance kit for authors of plug-ins: plain functions, each named after the promise that it holds.

`check_imputer` and its like run all checks of one strategy and say which promises it breaks; `parametrize_with_checks` makes each a test
of pytest. The single checks are in `gtimm.testing.imputer` and so on, and take a strategy and what it is tried with.
"""

from __future__ import annotations

from gtimm.testing.backbone import BACKBONE_CHECKS, check_backbone, check_fingerprint_follows_weights
from gtimm.testing.balance import BALANCE_CHECKS, check_balance
from gtimm.testing.dataset import DATASET_CHECKS, check_dataset
from gtimm.testing.engine import ENGINE_CHECKS, check_engine
from gtimm.testing.fusion import FUSION_CHECKS, check_fusion
from gtimm.testing.generator import GENERATOR_CHECKS
from gtimm.testing.imputer import IMPUTER_CHECKS, check_imputer
from gtimm.testing.parametrize import parametrize_with_checks
from gtimm.testing.prompts import PROMPT_CHECKS, ROW_PROMPT_CHECKS, check_prompts
from gtimm.testing.samples import CLASSES, sample_data, sample_payloads

__all__ = [
    "BACKBONE_CHECKS",
    "BALANCE_CHECKS",
    "CLASSES",
    "DATASET_CHECKS",
    "ENGINE_CHECKS",
    "FUSION_CHECKS",
    "GENERATOR_CHECKS",
    "IMPUTER_CHECKS",
    "PROMPT_CHECKS",
    "ROW_PROMPT_CHECKS",
    "check_backbone",
    "check_balance",
    "check_dataset",
    "check_engine",
    "check_fingerprint_follows_weights",
    "check_fusion",
    "check_imputer",
    "check_prompts",
    "parametrize_with_checks",
    "sample_data",
    "sample_payloads",
]
