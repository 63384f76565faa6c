"""Workers of a run on Ray: started, fed, replaced when they are lost, ended."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any

from gtimm.core.errors import EngineError, GtimmError, LostBatchError

if TYPE_CHECKING:
    from types import ModuleType

    from gtimm.core.engine import Batches

END_SECONDS, REACH_SECONDS = 5.0, 5.0
LOOK_SECONDS, GONE_SECONDS = 5.0, 30.0
"""Of waiting between looks whether the cluster is there; of nothing there until it counts as lost. Ray ends the process after 60."""


class Actor:
    """On a worker's side.

    Args:
        made: pickled, device to worker.
        device: of the worker.
        folder: that relative paths start from, where this machine has it.
    """

    def __init__(self, made: bytes, device: str, folder: str) -> None:
        self._made, self._device = made, device
        if os.path.isdir(folder):
            os.chdir(folder)

    def begin(self) -> None:
        """Make the worker; not while the actor is made, where an error counts as a lost actor."""
        import signal

        from ray import cloudpickle

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started the run ends it
        self._worker = cloudpickle.loads(self._made)(self._device)

    def work(self, batch: Any) -> Any:
        """Run one batch."""
        return self._worker(batch)


class WorkerPool:
    """Actors, and what each is at.

    Args:
        ray: the module.
        make_worker: pickled, device to worker.
        device: of the workers.
        cpus: of a worker.
        gpus: of a worker.
        head: address of the cluster.
    """

    def __init__(self, ray: ModuleType, make_worker: bytes, device: str, cpus: float, gpus: float, head: str) -> None:
        self.ray, self.of = ray, (make_worker, device, cpus, gpus)
        self._form = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Actor)
        self._made, self._device = ray.put(make_worker), device
        self._head, self._lost = head, False
        self._asked = refusal(head) is None  # else the address is one for the nodes alone
        self.starting: dict[Any, Any] = {}  # begun -> actor
        self.held: dict[Any, dict[Any, int]] = {}  # actor -> its results to be, in order -> index of the batch

    def start(self) -> None:
        """Ask for one more actor, which is there when its reference in `starting` is ready."""
        actor = self._form.remote(self._made, self._device, os.getcwd())
        self.starting[actor.begin.remote()] = actor

    def give(self, actor: Any, index: int, batch: Any) -> None:
        """Send a batch."""
        self.held[actor][actor.work.remote(batch)] = index

    def drop(self, actor: Any) -> None:
        """Forget an actor that was lost."""
        self.held.pop(actor, None)
        self.ray.kill(actor)

    def first_done(self) -> Any:
        """Wait for a result, or for an actor that has begun, and return its reference.

        Raises:
            EngineError: the cluster is gone; Ray itself would try for a minute and then end the process.
        """
        waiting = [*self.starting, *(one for results in self.held.values() for one in results)]
        since: float | None = None
        while not (done := self.ray.wait(waiting, num_returns=1, timeout=LOOK_SECONDS)[0]):
            if self.answers():
                since = None
                continue
            since = time.monotonic() if since is None else since
            if time.monotonic() - since >= GONE_SECONDS:
                raise self.gone()
        return done[0]

    def answers(self) -> bool:
        """Return whether the cluster's head is there, as far as it can be asked from here."""
        return not self._asked or refusal(self._head) is None

    def gone(self) -> EngineError:
        """Return what to raise where the cluster is lost; what it held is left alone."""
        self._lost = True
        return EngineError(
            f"The Ray cluster at {self._head} is gone: nothing answers there any more. What was finished is kept. Start a cluster again, "
            "or leave the engine out, and give the same command: it goes on from there."
        )

    def close(self) -> None:
        """End all actors, and wait until what they were at has ended."""
        if self._lost:
            return
        pending = [*self.starting, *(one for results in self.held.values() for one in results)]
        for actor in [*self.starting.values(), *self.held]:
            self.ray.kill(actor)
        if pending:
            self.ray.wait(pending, num_returns=len(pending), timeout=END_SECONDS)


