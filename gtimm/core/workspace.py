"""A store folder in use: bank, feature stores and counters, shared by every Pipeline on it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from gtimm.core.asking import asking
from gtimm.core.bank import Allow, Bank
from gtimm.core.errors import ConfigError, MediaError, reworded
from gtimm.core.features import ABOUT, FeatureStore
from gtimm.core.features.encoders import loaded
from gtimm.core.features.job import Job
from gtimm.core.features.room import finite_rows, gathered
from gtimm.core.files import default_home
from gtimm.core.media import payload_key
from gtimm.core.options import EmbedOptions
from gtimm.core.progress import progress_bar
from gtimm.core.registry import registry
from gtimm.core.tables import FILE_KINDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.backbone import Backbone, Encoder
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.engine import Engine
    from gtimm.core.imputer import Generator
    from gtimm.core.media import Payload
    from gtimm.core.plugin import Depth
    from gtimm.core.pool import Request

FLUSH = 2048  # rows of a shard
FLUSH_SECONDS = 15.0  # what an interruption may cost
_AS_HOLES = (
    "To take such files as missing: unreadable='missing' of from_frame, from_table and predict_frame; in YAML `unreadable: missing` beside "
    "`frame`."
)


class Workspace:
    """One store folder.

    Attributes:
        home: the folder.
        device: where encoders run.
        options: how payloads are embedded.
        engine: where that runs.
        counters: `generated` items and `embedded` payloads since the workspace was opened.
    """

    def __init__(self, home: Path, device: str, options: EmbedOptions | None = None, engine: Engine | None = None) -> None:
        self.home = home
        self.device = device
        self.options = options or EmbedOptions()
        self.engine: Engine = engine or registry("engines").create("local")
        self.bank = Bank(home / "bank")
        self.counters = {"generated": 0, "embedded": 0}
        self._stores: dict[tuple[str, ...], FeatureStore] = {}
        self._columns: WeakKeyDictionary[MultimodalDataset, dict[Any, Any]] = WeakKeyDictionary()

    def encoder(self, backbone: Backbone) -> Encoder:
        """Return the loaded encoder of a backbone, which all workspaces share."""
        return loaded(backbone, self.device, channels_last=self.options.channels_last)

    def store(self, backbone: Backbone, kind: str, depth: Depth) -> FeatureStore:
        """Return the feature store of one encoder setting."""
        options = self.options
        key = (backbone.fingerprint(), kind, depth, options.feature_dtype, options.precision)
        if key not in self._stores:
            digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).hexdigest()
            folder = self.home / "features" / f"{type(backbone).__name__.lower()}-{kind}-{depth}-{digest}"
            about = {
                "backbone": type(backbone).__name__,
                "settings": repr(backbone),
                "fingerprint": key[0],
                "kind": kind,
                "depth": depth,
                "precision": options.precision,
            }
            self._stores[key] = FeatureStore(folder, backbone.size(kind, depth), options.feature_dtype, about)
            with suppress(OSError):
                os.utime(folder / ABOUT)  # when it was last used
        return self._stores[key]

    def embed(self, backbone: Backbone, kind: str, payloads: Sequence[Payload], depth: Depth = "pooled") -> NDArray[np.float32]:
        """Return (n, size) features of payloads, from the store where they are there."""
        keys = [payload_key(kind, payload) for payload in payloads]
        return self._stored(Job(backbone, kind, depth, keys, payloads.__getitem__))

    def column(
        self, data: MultimodalDataset, modality: str, backbone: Backbone, depth: Depth = "pooled"
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the features of a data set's present payloads, and where each row's is.

        Returns:
            `(table, index)`: (present rows, size) features, and (rows,) positions in the table, -1 where absent or sealed.
            Sealed payloads and their features are never read.

        Raises:
            DataError: a feature is not finite; names the row.
        """
        memo = self._columns.setdefault(data, {})
        key = (modality, backbone.fingerprint(), depth)
        if key not in memo:
            kind = data.kind(modality)
            backbone.check_kind(kind)
            rows = np.flatnonzero(data.present(modality))
            keys = data.keys(modality, rows)
            job = Job(
                backbone, kind, depth, keys, lambda i: data.payload(modality, int(rows[i])), modality, data.row_names.pick(rows)
            )
            try:
                table = self._stored(job)
            except MediaError as error:
                if kind not in FILE_KINDS:
                    raise
                raise reworded(error, f"{error} {_AS_HOLES}") from error
            bad = np.flatnonzero(~finite_rows(table))
            if len(bad):
                raise job.not_finite(int(bad[0]), len(bad))
            index = np.full(len(data), -1, np.int64)
            index[rows] = np.arange(len(rows))
            memo[key] = (table, index)
        found: tuple[NDArray[np.float32], NDArray[np.int64]] = memo[key]
        return found

    def items(
        self, generator: Generator, requests: Sequence[Request], wanted: Sequence[int], engine: Engine, allow: Allow
    ) -> list[Path]:
        """Make what is missing of the wanted requests and return the files of all wanted ones; damaged ones are made again."""
        plan = self.bank.plan(generator, requests, wanted)
        if self.bank.drop_damaged(plan):
            plan = self.bank.plan(generator, requests, wanted)
        self.counters["generated"] += self.bank.make(generator, plan, engine, self.device, allow)
        if generator.gate is not None:
            plan = self.bank.plan(generator, requests, wanted)  # with the seeds that passed
        return [plan.path(i) for i in wanted]

    def _stored(self, job: Job) -> NDArray[np.float32]:
        """Return (n, size) features of a job's payloads; what the store lacks is embedded first."""
        store = self.store(job.backbone, job.kind, job.depth)
        if store.missing(job.keys):
            store.refresh()
        if todo := store.missing(job.keys):  # all at once, since batches are cut from them
            self._fill(job, store, todo)

        def part(rows: slice) -> NDArray[np.float32]:
            return store.get_or_make(job.keys[rows], lambda lost: self._fill(job, store, [rows.start + i for i in lost]))

        return gathered(len(job.keys), store.size, self.home, part)

    def _fill(self, job: Job, store: FeatureStore, todo: Sequence[int]) -> None:
        """Embed the payloads at some positions of a job."""
        from gtimm.core.features.embedding import embed

        done = 0
        made = embed(job, todo, self.engine, self.device, self.options)
        with (
            closing(_Writer(store, self.counters)) as writer,
            progress_bar(f"Embedding {job.kind}", len(todo), "items") as advance,
            closing(made),
            asking(job.backbone, lambda: f"as it embedded {job.kind}s ({done:,} of {len(todo):,} were done)"),
        ):
            for positions, values in made:
                good = np.atleast_1d(np.isfinite(values).all(1))
                writer.add([job.keys[i] for i in positions], values, good)
                advance(len(values))
                done += len(values)
                if not good.all():
                    raise job.not_finite(positions[int(np.flatnonzero(~good)[0])], int((~good).sum()))


