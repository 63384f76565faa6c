"""Options that commands share, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gtimm.cli.engine import engine_spec

OutOption = Annotated[Path, typer.Option("--out", "-o", help="Run folder: config.yaml, results.json, report.html, log.jsonl.")]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of generated items and features; default GTIMM_HOME, else the user's cache folder."),
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...; default the configuration's, else auto.")
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="Where batches run: local, ray, or with options as in YAML, '{name: ray, workers: 4, gpus: 0.5}'. Default: the "
        "configuration's, else local.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Of the Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local, started here. Default: that of this machine, else local.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask, even where generation takes above an hour.")]


@dataclass(frozen=True)
class Machine:
    """Where a command runs, as its options say it; `None` where they do not."""

    store: Path | None = None
    device: str | None = None
    engine: str | None = None
    address: str | None = None
    yes: bool = False

    def options(self, configured: Any = None) -> dict[str, Any]:
        """Return what was given as options of a Pipeline; they win over the configuration.

        Args:
            configured: the configuration's `engine`, whose options stay where the command line names the same one, or only an address.
        """
        where = engine_spec(self.engine, self.address, configured)
        given = {"store": self.store, "device": self.device, "engine": where, "generate": True if self.yes else None}
        return {name: value for name, value in given.items() if value is not None}


def store_folder(store: Path | None) -> Path:
    """Return the store folder."""
    from gtimm.core.files import default_home

    return store.expanduser() if store is not None else default_home()
