"""A store folder in use: bank, feature stores, loaded encoders and counters, shared by every Pipeline on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from gtimm.core.bank import Allow, Bank
from gtimm.core.errors import DataError, GtimmError
from gtimm.core.features import FeatureStore
from gtimm.core.files import default_home
from gtimm.core.media import payload_key
from gtimm.core.progress import progress_bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.backbone import Backbone, Encoder
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.engine import Engine
    from gtimm.core.imputer import Generator
    from gtimm.core.media import Payload
    from gtimm.core.plugin import Depth
    from gtimm.core.pool import Request

BATCH = 64
FLUSH = 2048


class Workspace:
    """One store folder.

    Attributes:
        home: the folder.
        counters: `generated` items and `embedded` payloads since the workspace was opened.
    """

    def __init__(self, home: Path, device: str) -> None:
        self.home = home
        self.device = device
        self.bank = Bank(home / "bank")
        self.counters = {"generated": 0, "embedded": 0}
        self._stores: dict[tuple[str, str, str], FeatureStore] = {}
        self._encoders: dict[str, Encoder] = {}
        self._columns: WeakKeyDictionary[MultimodalDataset, dict[Any, Any]] = WeakKeyDictionary()

    def encoder(self, backbone: Backbone) -> Encoder:
        """Return the loaded encoder of a backbone; loaded once."""
        key = backbone.fingerprint()
        if key not in self._encoders:
            self._encoders[key] = backbone.open(self.device, "float32")
        return self._encoders[key]

    def store(self, backbone: Backbone, kind: str, depth: Depth) -> FeatureStore:
        """Return the feature store of one encoder setting."""
        key = (backbone.fingerprint(), kind, depth)
        if key not in self._stores:
            digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).hexdigest()
            folder = self.home / "features" / f"{type(backbone).__name__.lower()}-{kind}-{depth}-{digest}"
            self._stores[key] = FeatureStore(folder, backbone.size(kind, depth))
        return self._stores[key]

    def embed(self, backbone: Backbone, kind: str, payloads: Sequence[Payload], depth: Depth = "pooled") -> NDArray[np.float32]:
        """Return (n, size) features of payloads, from the store where they are there."""
        keys = [payload_key(kind, payload) for payload in payloads]
        self._fill(backbone, kind, depth, keys, payloads.__getitem__)
        return self.store(backbone, kind, depth).get(keys)

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
            self._fill(backbone, kind, depth, keys, lambda i: data.payload(modality, int(rows[i])), rows)
            table = self.store(backbone, kind, depth).get(keys)
            bad = np.flatnonzero(~np.isfinite(table).all(1))
            if len(bad):
                raise DataError(
                    f"Row {rows[bad[0]]}: the embedding of {modality!r} is not finite ({len(bad)} rows). Check its payload."
                )
            index = np.full(len(data), -1, np.int64)
            index[rows] = np.arange(len(rows))
            memo[key] = (table, index)
        found: tuple[NDArray[np.float32], NDArray[np.int64]] = memo[key]
        return found

    def items(
        self, generator: Generator, requests: Sequence[Request], wanted: Sequence[int], engine: Engine, allow: Allow
    ) -> list[Path]:
        """Make what is missing of the wanted requests and return the files of all wanted ones."""
        plan = self.bank.plan(generator, requests, wanted)
        self.counters["generated"] += self.bank.make(generator, plan, engine, self.device, allow)
        return [plan.path(i) for i in wanted]

    def _fill(
        self, backbone: Backbone, kind: str, depth: Depth, keys: list[bytes], payload: Any, rows: NDArray[Any] | None = None
    ) -> None:
        store = self.store(backbone, kind, depth)
        todo = list({key: i for i, key in enumerate(keys) if key not in store}.values())
        if not todo:
            return
        import torch

        encoder = self.encoder(backbone)

        def prepare(index: int) -> Any:
            try:
                return backbone.prepare(kind, payload(index))
            except GtimmError as error:
                row = f"Row {rows[index]}: " if rows is not None else ""
                raise type(error)(f"{row}{error}") from error

        with ThreadPoolExecutor() as workers, progress_bar(f"Embedding {kind}", len(todo), "items") as advance:
            for begin in range(0, len(todo), FLUSH):
                chunk = todo[begin : begin + FLUSH]
                prepared = workers.map(prepare, chunk)
                parts = []
                for start in range(0, len(chunk), BATCH):
                    batch = torch.stack([next(prepared) for _ in chunk[start : start + BATCH]])
                    with torch.inference_mode():
                        parts.append(encoder.encode(kind, batch.to(self.device), depth).float().cpu().numpy())
                    advance(len(batch))
                store.put([keys[i] for i in chunk], np.concatenate(parts))
                self.counters["embedded"] += len(chunk)


def open_workspace(store: str | PathLike[str] | None = None, device: str = "auto") -> Workspace:
    """Return the workspace of a store folder (default: `GTIMM_HOME`, else the user's cache folder); one a process.

    Args:
        store: the folder; made when something is written.
        device: `"auto"` takes CUDA where there is one.
    """
    return _open(str(Path(store).expanduser().resolve() if store is not None else default_home().resolve()), device)


@lru_cache(maxsize=32)
def _open(home: str, device: str) -> Workspace:
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Workspace(Path(home), device)
