"""What the tests of engines send to other processes: workers, models and films that end the process that works at them, a few times."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gtimm.backbones.imagebind.tiny import ImageBindTiny
from gtimm.core.errors import DataError
from gtimm.core.films.clips import Clip
from gtimm.core.imputer import Failure
from gtimm.core.pool import Request
from gtimm.imputers.stable_diffusion import StableDiffusionTiny


def die(folder: Path, times: int = 1) -> None:
    """Kill this process, unless it or others were killed so often; the folder keeps count."""
    for count in range(times):
        try:
            (folder / f"died-{count}").touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)


def doubling(device: str) -> Callable[[int], int]:
    return lambda batch: batch * 2


def dying(folder: Path, times: int, device: str) -> Callable[[int], int]:
    """A worker that is killed at batch 3, the first so many times."""

    def work(batch: int) -> int:
        if batch == 3:
            die(folder, times)
        return batch * 2

    return work


def refusing(folder: Path, error: type[Exception], device: str) -> Callable[[int], int]:
    def work(batch: int) -> int:
        (folder / f"{batch}-{os.getpid()}-{len(list(folder.iterdir()))}").touch()
        raise error(f"batch {batch} is bad")

    return work


def unmakeable(folder: Path, device: str) -> Callable[[int], int]:
    (folder / f"{os.getpid()}-{len(list(folder.iterdir()))}").touch()
    raise DataError("there are no weights on this node")


def looking(device: str) -> Callable[[int], tuple[str, str]]:
    return lambda batch: (device, os.getcwd())


def meeting(folder: Path, device: str) -> Callable[[int], str]:
    """A worker that waits until the one of the other of two batches is at work."""

    def work(batch: int) -> str:
        (folder / str(batch)).touch()
        began = time.monotonic()
        while not (folder / str(1 - batch)).exists():
            if time.monotonic() - began > 60:
                raise DataError("nobody came")
            time.sleep(0.02)
        return device

    return work


def who(device: str) -> Callable[[int], int]:
    return lambda batch: os.getpid()


class SlowEncoder(ImageBindTiny):
    """Takes its time, and marks each batch that it begins in a folder."""

    folder: str
    seconds: float = 0.3

    def open(self, device: str = "cpu", dtype: str = "float32") -> Any:
        encoder = super().open(device, dtype)
        encode = encoder.encode

        def slow(*arguments: Any) -> Any:
            (Path(self.folder) / f"encoded-{time.monotonic_ns()}").touch()
            time.sleep(self.seconds)
            return encode(*arguments)

        encoder.encode = slow
        return encoder


class DyingEncoder(ImageBindTiny):
    """Ends its process at the 30th payload that it prepares, once; `folder` keeps count."""

    folder: str
    deadly: bool = True

    def prepare(self, kind: str, payload: Any) -> Any:
        if self.deadly and next(_prepared) == 30:
            die(Path(self.folder))
        return super().prepare(kind, payload)


_prepared = itertools.count()


class SlowGenerator(StableDiffusionTiny):
    """Takes its time."""

    folder: str

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Any]]:
        make = super().open(device)

        def work(requests: Sequence[Request]) -> list[Any | Failure]:
            time.sleep(0.3)
            return make(requests)

        return work


class DyingGenerator(StableDiffusionTiny):
    """Ends its process before the second batch that it makes, once; `folder` keeps count."""

    folder: str

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Any]]:
        make, begun = super().open(device), itertools.count()

        def work(requests: Sequence[Request]) -> list[Any | Failure]:
            if next(begun) == 1:
                die(Path(self.folder))
            return make(requests)

        return work


class DyingClip(Clip):
    """Ends the process that takes it from its parent, so many times."""

    def __reduce__(self) -> Any:
        plain = (self.name, self.label, self.group, self.image, self.audio, self.where)
        return _revived, (plain, self.group.split(";"))


def _revived(fields: tuple[Any, ...], where: list[str]) -> Clip:
    die(Path(where[0]), int(where[1]))
    return Clip(*fields)
