"""`gtimm prepare`: the middle frames and sounds of a data set of films, of a table's or of class folders', taken once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gtimm.cli.interruption import interruptible
from gtimm.core.terminal import terminal

if TYPE_CHECKING:
    from pandas import DataFrame

    from gtimm.core.dataset import Column
    from gtimm.core.engine import Engine
    from gtimm.core.films.loader import FilmLoader
    from gtimm.core.films.prepare import Report
    from gtimm.core.films.tables import PreparedTables

SHOWN = 5  # failures on the screen


@dataclass(frozen=True)
class Source:
    """Tables to prepare: part to table, their modalities, the folder of their paths, the ending of the new ones; what a file said else."""

    tables: Mapping[str, DataFrame]
    modalities: Mapping[str, str | Column]
    root: Path
    ending: str = ".csv"
    data: Mapping[str, Any] | None = None


def prepare_films(
    what: str,
    out: Path,
    root: Path | None,
    modalities: Sequence[str],
    frames: str,
    sound: str,
    workers: int | None,
    skip_unreadable: bool,
    engine: str | None = None,
    address: str | None = None,
) -> None:
    """Prepare the films of a table, of class folders, of a configuration's data or of a data set by name; print what became of them."""
    from gtimm.core.errors import ConfigError, DataError
    from gtimm.core.films.prepare import prepare
    from gtimm.core.films.prepared import FAILURES, Form
    from gtimm.core.films.tables import prepare_tables

    place = _engine(what, engine, address)
    if frames not in ("png", "jpeg") or sound not in ("wav", "flac"):
        raise ConfigError(f"--frames is png or jpeg, --sound is wav or flac; found {frames} and {sound}.")
    source, console = _source(what, root, modalities), terminal(highlight=False, soft_wrap=True)
    form = Form(cast("Any", frames), cast("Any", sound))
    made: PreparedTables | None = None
    with interruptible(f"What was prepared is kept in {out}"):
        if isinstance(source, Source):
            made = prepare_tables(
                source.tables,
                source.modalities,
                out,
                root=source.root,
                ending=source.ending,
                form=form,
                workers=workers,
                skip_unreadable=skip_unreadable,
                engine=place,
            )
            report = made.report
        else:
            report = prepare(source, out, form, workers=workers, skip_unreadable=skip_unreadable, engine=place)
    noun = "clips" if made is None else "files"
    for line in _said(report, out, noun):
        console.print(line, markup=False)
    if report.failures and not skip_unreadable:
        raise DataError(
            f"{_failed(report)} of {report.clips:,} {noun} could not be prepared; {out / FAILURES} names them. Replace their films and run "
            "the same command again, or pass --skip-unreadable to take what they lack as holes."
        )
    if made is None:
        console.print(f"Read it with prepared: {out} beside name and root in data.", markup=False)
    else:
        console.print(f"Read it with data: {_as_yaml(made, cast('Source', source).data)}", markup=False)


def _engine(what: str, engine: str | None, address: str | None) -> Engine | None:
    from gtimm.cli.engine import configured_engine, engine_spec
    from gtimm.core.registry import registry

    path = Path(what).expanduser()
    spec = engine_spec(engine, address, configured_engine(path) if path.suffix in (".yaml", ".yml") else None)
    return None if spec is None else cast("Engine", registry("engines").create(spec))


def _source(what: str, root: Path | None, modalities: Sequence[str]) -> FilmLoader | Source:
    """Return what there is to prepare: a data set of films, or tables."""
    from gtimm.cli.sources import columns_of, is_folder, named_columns
    from gtimm.core.config import RunConfig, read_yaml
    from gtimm.core.errors import ConfigError
    from gtimm.core.table_files import TABLES, read_table
    from gtimm.core.tables import folder_frame

    path = Path(what).expanduser()
    if path.suffix.lower() in TABLES:
        frame = read_table(path)
        columns = columns_of(frame.columns.tolist(), modalities, path)
        return Source({path.stem: frame}, columns, root or path.parent, path.suffix.lower())
    if is_folder(what):
        frame, folders = folder_frame(path.absolute(), named_columns(modalities) or None)
        return Source({"table": frame}, folders, path.absolute())
    if modalities:
        raise ConfigError("--modality is for tables and class folders; a configuration and a named data set know theirs.")
    options: dict[str, Any] = {"name": what}
    if path.suffix in (".yaml", ".yml"):
        config = RunConfig.of(read_yaml(path), path)
        options = {"name": config.data} if isinstance(config.data, str) else dict(config.data)
        if "name" not in options:
            return _of_config(config, path.parent, root)
        options.pop("prepared", None)
    if root is not None:
        options["root"] = str(root)
    return _loader(options)


def _of_config(config: Any, folder: Path, root: Path | None) -> Source:
    tables, columns, found = config.read_frames(folder)
    first = next(iter(tables.values()))[0]
    return Source({part: frame for part, (_, frame) in tables.items()}, columns, root or found, first.suffix.lower(), config.data)


def _loader(options: Mapping[str, Any]) -> FilmLoader:
    from gtimm.core.errors import ConfigError
    from gtimm.core.films.loader import FilmLoader
    from gtimm.core.registry import registry

    loader = registry("datasets").create(options)
    if not isinstance(loader, FilmLoader):
        raise ConfigError(f"{options['name']!r} is no data set of films; ucf101, activitynet and moments are.")
    return loader


def _as_yaml(made: PreparedTables, data: Mapping[str, Any] | None) -> str:
    """Return the `data` of a configuration that reads the new tables, on one line."""
    import yaml

    paths = {part: str(path.absolute()) for part, path in made.paths.items()}
    columns = {m: c.name if c.kind == m else {"name": c.name, "kind": c.kind} for m, c in made.modalities.items()}
    plain = {**(data or {}), "frame": paths if len(paths) > 1 else next(iter(paths.values())), "modalities": columns}
    plain.pop("root", None)
    if any(path.parent.absolute() != made.root for path in made.paths.values()):
        plain["root"] = str(made.root)
    return str(yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)).strip()


def _failed(report: Report) -> str:
    return f"{len({failure['clip'] for failure in report.failures}):,}"


def _said(report: Report, out: Path, noun: str) -> list[str]:
    from gtimm.core.films.prepared import ABSENT, FAILURES

    rate = f" in {report.seconds:,.1f} s, {report.made / max(report.seconds, 1e-9):,.1f}/s" if report.made else ""
    lines = [f"{report.clips:,} {noun}: {report.made:,} prepared now{rate}, {report.kept:,} there before"]
    if report.silent:
        lines.append(f"{report.silent:,} have no sound track: a frame only")
    if report.absent:
        lines.append(f"{len(report.absent):,} have no film: {out / ABSENT}")
    if report.failures:
        lines.append(f"{_failed(report)} cannot be decoded: {out / FAILURES}")
        lines += [f"  {failure['clip']}, {failure['what']}: {failure['reason']}" for failure in report.failures[:SHOWN]]
    return lines
