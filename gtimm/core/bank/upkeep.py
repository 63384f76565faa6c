"""The banks under a store folder: what there is, whether it is sound, and how it is mended."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gtimm.core.bank.files import ABOUT, FAILURES, LOG, REJECTED, REJECTIONS, Log, is_sound
from gtimm.core.bank.labelled import SUFFIXES
from gtimm.core.bank.lines import CLAIMS
from gtimm.core.claims import claim
from gtimm.core.errors import ConfigError, MediaError, StoreError, did_you_mean
from gtimm.core.files import file_digest, leads_out
from gtimm.core.media import load_audio, load_image
from gtimm.core.plain import from_json
from gtimm.core.progress import progress_bar

IMPORTED = "imported"
"""What stands as the generator of a bank that was imported."""
IMPORT_LOCK = ".import.lock"
DIGEST = "sha256"
"""Field of an imported item's line: hex SHA-256 of its file."""


@dataclass(frozen=True)
class BankFacts:
    """One bank.

    Attributes:
        folder: where it is.
        about: the content of its `about.json`; empty where that is lost.
        kind: `"image"` or `"audio"`; `None` where it has no items.
        items: how many there are.
        failures: how many could not be made and were not since.
        rejected: how many a gate turned down.
        bytes: on disk, of items, rejected ones and logs.
    """

    folder: Path
    about: dict[str, Any]
    kind: str | None
    items: int
    failures: int
    rejected: int
    bytes: int

    @property
    def imported(self) -> bool:
        """Whether the items were imported, so that nothing here can make them again."""
        return self.about.get("generator") == IMPORTED

    @property
    def seconds_per_item(self) -> dict[str, float]:
        """Seconds that an item took, by device."""
        found = self.about.get("seconds_per_item")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Damage:
    """What is wrong with one file, or with one line of the log.

    Attributes:
        name: of the file relative to the bank's folder, or as its line has it.
        reason: a sentence.
        remove: the file is of no use; `repair` removes it.
        keep: the file is sound and only its line lacks: `repair` leaves it for the run that wants it.
    """

    name: str
    reason: str
    remove: bool = False
    keep: bool = False


@dataclass
class Mended:
    """What `repair` did: items removed, lines taken out, files without a line kept."""

    removed: list[str] = field(default_factory=list)
    lines: int = 0
    kept: int = 0


def bank_folder(home: Path) -> Path:
    """Return where a store folder has its banks."""
    return home / "bank"


