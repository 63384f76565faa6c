"""The quality gate: what a generated item must pass before it is kept. Off by default; a rejected item gets the next seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.bank import Plan
    from gtimm.core.media import Payload

Scores = dict[str, Any]


class Gate(BaseModel):
    """What generated items must pass. A bank with a gate is another bank than one without, or with another gate.

    Attributes:
        retries: seeds tried after the first; then the item counts as failed.
        flat: images whose grey values have a standard deviation (0..1) below this are rejected: black, blank, one colour.
        saturated: images of which more than this share of values is 0 or 255 throughout are rejected; `None` is no check, as
            drawings on plain ground are saturated.
        silence: sounds whose root mean square (0..1) is below this are rejected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retries: int = Field(default=3, ge=0)
    flat: float = Field(default=0.01, ge=0)
    saturated: float | None = Field(default=None, gt=0, le=1)
    silence: float = Field(default=1e-3, ge=0)

    def open(self, device: str, plan: Plan) -> Judge:
        """Return what judges the items of one plan."""
        return Judge(self, device, plan)


class Judge:
    """Judges items for one run."""

    def __init__(self, gate: Gate, device: str, plan: Plan) -> None:
        self._gate = gate

    def verdict(self, plan: Plan, index: int, item: Payload) -> tuple[str | None, Scores]:
        """Return why an item is rejected, or `None`, and its scores."""
        if plan.requests[index].kind == "image":
            from gtimm.core.media import load_image

            return self._image(np.asarray(load_image(item)))
        from gtimm.core.media import load_audio

        return self._sound(load_audio(item)[0])

    def _image(self, pixels: NDArray[np.uint8]) -> tuple[str | None, Scores]:
        grey = pixels.mean(2) / 255
        extreme = float(((pixels == 0) | (pixels == 255)).mean())
        scores = {"contrast": round(float(grey.std()), 5), "saturated": round(extreme, 5)}
        if grey.std() < self._gate.flat:
            return "flat: one colour", scores
        if self._gate.saturated is not None and extreme > self._gate.saturated:
            return "saturated", scores
        return None, scores

    def _sound(self, samples: NDArray[np.float32]) -> tuple[str | None, Scores]:
        level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        return ("silence" if level < self._gate.silence else None), {"level": round(level, 6)}
