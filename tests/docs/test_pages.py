"""The README and every page of the documentation: their code runs, in order, and prints what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doc_blocks import ROOT, Run, blocks
from PIL import Image
from toys import vectors

import gtimm
from gtimm import Missing, Pipeline
from gtimm.testing import check_imputer

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if "```" in path.read_text(encoding="utf-8")
)
NOT_RUN = {"README.md": 5}
"""How many blocks of each page do not run, or only with `--dry-run`: more need a reason, and a change here."""


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings of all pages: they go by content, so that no page notices the others, and the digits are embedded once."""
    return tmp_path_factory.mktemp("features")


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(
    page: str, home: Path, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / "features").symlink_to(features)
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    before, after = AROUND.get(page, (None, None))
    if before:
        before()
    run = Run()
    for block in blocks(page):
        try:
            run(block)
        except Exception as error:
            error.add_note(f"in the block at {page}:{block.line}")
            raise
    if after:
        after(run.names)


def test_no_more_blocks_are_left_out_than_were_agreed() -> None:
    found = {page: sum(block.how != "run" for block in blocks(page)) for page in PAGES}
    assert {page: count for page, count in found.items() if count} == NOT_RUN


def test_every_block_that_is_left_out_says_why() -> None:
    assert all(block.reason for page in PAGES for block in blocks(page) if block.how != "run")


def _tweets() -> None:
    """The table and the pictures that the README speaks of."""
    random = np.random.default_rng(0)
    lines = ["photo,caption,category"]
    for row in range(40):
        category = ("fire", "flood")[row % 2]
        path = Path("photos" if row < 30 else f"pictures/{category}", f"{row}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), np.uint8)).save(path)
        lines.append(f"{path.name if row < 30 else ''},the {category} of today,{category}")
    Path("tweets.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _median_fills_gaps_and_keeps_every_promise(names: dict[str, Any]) -> None:
    check_imputer(names["MedianFill"]())
    gtimm.register("imputers", "median", names["MedianFill"])
    data = vectors(30).with_missing(Missing(left=0.5))
    run = Pipeline(backbone="toy", imputer={"left": "median"}).prepare(data)
    own = np.stack([data.payload("left", int(row)) for row in np.flatnonzero(data.present("left"))])
    fills = run.train.sources["left"].fills
    assert fills is not None
    np.testing.assert_allclose(fills[0].numpy(), np.median(own, axis=0), rtol=1e-6)


AROUND: dict[str, tuple[Callable[[], None] | None, Callable[[dict[str, Any]], None] | None]] = {
    "README.md": (_tweets, None),
    "CONTRIBUTING.md": (None, _median_fills_gaps_and_keeps_every_promise),
}
