"""Texts that a model's context cuts are counted, in this process and in the workers forked from it, and a warning says so."""

from __future__ import annotations

import mmap
import os
import threading
import warnings
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.backbone import Backbone

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer
    from torch import Tensor

    from gtimm.core.media import Payload

_LOCK = threading.Lock()


class Overlong:
    """Texts of one model that were cut in this process and in workers forked from it.

    The counts lie in memory shared with forked workers, each process in a place of its own, so that no lock is needed between
    them: a worker may be killed at any time.

    Args:
        context: tokens that the model reads, start and end included.
    """

    def __init__(self, context: int) -> None:
        self.context = context
        self._places = np.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), np.int64).reshape(2, -1)
        self._said = self._quiet = False

    @property
    def count(self) -> int:
        """How many texts were cut."""
        return int(self._places[0].sum())

    @property
    def longest(self) -> int:
        """Tokens of the longest of them, start and end included; 0 where none was cut."""
        return int(self._places[1].max())

    def add(self, tokens: int) -> None:
        """Count a text of so many tokens."""
        place = os.getpid() % self._places.shape[1]
        with _LOCK:
            self._places[0, place] += 1
            self._places[1, place] = max(self._places[1, place], tokens)

    def warn_once(self) -> None:
        """Warn with the number so far, unless that was done before."""
        if self.count and not self._said and not self._quiet:
            self._said = True
            self._warn(self.count, "so far ")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Warn once, at the end of the block, with the number of texts cut in it."""
        before, self._quiet = self.count, True
        try:
            yield
        finally:
            self._quiet = False
        if cut := self.count - before:
            self._said = True
            self._warn(cut, "")

    def _warn(self, cut: int, when: str) -> None:
        warnings.warn(
            f"{cut} texts {when}are too long and were cut: the model reads {self.context} tokens, start and end included, so the first "
            f"{self.context - 2} of each are kept. The longest has {self.longest}. `overlong.count` of the backbone goes on counting.",
            RuntimeWarning,
            stacklevel=2,
        )


@cache
def overlong(*model: Hashable, context: int) -> Overlong:
    """Return the counter of a model; all its backbones and encoders in this process share it."""
    return Overlong(context)


def token_ids(tokenizer: SimpleTokenizer, text: str, overlong: Overlong | None) -> Tensor:
    """Encode a text to (context,) int64 ids of CLIP's byte-pair vocabulary, zeros behind its end; one that is cut is counted."""
    ids: Tensor = tokenizer([text])[0]
    if overlong is not None and int(ids[-1]) == tokenizer.eot_token_id and (tokens := len(tokenizer.encode(text)) + 2) > len(ids):
        overlong.add(tokens)
    return ids


class CutsTexts(Backbone):
    """A backbone whose context cuts long texts. Its encoder calls `overlong.warn_once` when it gets texts."""

    @property
    @abstractmethod
    def overlong(self) -> Overlong:
        """Counts the texts that this process has cut to the model's context: `overlong.count`, `overlong.longest`."""

    def preprocess(self, kind: str, payload: Payload) -> Tensor:
        """As `Backbone.preprocess`; the first text that is cut warns."""
        tensor = super().preprocess(kind, payload)
        self.overlong.warn_once()
        return tensor

    def embed(self, payloads: Mapping[str, Sequence[Payload]], *, device: str = "cpu", batch_size: int = 64) -> dict[str, Tensor]:
        """As `Backbone.embed`; one warning says how many texts were cut."""
        with self.overlong.together():
            return super().embed(payloads, device=device, batch_size=batch_size)
