"""Small real films for tests: H.264 and AAC, made by PyAV; every frame differs from every other."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 16_000
WIDTH, HEIGHT = 96, 64


def picture(index: int) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8: a red that rises with the index, a green ramp, a blue bar that wanders; no symmetry."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = index * 7 % 256
    image[..., 1] = np.linspace(0, 255, WIDTH, dtype=np.uint8)
    image[index * 3 % HEIGHT :, :, 2] = 200
    return image


def tone(seconds: float) -> np.ndarray:
    """(samples,) float32 at RATE, a sweep: no two moments are alike."""
    time = np.arange(int(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * (200 + 100 * time) * time)).astype(np.float32)


def film(
    path: Path,
    seconds: float = 4.0,
    *,
    sound: bool = True,
    gop: int = 12,
    times: Sequence[int] | None = None,
    rotation: float = 0,
    mirrored: bool = False,
    codec: str = "libx264",
    sound_codec: str = "aac",
    options: dict[str, str] | None = None,
) -> Path:
    """Write a film of 25 frames a second, or with frames at `times` in milliseconds; the suffix says the container."""
    times = [40 * i for i in range(round(seconds * 25))] if times is None else times
    with av.open(str(path), "w", options={"fflags": "+bitexact", **(options or {})}) as out:
        pictures = out.add_stream(codec, rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        pictures.codec_context.gop_size = gop
        pictures.codec_context.thread_count = 1  # the same bytes every time
        pictures.codec_context.time_base = Fraction(1, 1000) if codec == "libx264" else Fraction(1, 25)
        if rotation or mirrored:
            pictures.set_display_rotation(rotation, hflip=mirrored)
        track = out.add_stream(sound_codec, rate=RATE, layout="mono") if sound else None
        samples = tone(seconds if times is None else (times[-1] + 40) / 1000)
        done = 0
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = (time, Fraction(1, 1000)) if codec == "libx264" else (index, Fraction(1, 25))
            out.mux(pictures.encode(frame))
            while track is not None and done < min(len(samples), time * RATE // 1000 + 2048):
                part = av.AudioFrame.from_ndarray(samples[None, done : done + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = RATE, done, Fraction(1, RATE)
                out.mux(track.encode(part))
                done += 1024
        out.mux(pictures.encode())
        if track is not None:
            out.mux(track.encode())
    return path


def all_frames(path: Path) -> tuple[list[float], list[np.ndarray], float]:
    """Decode everything: seconds from the first frame, (height, width, 3) pixels, and the duration in seconds."""
    with av.open(str(path)) as found:
        stream = found.streams.video[0]
        frames = list(found.decode(stream))
        times = [float((frame.pts - frames[0].pts) * stream.time_base) for frame in frames]
        ticks = stream.duration
        duration = found.duration / 1e6 if ticks is None else float(ticks * stream.time_base)
        return times, [frame.to_ndarray(format="rgb24") for frame in frames], duration
