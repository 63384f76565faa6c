"""Seconds of a contender's phases, by the clock and of the processor; written to the file that PEERS_LAPS names when it ends.

Lines of a contender that name this module are measurement, not its user's code, and are not counted as such.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import time
from pathlib import Path
from typing import Any

_STARTED = float(os.environ.get("PEERS_STARTED", time.time()))
_laps: dict[str, list[float]] = {}
_phase, _since = "start", (_STARTED - time.time() + time.perf_counter(), 0.0)


def lap(phase: str) -> None:
    """End the phase that is running, add its seconds to those it had, and begin another; a process begins in `start`."""
    global _phase, _since
    now = (time.perf_counter(), time.process_time() + sum(os.times()[2:4]))
    spent = _laps.setdefault(_phase, [0.0, 0.0])
    for which in (0, 1):
        spent[which] += now[which] - _since[which]
    _phase, _since = phase, now


def around(cls: type, method: str, phase: str) -> None:
    """Count what happens inside a method as a phase of its own, wherever it is called from."""
    inner = getattr(cls, method)

    @functools.wraps(inner)
    def timed(*args: Any, **kwargs: Any) -> Any:
        before = _phase
        lap(phase)
        try:
            return inner(*args, **kwargs)
        finally:
            lap(before)

    setattr(cls, method, timed)


@atexit.register
def _write() -> None:
    lap("end")
    if "PEERS_LAPS" in os.environ:
        Path(os.environ["PEERS_LAPS"]).write_text(json.dumps(_laps), encoding="utf-8")
