"""Saved pipelines: a folder with `pipeline.json`, `weights.safetensors` and `MODEL_CARD.md`."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from gtimm.core.asking import built
from gtimm.core.claims import BESIDE, Staging, claim
from gtimm.core.errors import ConfigError, GtimmError, PluginError, StoreError, WeightsError, reworded
from gtimm.core.files import entries, file_digest, write_json
from gtimm.core.options import refuse_unknown
from gtimm.core.plain import from_json
from gtimm.core.plugin import Group, Kind
from gtimm.core.record import Record, held_rows
from gtimm.core.registry import OURS, SESSION, registry

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.pipeline import Pipeline

T = TypeVar("T")

FORMAT = 1
FILES = ("pipeline.json", "weights.safetensors", "MODEL_CARD.md")
LOADABLE = ("store", "device", "engine", "generate", "draws")
"""Options of a Pipeline that loading may set: where it runs, and what it predicts from."""


class Owned(BaseModel):
    """A strategy of others that a model needs, and the package that has it."""

    group: Group
    name: str
    distribution: str
    version: str


class Saved(BaseModel):
    """What `pipeline.json` holds, as far as loading reads it; fields with a default are not in models of before."""

    config: dict[str, Any]
    seed: int
    classes: tuple[str, ...]
    multilabel: bool = False
    temperature: float
    prior: list[float]
    kinds: dict[str, Kind]
    sizes: dict[str, int]
    fingerprints: dict[str, str] = {}
    columns: dict[str, Any]
    history: list[float]
    chosen: dict[str, float] = {}
    record: Record = Record()
    plugins: list[Owned] = []
    weights: str | None = None


def save_pipeline(pipeline: Pipeline, folder: str | PathLike[str]) -> None:
    """Write a trained pipeline; a folder that is there already is replaced only if it holds a saved pipeline or nothing.

    Killed at any moment, `load_pipeline` finds the new one or the one before.

    Raises:
        GtimmError: it is not trained.
        ConfigError: the folder holds something else.
        StoreError: the folder cannot be written (read-only, disk full); what was there is as it was.
    """
    if pipeline._head is None:
        raise GtimmError("This pipeline is not trained; there is nothing to save. Call fit first.")
    target = Path(os.path.abspath(folder))
    if target.exists() and (not target.is_dir() or {p.name for p in entries(target)} - set(FILES)):
        raise ConfigError(f"{target} exists and is not a saved pipeline; choose another folder.")
    mine = claim(target.with_name(f".{target.name}.lock"), wait=True)
    try:
        with Staging(target.parent, BESIDE) as staging:
            _finish(target)
            with staging.whole_folder(target) as temporary:
                _write(pipeline, temporary)
                if target.exists():
                    target.rename(_replaced(target))
            shutil.rmtree(_replaced(target), ignore_errors=True)
    finally:
        if not target.exists() and _replaced(target).exists():
            with suppress(OSError):  # then `load_pipeline` reads it where it is
                _replaced(target).rename(target)
        if mine is not None:
            mine.release()


def _replaced(target: Path) -> Path:
    """Return where a model is while another one takes its place."""
    return target.with_name(f".{target.name}.replaced")


def _finish(target: Path) -> None:
    """Bring what a killed `save_pipeline` left in order: one model, in its place."""
    if target.exists():
        shutil.rmtree(_replaced(target), ignore_errors=True)
    elif _replaced(target).exists():
        _replaced(target).rename(target)


def _write(pipeline: Pipeline, folder: Path) -> None:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    head = pipeline._head
    assert head is not None
    tensors = {f"head.{name}": value.detach().contiguous() for name, value in head.state_dict().items()}
    for modality, state in pipeline._states.items():
        for name, array in state.items():
            tensors[f"state.{modality}.{name}"] = torch.from_numpy(np.ascontiguousarray(array))
    try:
        save_file(tensors, str(folder / FILES[1]))
    except SafetensorError as error:  # which hides the OSError
        raise StoreError(f"Cannot write {folder / FILES[1]}: {error}. Free some space or choose another folder.") from error
    (folder / FILES[1]).chmod(0o644)
    held = _held(pipeline)
    sizes = {m: pipeline.backbones.require(m).size(kind, pipeline.depth) for m, kind in pipeline.kinds.items()}
    write_json(
        folder / FILES[0],
        {
            "format": FORMAT,
            "weights": file_digest(folder / FILES[1]),
            "config": pipeline.config(),
            "plugins": [one.model_dump() for one in _plugins(pipeline)],
            "seed": pipeline.seed,
            "classes": list(pipeline.classes),
            "multilabel": pipeline.multilabel,
            "temperature": pipeline.temperature,
            "prior": pipeline.prior.tolist(),
            "kinds": pipeline.kinds,
            "sizes": sizes,
            "fingerprints": {m: pipeline.backbones.require(m).fingerprint() for m in pipeline.kinds},
            "columns": pipeline.columns,
            "history": pipeline.history,
            "chosen": pipeline.chosen,
            "record": asdict(pipeline.record),
            **({"training_data": held} if held else {}),
        },
    )
    if pipeline.record.train is not None:
        (folder / FILES[2]).write_text(pipeline.model_card(), encoding="utf-8")
    folder.chmod(0o755)


def _plugins(pipeline: Pipeline) -> list[Owned]:
    """Return the strategies of others that a pipeline needs."""
    from gtimm.core.licences import name_of, strategies

    used = {(group, name_of(group, plugin)) for group, plugin in strategies(pipeline)}
    entries = [(group, registry(group)[name]) for group, name in sorted(used) if name in registry(group)]
    return [
        Owned(group=group, name=entry.name, distribution=entry.distribution, version=entry.version)
        for group, entry in entries
        if entry.distribution != OURS
    ]


def _check_plugins(plugins: list[Owned]) -> None:
    """Raise `PluginError` for a strategy that is not installed here, naming the package that had it where the model was saved."""
    for one in plugins:
        if one.name not in registry(one.group):
            origin = f"was in the plug-in {one.distribution} {one.version}. Install it"
            if one.distribution == SESSION:
                origin = "was registered in the session that saved it. Call gtimm.register first"
            raise PluginError(f"{one.name!r} of {one.group!r} is not installed here; it {origin}.")


def _held(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Return what a model keeps of its training data, by modality, and warn of it."""
    held = held_rows(pipeline)
    if held:
        what = ", ".join(f"{m!r}: {one['strategy']}" for m, one in held.items())
        warnings.warn(
            f"The saved model holds embeddings of {max(one['rows'] for one in held.values())} training rows (for {what}), from which "
            "training data may be guessed. Share it as you would share the data; an eval_imputer such as 'regression' keeps none.",
            UserWarning,
            stacklevel=5,
        )
    return held


