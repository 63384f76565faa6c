"""Real and generated items side by side, and what a gate rejected: images, and players for sounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gtimm.experiments.schema import Generated, Results
from gtimm.report.items import item
from gtimm.report.sections.section import Section

FIRST = 12  # classes: further ones are behind a button
LARGEST = 24_000_000  # letters of items in a page


@dataclass
class _Items:
    """Reads items until the page would grow too large; counts those that are not there and those left out."""

    root: Path
    letters: int = 0
    absent: int = 0
    left_out: int = 0

    def tile(self, file: str, **words: str) -> dict[str, str] | None:
        if self.letters > LARGEST:
            self.left_out += 1
            return None
        found = item(self.root, file)
        if found is None:
            self.absent += 1
            return None
        self.letters += len(found.source)
        return {"source": found.source, "scale": found.scale, **words}


def gallery(results: Results, root: Path | None) -> Section | None:
    """Return real and generated items of each class.

    Raises:
        DataError: a file is outside the folder, or neither PNG nor WAV.
    """
    exhibits = [e for e in results.gallery if e.real or e.generated]
    if not exhibits or root is None:
        return None
    items, shown = _Items(root), []
    for exhibit in exhibits:
        real = [items.tile(file, alt=f"{exhibit.name}, real, {number}") for number, file in enumerate(exhibit.real, 1)]
        made = [items.tile(g.file, alt=f"{exhibit.name}, synthetic", caption=_words(g)) for g in exhibit.generated]
        prompts = list(dict.fromkeys(g.prompt for g in exhibit.generated if g.prompt))
        hint = f"“{prompts[0]}”" + (f" and {len(prompts) - 1} more" if prompts[1:] else "") if prompts else ""
        strips = (("real", False, _there(real)), ("synthetic (generated)", True, _there(made)))
        if items.left_out and not any(tiles for _, _, tiles in strips):
            continue
        shown.append({"name": exhibit.name, "hint": hint, "strips": strips})
    return Section("gallery", "Gallery", _values(items, shown))


def rejected(results: Results, root: Path | None) -> Section | None:
    """Return what a gate rejected, by class, with its reason.

    Raises:
        DataError: a file is outside the folder, or neither PNG nor WAV.
    """
    exhibits = [e for e in results.gallery if e.rejected]
    if not exhibits or root is None:
        return None
    items, shown = _Items(root), []
    for exhibit in exhibits:
        tiles = []
        for number, made in enumerate(exhibit.rejected, 1):
            words = {"reason": made.reason or "no reason recorded", "caption": _words(made)}
            found = items.tile(made.file, alt=f"{exhibit.name}, rejected, {number}") if made.file else None
            tiles.append({"source": "no file was kept", "scale": "none", "alt": "", **(found or {}), **words})
        shown.append({"name": exhibit.name, "count": len(exhibit.rejected), "tiles": tiles})
    return Section("rejected", "Rejected", _values(items, shown))


def _values(items: _Items, shown: list[dict[str, Any]]) -> dict[str, Any]:
    return {"first": shown[:FIRST], "more": shown[FIRST:], "absent": items.absent, "left_out": items.left_out}


def _there(tiles: Sequence[dict[str, str] | None]) -> list[dict[str, str]]:
    return [tile for tile in tiles if tile]


def _words(made: Generated) -> str:
    seed = "" if made.seed is None else f"seed {made.seed}"
    prompt = f"“{made.prompt}”" if made.prompt else ""
    return ", ".join(part for part in (prompt, seed) if part) or "prompt and seed not recorded"
