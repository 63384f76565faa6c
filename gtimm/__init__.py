"""gtimm: learn from multi-modal data with missing modalities, by filling the gaps from pools of candidates.

    from gtimm import Pipeline, Missing

Names are imported when they are first used, so that `import gtimm` stays light.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtimm.core.dataset import Column, MultimodalDataset, Splits, load_dataset
    from gtimm.core.errors import GtimmError
    from gtimm.core.impute import impute
    from gtimm.core.missing import Missing
    from gtimm.core.pipeline import Pipeline
    from gtimm.core.registry import register
    from gtimm.experiments.comparison.compare import compare
    from gtimm.experiments.methods import preset

_HOMES = {
    "Column": "gtimm.core.dataset",
    "GtimmError": "gtimm.core.errors",
    "Missing": "gtimm.core.missing",
    "MultimodalDataset": "gtimm.core.dataset",
    "Pipeline": "gtimm.core.pipeline",
    "Splits": "gtimm.core.dataset",
    "compare": "gtimm.experiments.comparison.compare",
    "impute": "gtimm.core.impute",
    "load_dataset": "gtimm.core.dataset",
    "preset": "gtimm.experiments.methods",
    "register": "gtimm.core.registry",
}

__all__ = [
    "Column",
    "GtimmError",
    "Missing",
    "MultimodalDataset",
    "Pipeline",
    "Splits",
    "compare",
    "impute",
    "load_dataset",
    "preset",
    "register",
]

try:
    __version__ = version("gtimm")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0"


if not TYPE_CHECKING:  # or every misspelt name would be one

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'gtimm' has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