class _Writer:
    """Puts features into a store in shards of a size, and what is left when it is closed, an interruption included."""

    def __init__(self, store: FeatureStore, counters: dict[str, int]) -> None:
        self._store, self._counters = store, counters
        self._keys: list[bytes] = []
        self._values: list[NDArray[np.float32]] = []
        self._since = time.monotonic()

    def add(self, keys: list[bytes], values: NDArray[np.float32], good: NDArray[np.bool_]) -> None:
        """Take the rows that are good."""
        self._keys += [key for key, fine in zip(keys, good, strict=True) if fine]
        self._values.append(values[good])
        if len(self._keys) >= FLUSH or time.monotonic() - self._since > FLUSH_SECONDS:
            self.close()

    def close(self) -> None:
        """Write what is there."""
        keys, values = self._keys, self._values
        self._keys, self._values, self._since = [], [], time.monotonic()
        if keys:
            self._store.put(keys, np.concatenate(values))
            self._counters["embedded"] += len(keys)


def open_workspace(
    store: str | PathLike[str] | None = None,
    device: str = "auto",
    options: EmbedOptions | None = None,
    engine: Engine | None = None,
) -> Workspace:
    """Return the workspace of a store folder (default: `GTIMM_HOME`, else the user's cache folder); one a process.

    Args:
        store: the folder; made when something is written.
        device: `"auto"` takes CUDA where there is one.
        options: how payloads are embedded.
        engine: where that runs; by default here.
    """
    home = Path(store).expanduser().resolve() if store is not None else default_home().resolve()
    return _open(str(home), device, options or EmbedOptions(), engine or registry("engines").create("local"))


@lru_cache(maxsize=32)
def _open(home: str, device: str, options: EmbedOptions, engine: Engine) -> Workspace:
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device= must be 'auto', 'cpu', 'cuda', 'cuda:1' or the like; found {device!r}.") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={device!r}: torch finds no CUDA here. Choose 'cpu' or 'auto', or install a torch with CUDA.")
    return Workspace(Path(home), device, options, engine)
