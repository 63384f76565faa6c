"""A part of a film as a payload: a picture and a sound by one path, decoded when they are used."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gtimm.core.errors import ConfigError


@dataclass(frozen=True)
class FilmPart:
    """A film between two moments. As an image it is the frame shown in the middle, as audio the sound between them.

    Attributes:
        path: a file of any format that FFmpeg reads.
        start: seconds from the beginning; None, with `end`, is the whole film.
        end: seconds from the beginning; later than the film's end is its end, for sound and for pictures each by itself.

    Raises:
        ConfigError: bounds that are not 0 <= start < end, or only one of them.

    Example:
        >>> FilmPart("match.mp4", 12.0, 20.0).middle
        16.0
    """

    path: str
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        if self.start is None and self.end is None:
            return
        if self.start is None or self.end is None or not 0 <= self.start < self.end < math.inf:
            raise ConfigError(
                f"A part of a film has 0 <= start < end in seconds, or neither; found {self.start}, {self.end} ({self.path!r})."
            )

    @property
    def middle(self) -> float | None:
        """The moment of the picture in seconds; None is the middle of the film."""
        return None if self.start is None or self.end is None else (self.start + self.end) / 2
