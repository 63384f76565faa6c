"""`gtimm embed`: every payload of a configuration's data, embedded ahead of training."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console


def embed_config(config: Path, store: Path | None, device: str) -> None:
    """Embed the present payloads of all splits that are not in the store yet, and print what that took."""
    from gtimm.core.config import RunConfig, read_yaml
    from gtimm.core.pipeline import Pipeline

    run = RunConfig.of(read_yaml(config))
    pipeline = Pipeline.from_config(run.pipeline, **({"store": store} if store else {}), device=device)
    splits = run.load_data(config.parent)
    workspace, console = pipeline.workspace, Console(highlight=False)
    for name, data in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        for modality in pipeline.modalities or data.modalities:
            backbone = pipeline.backbones.require(modality)
            before, began = workspace.counters["embedded"], time.monotonic()
            _, index = workspace.column(data, modality, backbone, pipeline.depth)
            made, seconds, there = workspace.counters["embedded"] - before, time.monotonic() - began, int((index >= 0).sum())
            rate = f" in {seconds:.1f} s, {made / max(seconds, 1e-9):,.1f}/s" if made else ""
            console.print(f"{name} {modality}: {there:,} payloads, {made:,} embedded now{rate}")
    console.print(f"The store is {workspace.home}. Look at it with `gtimm cache list`.")
