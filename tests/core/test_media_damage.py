"""Damaged media files: each is decoded, or refused by a `MediaError` that names it, within seconds, and never a crash.

The files are decoded in another process, so that a crash or a hang of a decoder is a failure of the test and not of pytest.
"""

from __future__ import annotations

import faulthandler
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SECONDS = 5.0  # for one file
MEMORY = 2**30  # bytes, of the whole process at its peak
FILES = {"image": 70, "audio": 65, "video": 65}


def originals(kind: str, folder: Path) -> list[bytes]:
    """Encoded files of the kind, in many formats."""
    import soundfile
    from films import RATE, film, picture, tone
    from PIL import Image

    paths = []
    if kind == "image":
        for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp"):
            paths.append(folder / f"o.{suffix}")
            Image.fromarray(picture(5)).save(paths[-1])
    elif kind == "audio":
        for suffix in ("wav", "flac", "ogg", "mp3"):
            paths.append(folder / f"o.{suffix}")
            soundfile.write(paths[-1], np.stack([tone(1.0), tone(1.0)], axis=1), RATE)
        paths.append(film(folder / "o.mp4", 1.0))
    else:
        front = {"movflags": "faststart"}
        paths += [film(folder / "o.mp4", 2.0), film(folder / "f.mp4", 2.0, options=front), film(folder / "o.mkv", 2.0)]
        paths += [film(folder / "o.ts", 2.0), film(folder / "o.avi", 2.0, codec="mpeg4", sound=False)]
    return [path.read_bytes() for path in paths]


def flip(content: bytearray, random: np.random.Generator, end: int) -> bytearray:
    for place in random.integers(0, 8 * min(end, len(content)), random.integers(1, 30)).tolist():
        content[place // 8] ^= 1 << place % 8
    return content


def huge(content: bytearray, random: np.random.Generator) -> bytearray:
    """Let the header promise more than any file holds: some of its 4-byte fields become the largest number."""
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(4, min(len(content), 400) - 4))
        content[place : place + 4] = b"\xff\xff\xff\xff" if random.random() < 0.5 else b"\x7f\xff\xff\xf0"
    return content


def zero(content: bytearray, random: np.random.Generator) -> bytearray:
    begin, length = int(random.integers(0, len(content))), int(random.integers(1, 2000))
    return content[:begin] + bytes(len(content[begin : begin + length])) + content[begin + length :]


MUTATIONS: dict[str, Callable[[bytearray, np.random.Generator], bytearray]] = {
    "flips anywhere": lambda content, random: flip(content, random, len(content)),
    "flips in the header": lambda content, random: flip(content, random, 200),
    "flips at the end": lambda content, random: content[:-2000] + flip(content[-2000:], random, 2000),
    "cut": lambda content, random: content[: int(random.integers(0, len(content)))],
    "zeros": zero,
    "huge header": huge,
}


def write_damaged(kind: str, folder: Path) -> list[Path]:
    random = np.random.default_rng(list(FILES).index(kind))
    sources = originals(kind, folder)
    suffixes = [".png", ".jpg", ".wav", ".raw", ".mp3", ".mp4", ".flac", ""]
    paths = [folder / "empty.mp4", folder / "null.jpg"]
    paths[0].write_bytes(b"")
    paths[1].write_bytes(bytes(1000))
    for index in range(FILES[kind] - len(paths)):
        name, mutate = list(MUTATIONS.items())[index % len(MUTATIONS)]
        content = mutate(bytearray(sources[index % len(sources)]), random)
        path = folder / f"{index:03} {name}{suffixes[random.integers(len(suffixes))]}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def decode_all(kind: str, paths: list[str]) -> None:
    """Print one JSON line a file. Runs in a process of its own; a file that takes too long ends it, with a trace."""
    from gtimm.core.errors import MediaError
    from gtimm.core.media import load_audio, load_frame, load_frames, load_image

    load = {"image": load_image, "audio": load_audio, "video": lambda path: (load_frame(path), load_frames(path, 3))}[kind]
    for path in paths:
        faulthandler.dump_traceback_later(4 * SECONDS, exit=True)
        began, error = time.process_time(), ""
        try:
            load(path)
        except MediaError as found:
            error = str(found)
        seconds = time.process_time() - began
        print(json.dumps({"path": path, "seconds": seconds, "error": error}), flush=True)
    faulthandler.cancel_dump_traceback_later()
    status = Path("/proc/self/status").read_text().split()  # unlike ru_maxrss, does not begin at the parent's peak
    print(json.dumps({"peak": int(status[status.index("VmHWM:") + 1]) * 1024}))


@pytest.mark.parametrize("kind", FILES)
def test_damaged_files_are_decoded_or_named(tmp_path: Path, kind: str) -> None:
    paths = write_damaged(kind, tmp_path)
    call = [sys.executable, "-W", "ignore", __file__, kind, *map(str, paths)]
    done = subprocess.run(call, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    *results, last = [json.loads(line) for line in done.stdout.splitlines()] or [{}]
    assert done.returncode == 0, f"ended after {last}: {done.stderr[-2000:]}"
    assert [result["path"] for result in results] == [str(path) for path in paths]
    assert last["peak"] < MEMORY
    for result in results:
        assert result["seconds"] < SECONDS, result
        assert not result["error"] or Path(result["path"]).name in result["error"], result
    refused = sum(bool(result["error"]) for result in results)
    assert len(paths) // 8 < refused < len(paths) * 7 // 8


if __name__ == "__main__":
    decode_all(sys.argv[1], sys.argv[2:])
