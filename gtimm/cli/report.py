"""`gtimm report`: the page of a run again, or of several runs joined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gtimm.core.terminal import say


def report_runs(runs: Sequence[Path], out: Path | None) -> None:
    """Write the page of one run, or join several, and say where it is.

    Raises:
        ConfigError: several runs and no `out`, or an `out` that holds something else.
        DataError: a run's results cannot be read.
        StoreError: the folder cannot be written.
    """
    from gtimm.core.errors import ConfigError
    from gtimm.report.join import write_joined
    from gtimm.report.page import write_report

    folders = [run.parent if run.name == "results.json" else run for run in runs]
    if len(folders) > 1:
        if out is None:
            raise ConfigError("Several runs are joined into a new folder; name it with -o.")
        page = write_report(write_joined(folders, out))
    elif out is None or out.resolve() == folders[0].resolve():
        page = write_report(folders[0])
    else:
        if (out / "results.json").exists():
            raise ConfigError(f"{out} holds a run of its own, whose page this would replace; choose another folder with -o.")
        page = write_report(folders[0], out)
    say(f"{page}; figures and tables are beside it, in figures/ and tables/.")
