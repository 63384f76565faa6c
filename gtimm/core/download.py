"""Published weights: fetched only when asked for, resumable, with their digest recorded."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gtimm.core.errors import ConfigError, StoreError, WeightsError, did_you_mean
from gtimm.core.files import default_home, whole_file
from gtimm.core.progress import progress_bar

BLOCK = 1 << 20
TIMEOUT = 60


@dataclass(frozen=True)
class Remote:
    """A file of weights that its authors publish.

    Attributes:
        file: name under the store folder's `weights/`.
        url: where it comes from.
        size: about how many bytes.
        licence: of the weights.
    """

    file: str
    url: str
    size: int
    licence: str

    @property
    def path(self) -> Path:
        """Where it is kept: `weights/` in the default store folder."""
        return default_home() / "weights" / self.file


REMOTES: Mapping[str, Remote] = MappingProxyType(
    {
        "imagebind": Remote(
            "imagebind_huge.pth",
            "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
            4_803_584_173,
            "CC BY-NC-SA 4.0",
        )
    }
)


def download(name: str, remotes: Mapping[str, Remote] = REMOTES) -> Path:
    """Fetch published weights, or go on where an earlier attempt stopped.

    Beside the file, `<file>.sha256` records its digest; the part that is there already is `<file>.part`.

    Raises:
        ConfigError: nothing of that name can be fetched.
        WeightsError: the server cannot be reached, or sends something else than the rest of the file.
        StoreError: the folder cannot be written.
    """
    if name not in remotes:
        raise ConfigError(f"There is nothing to download for {name!r}.{did_you_mean(name, remotes)} Known: {', '.join(remotes)}.")
    remote = remotes[name]
    if remote.path.is_file():
        return remote.path
    part = remote.path.with_suffix(remote.path.suffix + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _fetch(remote, part)
        digest = _digest(part)
        with whole_file(remote.path.with_suffix(remote.path.suffix + ".sha256")) as temporary:
            temporary.write_text(f"{digest}  {remote.file}\n", encoding="utf-8")
        part.replace(remote.path)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise WeightsError(
            f"{remote.url} cannot be fetched: {error}. What is there is kept in {part}; run the command again to go on, or put the "
            f"file at {remote.path} yourself."
        ) from error
    except OSError as error:
        raise StoreError(
            f"Cannot write {part}: {error.strerror or error}. Free some space; run the command again to go on."
        ) from error
    return remote.path


def _fetch(remote: Remote, part: Path) -> None:
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(remote.url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - from REMOTES
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310 - from REMOTES
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to fetch
            return
        raise
    with answer:
        resumed = answer.status == 206
        have = have if resumed else 0
        total = have + int(answer.headers.get("Content-Length") or 0)
        with part.open("ab" if resumed else "wb") as file, progress_bar(f"Downloading {remote.file}", total, "bytes") as advance:
            advance(have)
            while block := answer.read(BLOCK):
                file.write(block)
                advance(len(block))
            file.flush()
            os.fsync(file.fileno())
    if total and part.stat().st_size != total:
        raise ConnectionError(f"the connection ended after {part.stat().st_size:,} of {total:,} bytes")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