def handed_out(pool: WorkerPool, count: int, batches: Batches[Any], room: int, retries: int) -> Iterator[tuple[int, Any]]:
    """Yield `(index, result)` as batches finish on at least `count` workers, each of which holds at most `room` batches.

    Raises:
        EngineError: workers that cannot be started, or the cluster is gone.
        LostBatchError: a batch that was alone with a worker that was lost, more than `retries` times.
        Exception: what making a worker or a batch raised.
    """
    ray = pool.ray
    fresh = iter(range(len(batches)))
    again: deque[int] = deque()
    kept: dict[int, Any] = {}  # batches that were read and have no result yet
    blamed: dict[int, int] = {}  # batches that seem to have cost a worker -> how often they did while they were alone with it
    failed_starts = 0
    left = len(batches)
    for _ in range(count - len(pool.held) - len(pool.starting)):
        pool.start()
    while left:
        _feed(pool, fresh, again, kept, blamed, batches, room)
        done = pool.first_done()
        if done in pool.starting:
            actor = pool.starting.pop(done)
            error = _outcome(ray, done)[1]
            if error is None:
                pool.held[actor] = {}
                continue
            failed_starts += 1
            if failed_starts > retries:
                raise EngineError(
                    f"Workers cannot be started on the Ray cluster: {_first_line(error)} The nodes need the same versions of gtimm and of "
                    "what it needs as this machine, and memory for the model."
                ) from error
            pool.start()
            continue
        actor = next(actor for actor, results in pool.held.items() if done in results)
        for one, index in list(pool.held[actor].items()):  # in the order in which it works
            if one != done and not ray.wait([one], timeout=0)[0]:
                break
            del pool.held[actor][one]
            result, error = _outcome(ray, one)
            if error is None:
                left -= 1
                del kept[index]
                _feed(pool, fresh, again, kept, blamed, batches, room)  # before the result is used, which may take a while
                yield index, result
                continue
            waited = list(pool.held[actor].values())
            pool.drop(actor)
            blamed[index] = blamed.get(index, 0) + (not waited)
            if blamed[index] > retries:
                raise LostBatchError(
                    f"Batch {index + 1} of {len(batches)} was given up: a worker that had it alone was lost {blamed[index]} times. The "
                    f"last: {_first_line(error)} Often that is a lack of memory: use a smaller batch_size, or fewer workers on a machine.",
                    index,
                ) from error
            again.extendleft(reversed([index, *waited]))
            pool.start()
            break


def _feed(
    pool: WorkerPool,
    fresh: Iterator[int],
    again: deque[int],
    kept: dict[int, Any],
    blamed: Container[int],
    batches: Batches[Any],
    room: int,
) -> None:
    """Give every worker one batch, then the next one each, as far as there is room; one that is blamed is alone with its worker.

    Which batch a lost worker was at is not known where several were there: the results of those before it may be lost with it.
    """
    for full in range(room):
        for actor, results in pool.held.items():
            if len(results) > full or any(index in blamed for index in results.values()):
                continue
            if again and again[0] in blamed and results:
                return
            index = again.popleft() if again else next(fresh, None)
            if index is None:
                return
            if index not in kept:
                kept[index] = batches[index]
            pool.give(actor, index, kept[index])


def _outcome(ray: ModuleType, reference: Any) -> tuple[Any, Exception | None]:
    """Return a result, or the error that says that its worker was lost; raises what the worker itself raised."""
    errors = ray.exceptions
    try:
        return ray.get(reference), None
    except (errors.RayActorError, errors.OutOfMemoryError, errors.NodeDiedError, errors.ObjectLostError) as error:
        return None, error
    except errors.RayTaskError as error:
        cause = error.cause
        if not isinstance(cause, Exception) or isinstance(cause, errors.RayError):
            raise
        if not isinstance(cause, GtimmError):
            cause.add_note(f"In a Ray worker:\n{error}")
        raise cause from None


def refusal(address: str) -> Exception | None:
    """Return why nothing can be reached at HOST:PORT; `None` where something answers."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        return error
    return None


def _first_line(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if line.endswith(".") else f"{line}."
