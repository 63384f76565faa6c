"""`gtimm prepare`: the middle frames and sounds of a data set of films, taken once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer
from rich.console import Console

if TYPE_CHECKING:
    from gtimm.core.films.loader import FilmLoader
    from gtimm.core.films.prepare import Report

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
SHOWN = 5  # failures on the screen


def prepare_films(
    what: str, out: Path, root: Path | None, frames: str, sound: str, workers: int | None, skip_unreadable: bool
) -> None:
    """Prepare the films of a configuration's data, or of a data set by name, and print what became of them."""
    from gtimm.core.errors import ConfigError, DataError
    from gtimm.core.films.prepare import prepare
    from gtimm.core.films.prepared import FAILURES, Form

    if frames not in ("png", "jpeg") or sound not in ("wav", "flac"):
        raise ConfigError(f"--frames is png or jpeg, --sound is wav or flac; found {frames} and {sound}.")
    loader, console = _loader(what, root), Console(highlight=False, soft_wrap=True)
    form = Form(cast("Any", frames), cast("Any", sound))
    try:
        report = prepare(loader, out, form, workers=workers, skip_unreadable=skip_unreadable)
    except KeyboardInterrupt:
        console.print(f"Interrupted. What was prepared is kept in {out}; the same command goes on from here.", markup=False)
        raise typer.Exit(INTERRUPTED) from None
    for line in _said(report, out):
        console.print(line, markup=False)
    if report.failures and not skip_unreadable:
        raise DataError(
            f"{_failed(report)} of {report.clips:,} clips could not be prepared; {out / FAILURES} names them. Replace their films and run "
            "the same command again, or pass --skip-unreadable to take what they lack as holes."
        )
    console.print(f"Read it with prepared: {out} beside name and root in data.", markup=False)


def _loader(what: str, root: Path | None) -> FilmLoader:
    from gtimm.core.config import RunConfig, read_yaml
    from gtimm.core.errors import ConfigError
    from gtimm.core.films.loader import FilmLoader
    from gtimm.core.registry import registry

    options: dict[str, Any] = {"name": what}
    if Path(what).suffix in (".yaml", ".yml"):
        data = RunConfig.of(read_yaml(what)).data
        options = {"name": data} if isinstance(data, str) else dict(data)
        if "name" not in options:
            raise ConfigError(f"{what}: data has no name; films are prepared for data sets by name, such as ucf101.")
        options.pop("prepared", None)
    if root is not None:
        options["root"] = str(root)
    loader = registry("datasets").create(options)
    if not isinstance(loader, FilmLoader):
        raise ConfigError(f"{options['name']!r} is no data set of films; ucf101, activitynet and moments are.")
    return loader


def _failed(report: Report) -> str:
    return f"{len({failure['clip'] for failure in report.failures}):,}"


def _said(report: Report, out: Path) -> list[str]:
    from gtimm.core.films.prepared import ABSENT, FAILURES

    rate = f" in {report.seconds:,.1f} s, {report.made / max(report.seconds, 1e-9):,.1f}/s" if report.made else ""
    lines = [f"{report.clips:,} clips: {report.made:,} prepared now{rate}, {report.kept:,} there before"]
    if report.silent:
        lines.append(f"{report.silent:,} have no sound track: a frame only")
    if report.absent:
        lines.append(f"{len(report.absent):,} have no film: {out / ABSENT}")
    if report.failures:
        lines.append(f"{_failed(report)} cannot be decoded: {out / FAILURES}")
        lines += [f"  {failure['clip']}, {failure['what']}: {failure['reason']}" for failure in report.failures[:SHOWN]]
    return lines
