"""Kill and resume: work that is killed at a random moment, again and again, must end as if it had never been.

A cycle forks a child that does a piece of work on a folder, and kills it: by a signal after a random time, or, which finds the moments
that a clock misses, just before a random one of its operations on files. What was complete before must be there byte for byte, and
what is there must be valid. The process that forks has imported everything, so that a cycle costs what its work costs.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.utime", "fcntl.flock"}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SECONDS = 60.0  # what a child may take


@dataclass(frozen=True)
class Work:
    """A piece of work on a folder.

    Attributes:
        name: of the form of files that it writes.
        run: does what is left of it.
        whole: what is complete by now, by name; raises AssertionError where something that counts as complete is not valid.
        result: what came of it when it is done.
    """

    name: str
    run: Callable[[Path], Any]
    whole: Callable[[Path], Mapping[str, Any]]
    result: Callable[[Path], Any]


@dataclass
class Soak:
    """Cycles over several pieces of work.

    Attributes:
        folder: for their folders.
        works: what is done in turn.
        seed: of all moments and signals.
        ends: how the children of each piece of work ended.
    """

    folder: Path
    works: list[Work]
    seed: int = 0
    ends: dict[str, Counter[str]] = field(default_factory=dict)

    def run(self, kills: int) -> None:
        """Kill so many times, then let everything be finished; raises AssertionError at the first loss."""
        chance = random.Random(self.seed)
        expected, sizes = {}, {}
        for work in self.works:
            folder = self.folder / f"{work.name}-whole"
            began = time.monotonic()
            count = count_operations(work, folder)
            sizes[work.name] = time.monotonic() - began, count
            expected[work.name] = work.result(folder)
            self.ends[work.name] = Counter()
        rounds = dict.fromkeys(expected, 0)
        cycle = killed = 0
        while killed < kills:
            work, cycle = self.works[cycle % len(self.works)], cycle + 1
            folder = self.folder / f"{work.name}-{rounds[work.name]}"
            before = work.whole(folder)
            ended = self._cycle(work, folder, chance, *sizes[work.name])
            self.ends[work.name][ended] += 1
            killed += ended == "killed"
            check(work, folder, before, f"cycle {cycle}, {ended}")
            if ended == "done":
                rounds[work.name] += 1
                assert work.result(folder) == expected[work.name], f"{work.name}: another result, cycle {cycle}"
                shutil.rmtree(folder)
        for work in self.works:
            folder = self.folder / f"{work.name}-{rounds[work.name]}"
            before = work.whole(folder)
            assert ending(start(work, folder)) == "done", f"{work.name} cannot be finished"
            check(work, folder, before, "the last run")
            assert work.result(folder) == expected[work.name], f"{work.name}: another result at the end"

    def _cycle(self, work: Work, folder: Path, chance: random.Random, seconds: float, operations: int) -> str:
        if chance.random() < 0.5:
            return ending(start(work, folder, operation=chance.randrange(operations)))
        child, number = start(work, folder), chance.choice(SIGNALS)
        time.sleep(chance.uniform(0, 1.1 * seconds))
        os.kill(child, number)
        return ending(child)


def check(work: Work, folder: Path, before: Mapping[str, Any], when: str) -> None:
    """Raise AssertionError where something that was complete is gone or another."""
    now = work.whole(folder)
    lost = [name for name in before if now.get(name) != before[name]]
    assert not lost, f"{work.name}, {when}: {len(lost)} of {len(before)} are lost or changed, such as {lost[0]}"


def start(work: Work, folder: Path, operation: int | None = None) -> int:
    """Fork a child that does the work, and that kills itself before its file operation of this number."""
    child = os.fork()
    if child:
        return child
    code = 3
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray, where tests ran it in this process, exits with 15 instead
        if operation is not None:
            _kill_before(operation)
        work.run(folder)
        code = 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ending(child: int) -> str:
    """Wait for a child and say how it ended; raises AssertionError where it failed by itself or hangs."""
    limit = time.monotonic() + SECONDS
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"the child hung for {SECONDS} s")
        time.sleep(0.002)
    code = os.waitstatus_to_exitcode(found[1])
    assert code in (0, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT), f"the child failed with {code}"
    return "done" if code == 0 else "killed"


def count_operations(work: Work, folder: Path) -> int:
    """Do the work in a child and return how many file operations that took."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code, count = 3, [0]
        try:
            sys.addaudithook(lambda event, _: count.__setitem__(0, count[0] + (event in OPERATIONS)))
            work.run(folder)
            os.write(writer, str(count[0]).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    assert ending(child) == "done", f"{work.name} fails undisturbed"
    with os.fdopen(reader) as file:
        return int(file.read())


def _kill_before(operation: int) -> None:
    me, left = os.getpid(), [operation]

    def hook(event: str, _: Any) -> None:
        if event in OPERATIONS and os.getpid() == me:
            if left[0] == 0:
                os.kill(me, signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(hook)
