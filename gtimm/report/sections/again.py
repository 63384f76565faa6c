"""How to run it again: command, configuration, environment, licences; and what a reader should know."""

from __future__ import annotations

from pathlib import Path

from gtimm.experiments.schema import Results
from gtimm.report import wording
from gtimm.report.sections.section import Section

_LONGEST = 200_000  # letters of a configuration that are shown


def notes(results: Results) -> Section | None:
    """Return the notes."""
    return Section("notes", "Notes", {"notes": results.notes}) if results.notes else None


def again(results: Results, root: Path | None) -> Section | None:
    """Return the command, the run folder's configuration, the environment and the licences."""
    values = {
        "command": results.command,
        "config": _config(root),
        "environment": [(name, wording.plain(value)) for name, value in results.environment.items()],
        "licences": list(results.licences.items()),
    }
    return Section("again", "Run it again", values) if any(values.values()) else None


def _config(root: Path | None) -> str:
    """Return the text of `config.yaml`, cut where it is very long; empty where there is none."""
    path = root / "config.yaml" if root else None
    if root is None or path is None or not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
        return ""  # a link to a file elsewhere is none of this run
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n# cut here; the rest is in config.yaml"
