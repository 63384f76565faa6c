"""The README and every page of the documentation: their code runs, in order, and prints what they say."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doc_blocks import ROOT, Run, blocks
from miniatures import write_ucf101
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
NOT_RUN = {
    "README.md": 5,
    "docs/datasets.md": 1,
    "docs/how-to/audio-missing.md": 1,
    "docs/how-to/clusters.md": 2,
    "docs/how-to/missing-at-test.md": 2,
    "docs/how-to/plug-in.md": 1,
}
"""How many blocks of each page do not run, or only with `--dry-run`: more need a reason, and a change here."""


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings of all pages: they go by content, so that no page notices the others, and the digits are embedded once."""
    return tmp_path_factory.mktemp("features")


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, home: Path, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def _films() -> None:
    write_ucf101(Path("UCF101"), {"train": 2, "test": 1}, clips=1)


def _imputer_is_short_and_keeps_every_promise(names: dict[str, Any]) -> None:
    """What stands on the page, and nothing else, makes a plug-in: a file, a line, less than 60 lines together."""
    text = Path("shrunk_mean.py").read_text(encoding="utf-8")
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["gtimm.imputers"] == {"shrunk-mean": "shrunk_mean:ShrunkMean"}
    assert project["tool"]["setuptools"]["py-modules"] == ["shrunk_mean"]
    assert len(text.splitlines()) < 60
    alone: dict[str, Any] = {"__name__": "alone"}
    exec(compile(text, "shrunk_mean.py", "exec"), alone)
    check_imputer(alone["ShrunkMean"]())


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
    "docs/datasets.md": (_films, None),
    "docs/how-to/plug-in.md": (None, _imputer_is_short_and_keeps_every_promise),
    "CONTRIBUTING.md": (None, _median_fills_gaps_and_keeps_every_promise),
}
