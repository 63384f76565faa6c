"""Errors that are given another text stay what they are, whatever their class takes to be made."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import ToyBackbone, vectors

import gtimm.core.predicting
from gtimm import Missing, MultimodalDataset, Pipeline
from gtimm.core.errors import LostBatchError, MediaError, reworded
from gtimm.core.options import EmbedOptions
from gtimm.core.workspace import Workspace
from gtimm.engines.local import LocalEngine


class CodecError(MediaError):
    """Of a plug-in: made from a number, and worded by itself."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"codec {code}: {hint}")
        self.code = code


def test_a_reworded_error_keeps_its_class_its_facts_and_its_notes() -> None:
    error = CodecError(7, hint="update it")
    error.add_note("while at it")
    found = reworded(error, f"Row 3: {error}")
    found.add_note("later")
    assert (type(found), str(found), found.code) == (CodecError, "Row 3: codec 7: update it", 7)
    assert (error.__notes__, str(error)) == (["while at it"], "codec 7: update it")


def test_an_error_of_a_plugin_names_the_row(home: Path) -> None:
    class Coded(ToyBackbone):
        def prepare(self, kind: str, payload: Any) -> Any:
            if payload[0] == 5:
                raise CodecError(7, hint="update it")
            return super().prepare(kind, payload)

    data = MultimodalDataset.from_arrays({"vector": [np.array([i, 1, 2, 3], np.float32) for i in range(9)]})
    with pytest.raises(CodecError, match=r"^Row 5\b.*codec 7: update it"):
        Workspace(home, "cpu", EmbedOptions(workers=0)).column(data, "vector", Coded())


def test_a_batch_that_is_lost_in_prediction_names_the_rows_of_the_data(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []

    class Losing(LocalEngine):
        """Gives the second batch of the third run up: of the first modality of the second part."""

        def run(self, make_worker: Any, batches: Any, *where: Any) -> Generator[tuple[int, Any], None, None]:
            runs.append(len(batches))
            for index, result in super().run(make_worker, batches, *where):
                if (len(runs), index) == (3, 1):
                    raise LostBatchError("Batch was given up.", index)
                yield index, result

    monkeypatch.setattr(gtimm.core.predicting, "ROWS", 20)
    pipe = Pipeline(ToyBackbone(), "zero", "late", eval_imputer="zero", store=home, embed={"batch_size": 4, "workers": 0})
    pipe.fit(vectors(), val=vectors(30, seed=1), missing=Missing(left=0.2))
    pipe.workspace.engine = Losing()
    with pytest.raises(LostBatchError, match=r"^Row 24 to row 27: Batch was given up\."):
        pipe.predict(vectors(40, seed=2))