def _read(source: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except Exception as error:
        raise WeightsError(f"{source} is not a saved pipeline ({error}). Give the folder that Pipeline.save made.") from error


def load_pipeline(folder: str | PathLike[str], options: dict[str, Any]) -> Pipeline:
    """Read a saved pipeline.

    Args:
        folder: from `save_pipeline`.
        options: of the Pipeline, those in `LOADABLE`.

    Raises:
        ConfigError: another option.
        WeightsError: a file is missing, damaged or from a newer version.
        PluginError: a strategy is of a plug-in that is not installed; names it.
    """
    from safetensors.torch import load_file

    refuse_unknown(options, LOADABLE, "Pipeline.load")
    source = Path(os.path.abspath(folder))
    if not source.exists() and _replaced(source).is_dir():  # saving was killed while the new one took its place
        source = _replaced(source)
    meta = _read(source, lambda: from_json((source / FILES[0]).read_text(encoding="utf-8")))
    version = meta.get("format") if isinstance(meta, dict) else None
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        mend = "It was saved by a newer gtimm: update gtimm." if newer else "Save the pipeline again with this version."
        raise WeightsError(f"{source} has format {version!r}, and this version of gtimm reads format {FORMAT}. {mend}")
    tensors = _read(source, lambda: load_file(str(source / FILES[1])))
    try:
        saved = Saved.model_validate(meta)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise WeightsError(f"{source / FILES[0]} is damaged ({where}: {first['msg']}). Save the pipeline again.") from error
    if saved.weights not in (None, file_digest(source / FILES[1])):
        raise WeightsError(
            f"{source / FILES[1]} is damaged, or not the one that {FILES[0]} was saved with. Save the pipeline again."
        )
    try:
        return _restored(source, saved, tensors, options)
    except GtimmError as error:
        if str(source) in str(error):
            raise
        raise reworded(error, f"{source}: {error}") from error


def _restored(source: Path, saved: Saved, tensors: dict[str, Tensor], options: dict[str, Any]) -> Pipeline:
    from gtimm.core.pipeline import Pipeline
    from gtimm.core.seeding import torch_seeded

    _check_plugins(saved.plugins)
    pipeline = Pipeline.from_config(saved.config, seed=saved.seed, **options)
    pipeline.classes, pipeline.kinds, pipeline.multilabel = saved.classes, dict(saved.kinds), saved.multilabel
    pipeline.temperature, pipeline.prior = saved.temperature, np.array(saved.prior, np.float32)
    pipeline.columns, pipeline.history, pipeline.chosen = saved.columns, saved.history, saved.chosen
    pipeline.record = saved.record
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part == "state":
            modality = next((m for m in sorted(pipeline.kinds, key=len, reverse=True) if rest.startswith(f"{m}.")), None)
            if modality is None:
                raise WeightsError(f"{source / FILES[1]} does not fit {FILES[0]}: {name!r} belongs to none of its modalities.")
            pipeline._states.setdefault(modality, {})[rest[len(modality) + 1 :]] = value.numpy()
    for m, kind in pipeline.kinds.items():
        pipeline.backbones.require(m).check_kind(kind)
    for m, fingerprint in saved.fingerprints.items():
        if pipeline.backbones.require(m).fingerprint() != fingerprint:
            raise WeightsError(
                f"{source} was trained on embeddings of {m!r} by another backbone: its weights, sizes or preprocessing have changed since. "
                "Put the old weights back, or train again."
            )
    sizes = {m: pipeline.backbones.require(m).size(kind, pipeline.depth) for m, kind in pipeline.kinds.items()}
    if saved.sizes != sizes:  # before a head of any size is built
        raise WeightsError(
            f"{source / FILES[0]} does not fit its backbone: it has embeddings of sizes {saved.sizes}, the backbone gives {sizes}."
        )
    with torch_seeded(0, "load"):
        head = built(pipeline.fusion, sizes, len(pipeline.classes), pipeline.filler().encoders(pipeline.kinds))
    try:
        head.load_state_dict({n.removeprefix("head."): v for n, v in tensors.items() if n.startswith("head.")})
    except RuntimeError as error:
        raise WeightsError(f"{source / FILES[1]} does not fit {FILES[0]}: {error}") from error
    pipeline._head = head.eval().requires_grad_(False)
    return pipeline
