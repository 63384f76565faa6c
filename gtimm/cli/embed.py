"""`gtimm embed`: every payload of a configuration's data, embedded ahead of training."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from gtimm.cli.interruption import interruptible
from gtimm.cli.options import Machine
from gtimm.core.terminal import terminal

if TYPE_CHECKING:
    from rich.console import Console

    from gtimm.core.config import RunConfig
    from gtimm.core.pipeline import Pipeline


def embed_config(config: Path, machine: Machine) -> None:
    """Embed the present payloads of all splits that are not in the store yet, and print what that took."""
    from gtimm.core.config import RunConfig, read_yaml
    from gtimm.core.pipeline import Pipeline

    run, console = RunConfig.of(read_yaml(config), config), terminal(highlight=False)
    pipeline = Pipeline.from_config(run.pipeline, **machine.options(run.pipeline.get("engine")))
    with interruptible("What was embedded is kept"), pipeline.engine.kept():
        _embed(run, pipeline, config, console)


def _embed(run: RunConfig, pipeline: Pipeline, config: Path, console: Console) -> None:
    splits = run.load_data(config.parent)
    workspace = pipeline.workspace
    for name, data in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        for modality in pipeline.modalities or data.modalities:
            backbone = pipeline.backbones.require(modality)
            before, began = workspace.counters["embedded"], time.monotonic()
            _, index = workspace.column(data, modality, backbone, pipeline.depth)
            made, seconds, there = workspace.counters["embedded"] - before, time.monotonic() - began, int((index >= 0).sum())
            rate = f" in {seconds:.1f} s, {made / max(seconds, 1e-9):,.1f}/s" if made else ""
            console.print(f"{name} {escape(modality)}: {there:,} payloads, {made:,} embedded now{rate}")
    console.print(f"The store is {escape(str(workspace.home))}. Look at it with `gtimm cache list`.")
