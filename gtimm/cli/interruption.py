"""Interruptions by Ctrl-C, or by the SIGTERM of a batch system: what a command then says, and how it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from gtimm.core.terminal import harmless, notes_of

AGAIN = "; the same command goes on from here."
_received: list[int] = []
"""Signals heeded; kept here since Ray turns whatever a handler raises into a plain KeyboardInterrupt."""


def heed_sigterm() -> None:
    """Let SIGTERM, by which Slurm, systemd and `docker stop` end a process, interrupt it as Ctrl-C does; those that it forks just end."""
    own = os.getpid()

    def terminate(number: int, frame: Any) -> None:
        if os.getpid() != own:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        _received.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # else who started this process wants something else
        signal.signal(signal.SIGTERM, terminate)


@contextmanager
def interruptible(kept: str | Callable[[], str] = "") -> Iterator[None]:
    """End the command where this block is interrupted: say what was going on and what is kept.

    Args:
        kept: a sentence without its full stop, or what returns it then; without one nothing is promised.

    Raises:
        typer.Exit: with 130 after Ctrl-C, 143 after SIGTERM, as shells have it.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        said = kept if isinstance(kept, str) else kept()
        for line in (*notes_of(stop), f"Interrupted. {said}{AGAIN}" if said else "Interrupted."):
            typer.echo(harmless(line), err=True)
        raise typer.Exit(128 + (_received or [signal.SIGINT])[-1]) from None


class Commands(TyperGroup):
    """Commands of which those that say nothing themselves when they are interrupted say that they were."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with interruptible():
            return super().invoke(ctx)
