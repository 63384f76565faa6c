"""Pictures of videos, by FFmpeg: the frame that is shown at a moment, found by seeking and decoding from the key frame before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import ConfigError, MediaError
from gtimm.core.media import ffmpeg
from gtimm.core.media.image import check_pixels, load_image
from gtimm.core.media.part import FilmPart
from gtimm.core.media.sources import Payload, describe

if TYPE_CHECKING:
    from PIL.Image import Image

    Moments = Callable[[float], Sequence[float]]  # of a duration, seconds: rising seconds from the first frame

_NEAR = 2.0  # seconds; a frame not further ahead is reached by decoding on, which costs less than another key frame
_BACK = (0.0, 2.0, 10.0)  # seconds before the moment to seek to: an index in decoding order can point too late
_TICK = 1e-3  # of the unit of time stamps; rounding of seconds to it must not lose the frame that starts there


def still_kind(kind: str) -> str:
    """Return the kind as which a backbone of images embeds a payload: a video is the image of its middle frame."""
    return "image" if kind == "video" else kind


def load_still(kind: str, payload: Payload) -> Image:
    """Return the picture that stands for a payload of kind `"image"` or `"video"` (its middle frame, or an array, which is one), RGB."""
    film = kind == "video" and not isinstance(payload, (np.ndarray, FilmPart))
    return load_frame(payload) if film else load_image(payload)


def load_frame(payload: Payload, at: float | None = None) -> Image:
    """Decode one frame of a video: the last that starts at or before a moment.

    The file is sought, not decoded from its beginning, and the pixels are those that decoding everything gives. Where seeking
    yields nothing (damaged, cut short, without an index or a duration), all that decodes is decoded and counts as the video.

    Args:
        payload: a path or encoded bytes of any format that FFmpeg reads.
        at: seconds from the first frame; None is the middle of the duration. Later than the last frame gives the last frame.

    Returns:
        A PIL image of mode RGB, turned and mirrored as the file's display matrix says.

    Raises:
        MediaError: not a video, without a frame that decodes, more than `MAX_PIXELS` pixels; names the payload.
        ConfigError: `at` is negative or not a number.
    """
    if at is None:
        return _load(payload, lambda duration: [duration / 2])[0]
    moment = float(at)
    if not 0 <= moment < math.inf:
        raise ConfigError(f"The moment of a frame must be 0 or more seconds; found at={at}.")
    return _load(payload, lambda _: [moment])[0]


def load_frames(payload: Payload, count: int) -> list[Image]:
    """Decode `count` frames, those at the middles of as many equal parts of a video; one is `load_frame`'s. Raises as it does."""
    if count < 1:
        raise ConfigError(f"The number of frames must be 1 or more; found {count}.")
    return _load(payload, lambda duration: [duration * (part + 0.5) / count for part in range(count)])


def _load(payload: Payload, moments: Moments) -> list[Image]:
    with ffmpeg.container("Video", payload) as found:
        video = _Video(found, payload)
        frames = None if video.duration is None else video.at(moments(video.duration))
        if frames is not None:
            return frames
    return _by_decoding(payload, moments)


class _Video:
    """A video stream with the frame that is shown now and the next one."""

    def __init__(self, found: Any, payload: Payload) -> None:
        # A cover picture of a sound file is a stream of pictures too.
        streams = [s for s in found.streams.video if not int(s.disposition) & _attached() and s.codec_context is not None]
        if not streams:
            raise MediaError(f"Video {describe(payload)} has no pictures. Replace the file or drop the row.")
        self._file, self._stream, self._payload = found, streams[0], payload
        self._origin = self._stream.start_time or 0
        self._now: Any = None
        self._next: Any = None
        check_pixels(self._stream.codec_context.width, self._stream.codec_context.height, payload)
        self.duration = self._duration()

    def frames(self) -> Iterator[Any]:
        """Decode from where the file stands; frames come in the order in which they are shown."""
        return (frame for frame, _ in ffmpeg.decode(self._file, self._stream, self._payload))

    def at(self, moments: Sequence[float]) -> list[Image] | None:
        """Pictures at rising moments in seconds; None where one cannot be found by seeking."""
        pictures: list[Image] = []
        shown = None
        for moment in moments:
            frame = self._find(self._origin + math.floor(moment / self._stream.time_base + _TICK))
            if frame is None:
                return None
            pictures.append(pictures[-1] if frame is shown else _picture(frame, self._payload))
            shown = frame
        return pictures

    def _duration(self) -> float | None:
        if self._stream.duration is not None:
            seconds = float(self._stream.duration * self._stream.time_base)
        else:
            seconds = (self._file.duration or 0) / 1_000_000
        return seconds if seconds > 0 else None

    def _find(self, target: int) -> Any:
        near = self._now is not None and self._now.pts <= target < self._now.pts + self._ticks(_NEAR)
        if near and self._advance(target):
            return self._now
        for back in _BACK:
            if not self._seek(target - self._ticks(back)):
                return None
            if self._now.pts <= target:
                return self._now if self._advance(target) else None
        return None

    def _ticks(self, seconds: float) -> int:
        return int(seconds / self._stream.time_base)

    def _seek(self, target: int) -> bool:
        """Stand on the first key frame from `target` back; frames before it, which lack their references, are passed over."""
        import av

        try:
            self._file.seek(max(target, self._origin), stream=self._stream)
        except av.error.FFmpegError:
            return False
        self._rest = self.frames()
        self._now = next((frame for frame in self._rest if frame.key_frame or frame.pts is None), None)
        self._next = next(self._rest, None)
        return self._now is not None and self._now.pts is not None

    def _advance(self, target: int) -> bool:
        """Go on to the last frame that starts at or before `target`; False where a frame has no time stamp."""
        while self._next is not None:
            if self._next.pts is None:
                return False
            if self._next.pts > target:
                return True
            self._now, self._next = self._next, next(self._rest, None)
        return True


def _by_decoding(payload: Payload, moments: Moments) -> list[Image]:
    """Decode twice, for the times and then for the pictures, so that one frame at a time is held."""
    with ffmpeg.container("Video", payload) as found:
        times = [frame.time for frame in _Video(found, payload).frames()]
    if not times:
        raise MediaError(f"Video {describe(payload)} has no frame that decodes. Replace the file or drop the row.")
    if any(time is None for time in times):  # a bare stream: no times, so evenly spaced ones
        times = [index / 25 for index in range(len(times))]
    seconds = np.maximum.accumulate(np.array(times) - times[0])
    duration = float(seconds[-1]) * len(times) / max(len(times) - 1, 1)
    places = [int(np.searchsorted(seconds, moment + 1e-6, side="right")) - 1 for moment in moments(duration)]
    pictures: dict[int, Image] = {}
    with ffmpeg.container("Video", payload) as found:
        for index, frame in enumerate(_Video(found, payload).frames()):
            if index in places:
                pictures[index] = _picture(frame, payload)
            if index >= max(places):
                break
    return [pictures[place] for place in places]


def _picture(frame: Any, payload: Payload) -> Image:
    from PIL import Image

    check_pixels(frame.width, frame.height, payload)
    pixels = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        # Rows (a, b, u), (c, d, v), (x, y, w) in fixed point: a pixel at (p, q) is shown at (a p + c q + x, b p + d q + y).
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32, count=5).astype(np.int64).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            pixels, a, d = pixels.transpose(1, 0, 2), c, b
        pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return Image.fromarray(np.ascontiguousarray(pixels))


def _attached() -> int:
    from av.stream import Disposition

    return int(Disposition.attached_pic)
