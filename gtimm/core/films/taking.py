"""Workers that take frames and sounds out of films: each in a process of its own here, or an engine's elsewhere."""

from __future__ import annotations

import io
import multiprocessing
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.core.errors import LostBatchError, MediaError, StoreError
from gtimm.core.features.workers import can_fork, forked, forking
from gtimm.core.files import whole_file
from gtimm.core.films.clips import Clip
from gtimm.core.films.prepared import JPEG_QUALITY, RATE, Form, Record, bounds
from gtimm.core.media import FilmPart, has_sound, load_audio, load_image
from gtimm.core.seeding import torch_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gtimm.core.engine import Engine

AHEAD = 4  # clips under way for each worker
LOOK = 0.5  # seconds between looks at whether the user, or a batch system, interrupted
TAKEN_DOWN = "the decoder took its process down"


def take_all(todo: Sequence[Clip], folder: Path, form: Form, workers: int) -> Iterator[Record]:
    """Yield records as they come; a film whose decoder takes its process down is found by trying those under way alone."""
    left = list(reversed(todo))
    import torchaudio.functional  # noqa: F401 - before the workers are forked, so that none of them spends seconds on it

    while left:
        pool = _pool(min(workers, len(left)))
        running: dict[Future[Record], Clip] = {}
        suspects: list[Clip] = []
        try:
            with _held_back() as interrupt:
                while (left or running) and not suspects:
                    while left and len(running) < AHEAD * workers:
                        with forking():
                            running[pool.submit(_take, left[-1], folder, form)] = left[-1]
                        left.pop()
                    for future in wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done:
                        record = future.result()
                        del running[future]
                        yield record
                    interrupt()
        except BrokenProcessPool:
            interrupt()  # a batch system ends the workers too
            suspects = list(running.values())
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            done = [future for future in running if not future.cancelled() and future.exception() is None]
            yield from (future.result() for future in done)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        for clip in suspects:
            yield _alone(clip, folder, form)


def take_elsewhere(todo: Sequence[Clip], folder: Path, form: Form, engine: Engine) -> Iterator[Record]:
    """Yield records as they come from an engine's workers, which see films and folder; a clip that costs each of them its life failed."""
    left = list(todo)
    while left:
        done: set[int] = set()
        try:
            with closing(engine.run(partial(_taker, folder, form), left)) as records:
                for index, record in records:
                    done.add(index)
                    yield record
        except LostBatchError as error:
            lost = error.batch
        else:
            return
        yield _record(left[lost], None, None, False, {"film": TAKEN_DOWN})
        left = [clip for index, clip in enumerate(left) if index not in {*done, lost}]


def _taker(folder: Path, form: Form, device: str) -> Callable[[Clip], Record]:
    if not folder.is_dir():
        raise StoreError(
            f"{folder} is not there on {platform.node()}, where a worker is. Give a folder that all nodes of the cluster share."
        )

    def take(clip: Clip) -> Record:
        with torch_threads(1):
            return _take(clip, folder, form)

    return take


@contextmanager
def _held_back() -> Iterator[Callable[[], None]]:
    """Hold interruptions back, since an exception may be raised where Python drops it, as in a finaliser; yield what lets them happen."""
    usual: dict[int, Callable[..., Any]] = {}
    if threading.current_thread() is threading.main_thread():
        every = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        usual = {number: handler for number, handler in every.items() if callable(handler)}
    seen: list[int] = []

    def interrupt() -> None:
        if seen:
            usual[seen[0]](seen[0], None)

    for number in usual:
        signal.signal(number, lambda number, _: seen.append(number))
    try:
        yield interrupt
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def _alone(clip: Clip, folder: Path, form: Form) -> Record:
    with _pool(1) as pool:
        try:
            with forking():
                taken = pool.submit(_take, clip, folder, form)
            return taken.result()
        except BrokenProcessPool:
            return _record(clip, None, None, False, {"film": TAKEN_DOWN})


def _pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("fork" if can_fork() else "spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(os.getpid(),))


def _begin(parent: int) -> None:
    """Leave interruptions to the parent, end when it is gone, and compute with one thread."""
    forked()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _take(clip: Clip, folder: Path, form: Form) -> Record:
    """Write a clip's frame and sound and return its record; runs in a worker."""
    frame, sound = form.files(clip)
    failed: dict[str, str] = {}
    silent = False
    try:
        if clip.image is not None:
            _write_frame(load_image(clip.image), folder / frame, form)
    except MediaError as error:
        failed["image"] = str(error)
    try:
        silent = _is_silent(clip)
        if clip.audio is not None and not silent:
            _write_sound(clip.audio, folder / sound, form)
    except MediaError as error:
        failed["audio"] = str(error)
    lacks_frame, lacks_sound = clip.image is None or "image" in failed, clip.audio is None or silent or "audio" in failed
    return _record(clip, None if lacks_frame else frame, None if lacks_sound else sound, silent, failed)


def _is_silent(clip: Clip) -> bool:
    """Return whether a clip has no sound: none is known of, or its film has no sound track."""
    if clip.audio is None:
        return True
    try:
        return not has_sound(clip.film)
    except MediaError:
        if clip.image is not None:
            raise
        return False  # of a form that only soundfile knows, or damaged: decoding says it


def _record(clip: Clip, frame: str | None, sound: str | None, silent: bool, failed: dict[str, str]) -> Record:
    return Record(clip.name, bounds(clip.image), bounds(clip.audio), frame, sound, silent, *film_state(clip.film), failed)


def film_state(film: Path) -> tuple[int, int]:
    """Return the size in bytes and the time of change in ns of a film; zeros where it is gone."""
    try:
        state = film.stat()
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _write_frame(image: Any, path: Path, form: Form) -> None:
    options = {"format": "PNG"} if form.frames == "png" else {"format": "JPEG", "quality": JPEG_QUALITY, "subsampling": 0}
    with whole_file(path) as temporary:
        image.save(temporary, **options)


def _write_sound(part: FilmPart, path: Path, form: Form) -> None:
    import numpy as np
    import soundfile

    values = to_mono(*load_audio(part)) * 32_768
    rounded = np.rint(values).clip(-32_768, 32_767).astype(np.int16)  # libsndfile would cut, not round
    memory = io.BytesIO()  # libsndfile does not say why a disk refuses
    soundfile.write(memory, rounded, RATE, format=form.sound.upper(), subtype="PCM_16")
    with whole_file(path) as temporary:
        temporary.write_bytes(memory.getvalue())


def to_mono(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Return the first channel at 16 kHz, resampled as ImageBind's `data.py` does (torchaudio, windowed sinc).

    Args:
        samples: (channels, n) in -1..1.
        rate: Hz.

    Returns:
        (m,) float32, m about n x 16000 / rate.
    """
    import torch
    from torchaudio.functional import resample

    ratio = Fraction(rate, RATE).limit_denominator(640)  # an odd rate would need a kernel of gigabytes
    first = torch.from_numpy(samples[:1].copy())
    mono: NDArray[np.float32] = resample(first, ratio.numerator, ratio.denominator)[0].numpy()
    return mono
