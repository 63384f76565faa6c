"""CONTRIBUTING's example runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from toys import vectors

import gtimm
from gtimm import Missing, Pipeline
from gtimm.testing import check_imputer

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_strategy_of_the_three_steps_fills_gaps_and_keeps_every_promise() -> None:
    block = re.search(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert block is not None
    lines = [line.removeprefix("   ") for line in block[1].splitlines()]
    names: dict[str, Any] = {"__name__": "contributed"}
    exec(compile("\n".join(lines), "CONTRIBUTING.md", "exec"), names)
    check_imputer(names["MedianFill"]())
    gtimm.register("imputers", "median", names["MedianFill"], replace=True)
    data = vectors(30).with_missing(Missing(left=0.5))
    run = Pipeline(backbone="toy", imputer={"left": "median"}).prepare(data)
    own = np.stack([data.payload("left", int(row)) for row in np.flatnonzero(data.present("left"))])
    fills = run.train.sources["left"].fills
    assert fills is not None
    np.testing.assert_allclose(fills[0].numpy(), np.median(own, axis=0), rtol=1e-6)
