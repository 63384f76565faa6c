"""What makes a run the same run: digests of data, holes, strategies and the files they read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import gtimm
from gtimm.core.config import PATH_OPTIONS
from gtimm.core.files import file_digest
from gtimm.core.imputer import Generator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.pipeline import Pipeline

FORMAT = 1
"""Goes up when what a cell's file holds, or how it comes about, changes."""


def digest(value: Any) -> str:
    """Return the 32 hex digits of a plain value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def data_digest(data: MultimodalDataset) -> str:
    """Return the digest of a data set's rows: what is there, its content, and the labels. Sealed payloads are not read."""
    found = hashlib.blake2b(digest_size=16)
    kinds = {m: data.kind(m) for m in data.modalities}
    found.update(json.dumps([kinds, list(data.classes), len(data)], ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for modality in data.modalities:
        found.update(np.packbits(data.present(modality)).tobytes())
        for key in data.keys(modality, np.flatnonzero(data.present(modality))):
            found.update(key)
    if data.labels is not None:
        found.update(np.ascontiguousarray(data.labels, np.uint8 if data.multilabel else np.int64).tobytes())
    return found.hexdigest()


def holes_digest(data: MultimodalDataset, modalities: Iterable[str]) -> str:
    """Return the digest of which rows lack which of these modalities."""
    found = hashlib.blake2b(digest_size=16)
    for modality in modalities:
        found.update(f"{modality} {len(data)} ".encode() + np.packbits(data.present(modality)).tobytes())
    return found.hexdigest()


def pipeline_identity(pipe: Pipeline) -> dict[str, Any]:
    """Return the plain form of all that decides a Pipeline's results beside its data and seed.

    Its options, the fingerprints of backbones and generators, and the content of files that strategies read, such as class names;
    of folders the names and sizes in them.
    """
    config = pipe.config()
    named = [*pipe.imputers, *pipe.eval_imputers]
    imputers = [*named, *(source for imputer in named if (source := imputer.source()) is not None)]
    return {
        "format": FORMAT,
        "gtimm": gtimm.__version__,
        "pipeline": config,
        "backbones": sorted({backbone.fingerprint() for backbone in pipe.backbones}),
        "generators": sorted({imputer.fingerprint() for imputer in imputers if isinstance(imputer, Generator)}),
        "files": {path: _content(Path(path).expanduser()) for path in sorted(set(_paths(config)))},
    }


def _paths(value: Any, name: str = "") -> Iterator[str]:
    """Yield the options of strategies that are paths."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _paths(one, str(key))
    elif isinstance(value, str) and name in PATH_OPTIONS and value:
        yield value


def _content(path: Path) -> Any:
    if path.is_file():
        return file_digest(path)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else []
    return digest([(p.relative_to(path).as_posix(), p.stat().st_size) for p in files])