def list_banks(home: Path) -> list[BankFacts]:
    """Return the banks of a store folder, by name."""
    folder = bank_folder(home)
    return [facts(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def find_bank(home: Path, name: str) -> Path:
    """Return the folder of a bank.

    Args:
        home: the store folder.
        name: its folder's name under `<home>/bank`, a prefix that only one has, or a path.

    Raises:
        ConfigError: none, or several.
    """
    root = bank_folder(home)
    known = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if name in known:
        return root / name
    found = [one for one in known if name and one.startswith(name)]
    if len(found) == 1:
        return root / found[0]
    if Path(name).expanduser().is_dir() and name:
        return Path(name).expanduser()
    if found:
        raise ConfigError(f"{len(found)} banks begin with {name!r}: {', '.join(found)}. Write more of the name.")
    raise ConfigError(
        f"There is no bank {name!r} in {root}, and no such folder.{did_you_mean(name, known)} Banks: {', '.join(known) or 'none'}."
    )


def facts(folder: Path) -> BankFacts:
    """Return what one bank is; nothing is decoded."""
    try:
        about = from_json((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        about = {}
    items = list(item_files(folder))
    kinds = [SUFFIXES[path.suffix.lower()] for path in items[:1]]
    failed = {r["file_name"] for r in Log(folder / FAILURES).read()}
    rejected = {r["file_name"] for r in Log(folder / REJECTED / REJECTIONS).read()}
    return BankFacts(
        folder,
        about if isinstance(about, dict) else {},
        kinds[0] if kinds else None,
        len(items),
        len(failed),
        len(rejected),
        sum(_size(Path(root) / name) for root, _, names in os.walk(folder) for name in names),
    )


def item_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a bank's items, links included, by name; rejected and half-written ones are none."""
    for below in sorted(folder.iterdir()):
        if below.name.startswith(".") or below.name == REJECTED or below.is_symlink() or not below.is_dir():
            continue
        for root, folders, names in os.walk(below):
            folders.sort()
            yield from (Path(root) / name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES)


def verify(folder: Path) -> list[Damage]:
    """Read every item of a bank, and compare files and log; nothing is changed.

    An item is damaged where it is cut short, a checksum of PNG or of an imported item does not hold, or it does not decode. While
    another process fills the bank, files whose line may be still to come are no damage.
    """
    log = Log(folder / LOG)
    digests = {record["file_name"]: record.get(DIGEST) for record in log.read()}
    files = list(item_files(folder))
    found: list[Damage] = []
    with progress_bar(f"Verifying {folder.name}", len(files), "items") as advance:
        for path in files:
            name = path.relative_to(folder).as_posix()
            if (reason := _wrong(folder, name, digests.get(name))) is not None:
                found.append(Damage(name, reason, remove=True))
            advance(1)
    bad = {damage.name for damage in found}
    found += [damage for damage in _lines(folder, log) if damage.name not in bad]
    names = {record["file_name"] for record in log.read()}
    lost = [name for path in files if (name := path.relative_to(folder).as_posix()) not in names | bad and path.is_file()]
    if lost and not _being_filled(folder):
        found += [Damage(name, f"has no line in {LOG}", keep=True) for name in lost]
    return found


def repair(folder: Path, damages: Sequence[Damage]) -> Mended:
    """Remove damaged items and mend the log: lines of what is gone, lines cut off, repeated or leading out of the folder go.

    A link that leads out is removed, never what it leads to. What another process made anew meanwhile stays.

    Raises:
        StoreError: a file cannot be removed or written.
    """
    done = Mended(kept=sum(damage.keep for damage in damages))
    log = Log(folder / LOG)
    digests = {record["file_name"]: record.get(DIGEST) for record in log.read()}
    for damage in damages:
        path = folder / damage.name if damage.remove else None
        if path is None or _wrong(folder, damage.name, digests.get(damage.name)) is None:
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} is damaged and cannot be removed: {error.strerror}.") from error
        done.removed.append(damage.name)
    if not log.path.is_file():
        return done

    def keep(record: dict[str, Any], again: bool) -> bool:
        name = record["file_name"]
        return not again and leads_out(folder, name) is None and os.path.isfile(folder / name)

    before = sum(1 for _ in _raw(log))
    log.rewrite(keep)
    done.lines = before - sum(1 for _ in _raw(log))
    return done


def _wrong(folder: Path, name: str, digest: str | None) -> str | None:
    """Return what is wrong with an item's file, `None` where it is sound or no longer there."""
    path = folder / name
    if reason := leads_out(folder, name):
        return reason
    if not path.exists():
        return "is a symbolic link to nothing" if path.is_symlink() else None
    if not is_sound(path):
        return "is cut short or has a wrong checksum"
    try:
        if digest is not None and file_digest(path) != digest:
            return "is not what was imported: its checksum changed"
        (load_image if SUFFIXES[path.suffix.lower()] == "image" else load_audio)(path)
    except (MediaError, StoreError, OSError) as error:
        return f"cannot be read: {error}"
    return None


def _lines(folder: Path, log: Log) -> Iterator[Damage]:
    """Yield what is wrong with lines of the log."""
    seen: set[str] = set()
    for number, line in _raw(log):
        try:
            name = from_json(line)["file_name"]
        except (ValueError, KeyError, TypeError):
            name = None
        if not isinstance(name, str):
            yield Damage(f"{LOG}, line {number}", "is cut short or no JSON object with file_name")
        elif name in seen:
            yield Damage(name, f"stands twice in {LOG}")
        elif reason := leads_out(folder, name):
            yield Damage(name, f"{reason}; {LOG}, line {number}")
        elif not os.path.isfile(folder / name):
            yield Damage(name, f"is in {LOG} and not in the folder")
        if isinstance(name, str):
            seen.add(name)


def _raw(log: Log) -> Iterator[tuple[int, str]]:
    if log.path.is_file():
        for number, line in enumerate(log.path.read_text("utf-8", "replace").split("\n"), 1):
            if line:
                yield number, line


def _being_filled(folder: Path) -> bool:
    """Return whether a live process has claimed a batch of this bank, or imports into it."""
    for path in [*(folder / CLAIMS).glob("*.lock"), *folder.glob(IMPORT_LOCK)]:
        mine = claim(path)
        if mine is None:
            return True
        mine.release()
    return False


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # gone meanwhile
        return 0
