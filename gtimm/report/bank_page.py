"""A bank's items as one offline web page: by class, with prompt, seed and guidance, and what a gate rejected."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gtimm.core.bank.files import REJECTED, REJECTIONS, Log, Record
from gtimm.core.bank.labelled import SUFFIXES, read_labelled
from gtimm.core.bank.upkeep import BankFacts, facts
from gtimm.core.errors import DataError, MediaError
from gtimm.core.files import leads_out
from gtimm.report.html import render, write_text
from gtimm.report.items import SMALL, address, sound, thumbnail

NO_CLASS = "without a class"


def write_bank_page(folder: Path, out: Path, per_class: int = 20) -> Path:
    """Write a bank's gallery and return the page's path. The page needs no network and no other file.

    Args:
        folder: of a bank, or any that `read_labelled` takes.
        out: the page.
        per_class: at most so many items a class, and as many rejected ones.

    Raises:
        DataError: the folder has no items, or they cannot be listed.
        StoreError: the page cannot be written.
    """
    bank = facts(folder)
    found = read_labelled(folder, need_labels=False) if bank.items or not bank.rejected else None
    kept = _by_class((f.record | {"file_name": f.name, "label": f.label} for f in found.files) if found else (), per_class)
    rejected = _by_class(Log(folder / REJECTED / REJECTIONS).read(), per_class)
    values = {
        "title": folder.resolve().name,
        "facts": _facts(bank, len(kept)),
        "parts": (
            ("items", "Items", [_shown(folder, *group) for group in kept]),
            ("rejected", "Rejected by the gate", [_shown(folder / REJECTED, *group) for group in rejected]),
        ),
    }
    return write_text(out, render("bank.html.j2", values, styles=("items.css.j2",)))


def _facts(bank: BankFacts, classes: int) -> list[tuple[str, str]]:
    about = bank.about
    speeds = ", ".join(f"{seconds:.2g} s on {device}" for device, seconds in bank.seconds_per_item.items())
    rows = (
        ("Generator", about.get("generator")),
        ("Model", Path(str(about["model"])).name if about.get("model") else None),
        ("Items", f"{bank.items:,} in {classes:,} class{'es' if classes != 1 else ''}"),
        ("Failures", f"{bank.failures:,}" if bank.failures else None),
        ("Rejected", f"{bank.rejected:,}" if bank.rejected else None),
        ("Time an item", speeds),
    )
    return [(name, str(value)) for name, value in rows if value]


def _by_class(records: Iterable[Record], per_class: int) -> list[tuple[str, int, list[Record]]]:
    """Return (class, how many, those that are shown), classes by name."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(str(record.get("label") or NO_CLASS), []).append(record)
    return [(label, len(groups[label]), groups[label][:per_class]) for label in sorted(groups)]


def _shown(root: Path, label: str, count: int, records: list[Record]) -> dict[str, Any]:
    tiles = [{**_tile(root, record["file_name"]), **_words(record, label, n)} for n, record in enumerate(records, 1)]
    return {"name": label, "count": count, "tiles": tiles}


def _words(record: Record, label: str, number: int) -> dict[str, Any]:
    pairs = [("seed", record.get("seed")), ("guidance", record.get("guidance"))]
    return {
        "alt": f"{label}, item {number}",
        "prompt": str(record.get("prompt") or ""),
        "settings": [f"{name} {value}" for name, value in pairs if value is not None],
        "reason": str(record.get("reason") or ""),
    }


def _tile(root: Path, name: str) -> dict[str, str]:
    """Return an item as a data address and how to show it: `image`, `pixel`, `sound`, or `none` with why."""
    path = root / name
    if leads_out(root, name) or path.suffix.lower() not in SUFFIXES:
        return {"scale": "none", "source": "not shown: its file leads out of the bank, or is of another kind"}
    if not os.path.isfile(path):
        return {"scale": "none", "source": "no file was kept"}
    try:
        if SUFFIXES[path.suffix.lower()] == "audio":
            return {"scale": "sound", "source": address("audio/wav", sound(path))}
        content, size = thumbnail(path)
        return {"scale": "pixel" if size <= SMALL else "photo", "source": address("image/png", content)}
    except (MediaError, DataError):
        return {"scale": "none", "source": "the file cannot be read"}
