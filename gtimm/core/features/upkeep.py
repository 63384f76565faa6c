"""The feature stores under a store folder: what there is, whether it is sound, and what may go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gtimm.core.errors import StoreError
from gtimm.core.features.shards import DamagedShardError, Shard, drop_rows
from gtimm.core.features.store import ABOUT, shard_files
from gtimm.core.files import sweep
from gtimm.core.plain import from_json

DAY = 86_400.0


@dataclass(frozen=True)
class StoreFacts:
    """One feature store.

    Attributes:
        folder: where it is.
        about: the content of its `about.json`; empty where that is lost.
        rows: stored rows, those of damaged shards left out.
        bytes: on disk.
        used: seconds since the epoch when it was last used.
        damaged: shards that cannot be opened.
    """

    folder: Path
    about: dict[str, Any]
    rows: int
    bytes: int
    used: float
    damaged: tuple[Path, ...] = ()

    @property
    def days(self) -> float:
        """Days since it was last used."""
        return max(0.0, (time.time() - self.used) / DAY)


@dataclass
class Damage:
    """What is wrong with one shard: it cannot be opened, or some rows have a wrong checksum."""

    path: Path
    reason: str
    rows: list[int] = field(default_factory=list)


def list_stores(home: Path) -> list[StoreFacts]:
    """Return the feature stores of a store folder, the last used first."""
    folder = home / "features"
    found = [_facts(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
    return sorted(found, key=lambda facts: -facts.used)


def verify(store: StoreFacts) -> list[Damage]:
    """Read every row of a store and return what is damaged."""
    found = []
    for path in shard_files(store.folder):
        try:
            shard = Shard(path)
            bad = shard.damaged().tolist()
        except FileNotFoundError:  # merged into another meanwhile
            continue
        except (DamagedShardError, OSError) as error:
            found.append(Damage(path, str(error)))
            continue
        if bad:
            found.append(Damage(path, f"{len(bad)} of {shard.rows} rows have a wrong checksum.", bad))
    return found


def repair(damages: Sequence[Damage]) -> int:
    """Drop damaged shards, and the damaged rows of the others; returns how many rows and shards went.

    Raises:
        StoreError: a file cannot be written or removed.
    """
    for damage in damages:
        try:
            if damage.rows:
                drop_rows(damage.path, damage.rows)
            else:
                damage.path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{damage.path} cannot be repaired: {error.strerror}.") from error
    return sum(max(1, len(damage.rows)) for damage in damages)


def unused(stores: Sequence[StoreFacts], days: float | None = None, backbone: str | None = None) -> list[StoreFacts]:
    """Return the stores not used for so many days and of a backbone (a part of its name or fingerprint, any case)."""

    def of(store: StoreFacts, wanted: str) -> bool:
        names = (store.folder.name, str(store.about.get("backbone", "")), str(store.about.get("fingerprint", "")))
        return any(wanted.lower() in name.lower() for name in names)

    return [s for s in stores if (days is None or s.days >= days) and (backbone is None or of(s, backbone))]


def remove(stores: Sequence[StoreFacts]) -> int:
    """Remove stores and return how many bytes that freed.

    Raises:
        StoreError: a folder cannot be removed.
    """
    for store in stores:
        try:
            shutil.rmtree(store.folder)
        except OSError as error:
            raise StoreError(f"{store.folder} cannot be removed: {error.strerror}.") from error
    return sum(store.bytes for store in stores)


def sweep_all(home: Path) -> int:
    """Remove what writers left behind when they died, in all stores; returns how many bytes that freed."""
    return sum(sweep(store.folder) for store in list_stores(home))


def _facts(folder: Path) -> StoreFacts:
    try:
        about = from_json((folder / ABOUT).read_text(encoding="utf-8"))
        used = (folder / ABOUT).stat().st_mtime
    except (OSError, ValueError):
        about, used = {}, folder.stat().st_mtime
    rows, damaged = 0, []
    for path in shard_files(folder):
        try:
            rows += Shard(path).rows
        except FileNotFoundError:
            continue
        except (DamagedShardError, OSError):
            damaged.append(path)
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return StoreFacts(folder, about if isinstance(about, dict) else {}, rows, size, used, tuple(damaged))
