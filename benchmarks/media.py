"""The middle frame and a second of sound from a film, by seeking, against decoding the whole file.

A film of 10 seconds, 320x240 at 25 frames a second, H.264 and AAC, with a key frame every 2 seconds, as web video has. Both ways
give the same pixels and, but for rounding, the same samples. What bounds seeking is opening the file and decoding from the key
frame before the middle, so the worst case, a film whose only key frame is its first, is timed as well. The last line is the
ratio for the usual film; at least 3 is expected.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from gtimm.core.media import load_audio, load_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECONDS, FPS, WIDTH, HEIGHT, RATE, REPEATS, EXPECTED = 10, 25, 320, 240, 48_000, 30, 3.0
CUT = (4.5, 5.5)  # seconds


def film(path: Path, key_frame_every: int) -> Path:
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (HEIGHT // 8, WIDTH // 2, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    moments = np.arange(SECONDS * RATE) / RATE
    samples = (0.5 * np.sin(2 * np.pi * (200 + 50 * moments) * moments)).astype(np.float32)
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("libx264", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        pictures.codec_context.gop_size = key_frame_every
        track = out.add_stream("aac", rate=RATE, layout="mono")
        done = 0
        for index in range(SECONDS * FPS):
            view = np.ascontiguousarray(texture[:, 3 * index : 3 * index + WIDTH])
            out.mux(pictures.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
            while done < min(len(samples), (index + 1) * RATE // FPS):
                part = av.AudioFrame.from_ndarray(samples[None, done : done + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = RATE, done, Fraction(1, RATE)
                out.mux(track.encode(part))
                done += 1024
        out.mux(pictures.encode())
        out.mux(track.encode())
    return path


def by_seeking(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return np.asarray(load_frame(path)), load_audio(path, *CUT)[0]


def by_decoding(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One frame is kept as pixels, the rest is only decoded: the fastest way without seeking."""
    begin, end = (round(seconds * RATE) for seconds in CUT)
    parts: list[Any] = []
    with av.open(str(path)) as found:
        half = found.streams.video[0].duration * found.streams.video[0].time_base / 2
        middle = None
        for frame in found.decode(video=0, audio=0):
            if isinstance(frame, av.AudioFrame):
                parts.append(frame.to_ndarray())
            elif frame.pts * frame.time_base <= half:
                middle = frame
        assert middle is not None
        return middle.to_ndarray(format="rgb24"), np.concatenate(parts, axis=1)[:, begin:end]


def ratio(path: Path) -> float:
    """Median of the time of decoding all over the time of seeking, in one process, the two by turns."""
    (pixels, samples), (all_pixels, all_samples) = by_seeking(path), by_decoding(path)
    np.testing.assert_array_equal(pixels, all_pixels)
    np.testing.assert_allclose(samples, all_samples, atol=1e-4)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        by_seeking(path)
        middle = time.perf_counter()
        by_decoding(path)
        times.append((middle - began, time.perf_counter() - middle))
    seeking, decoding = (1000 * statistics.median(way) for way in zip(*times, strict=True))
    print(f"seeking {seeking:.1f} ms, decoding all {decoding:.1f} ms (medians of {REPEATS})")
    return statistics.median(whole / part for part, whole in times)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        worst = ratio(film(Path(folder) / "worst.mp4", key_frame_every=SECONDS * FPS))
        print(f"with one key frame, seeking is {worst:.1f} times faster")
        usual = ratio(film(Path(folder) / "usual.mp4", key_frame_every=2 * FPS))
    print(f"seeking is {usual:.1f} times faster (median of {REPEATS}; at least {EXPECTED} expected)")
    return 0 if usual >= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
