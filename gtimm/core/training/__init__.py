"""Training heads on frozen features, many runs as one problem. Names are imported when they are used: torch is heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtimm.core.options import TrainOptions
    from gtimm.core.training.trainer import Run, train

__all__ = ["Run", "TrainOptions", "train"]


if not TYPE_CHECKING:  # or every misspelt name would be one

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'gtimm.core.training' has no attribute {name!r}")
        from gtimm.core.training import trainer

        return getattr(trainer, name)
