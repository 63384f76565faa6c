"""A Ray cluster: workers load the model once each, batches are handed out as workers are free, and what a lost worker had is made again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from gtimm.core.engine import Batch, Engine, Result
from gtimm.core.errors import GenerationError, GtimmError, PluginError
from gtimm.core.plugin import Info

if TYPE_CHECKING:
    from types import ModuleType


class RayEngine(Engine):
    """Runs batches on actors of a Ray cluster; needs the extra: `pip install 'gtimm[ray]'`.

    The batches, their size and the number of threads are part of the plan, so what is made equals the local engine's byte for byte. An
    actor makes its worker once. Results come back to this process, which alone writes; bank and store are in a local or shared folder.
    A worker that is lost (killed, out of memory, its node gone) is replaced, and its batches are made again, each at most `retries`
    times; an error that a batch raises is raised here and not tried again.

    Attributes:
        address: of a cluster, such as `"auto"` or `"ray://head:10001"`; by default one is started on this machine, which the process
            keeps to its end.
        workers: how many; by default one for each GPU, without any one for each core.
        cpus: cores of a worker.
        gpus: share of a GPU that a worker takes, such as 0.5; by default 1 where the cluster has GPUs.
        ahead: batches that wait at a worker beside the one it is at.
        retries: how often a batch is made again after the worker that had it was lost.
    """

    info: ClassVar[Info] = Info()

    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    cpus: float = Field(default=1, gt=0)
    gpus: float | None = Field(default=None, ge=0)
    ahead: int = Field(default=1, ge=0)
    retries: int = Field(default=3, ge=0)

    def run(self, make_worker: Callable[[], Callable[[Batch], Result]], batches: Sequence[Batch]) -> Iterator[tuple[int, Result]]:
        """Yield results as they come. A batch is read, and so claimed, when a worker has room for it.

        Raises:
            PluginError: Ray is not installed.
            GenerationError: no cluster at the address, or a batch whose workers were lost again and again.
        """
        if not len(batches):
            return
        ray = _ray()
        self._connect(ray)
        gpus = self.gpus if self.gpus is not None else float(ray.cluster_resources().get("GPU", 0) > 0)
        fit = ray.cluster_resources().get("GPU", 0) / gpus if gpus else ray.cluster_resources().get("CPU", 1) / self.cpus
        count = max(1, min(self.workers or int(fit), len(batches)))
        pool = _Pool(ray, ray.put(make_worker), self.cpus, gpus)
        try:
            yield from _handed_out(pool, count, batches, 1 + self.ahead, self.retries)
        finally:
            pool.close()

    def _connect(self, ray: ModuleType) -> None:
        if ray.is_initialized():
            return
        try:
            ray.init(address=self.address, include_dashboard=False, configure_logging=False, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise GenerationError(
                f"No Ray cluster at {self.address or 'this machine'}: {error}. Start one with `ray start --head`, or leave address out."
            ) from error


class _Pool:
    """Actors that make their worker once, and what each is at."""

    def __init__(self, ray: ModuleType, make: Any, cpus: float, gpus: float) -> None:
        self.ray, self.make = ray, make
        self.form = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0)(_Actor)
        self.actors: list[Any] = []

    def add(self) -> Any:
        actor = self.form.remote(self.make)
        self.actors.append(actor)
        return actor

    def drop(self, actor: Any) -> None:
        self.actors.remove(actor)
        self.ray.kill(actor)

    def close(self) -> None:
        for actor in list(self.actors):
            self.drop(actor)


class _Actor:
    """On a worker's side."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self.worker = make()

    def work(self, batch: Any) -> Any:
        return self.worker(batch)


def _handed_out(pool: _Pool, count: int, batches: Sequence[Batch], room: int, retries: int) -> Iterator[tuple[int, Any]]:
    ray = pool.ray
    lost_worker = (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError)
    fresh = iter(range(len(batches)))
    again: deque[tuple[int, Any]] = deque()
    tries: dict[int, int] = {}
    running: dict[Any, tuple[int, Any, Any]] = {}  # result to be -> (index, batch, actor)
    actors = [pool.add() for _ in range(count)]

    def feed() -> None:
        for actor in actors * room:  # one each, then the next one each
            if sum(held is actor for _, _, held in running.values()) >= room:
                continue
            if again:
                index, batch = again.popleft()
            elif (index := next(fresh, -1)) >= 0:
                batch = batches[index]
            else:
                return
            running[actor.work.remote(batch)] = (index, batch, actor)

    feed()
    while running:
        done, _ = ray.wait(list(running), num_returns=1)
        index, batch, actor = running.pop(done[0])
        try:
            result = ray.get(done[0])
        except lost_worker as error:
            tries[index] = tries.get(index, 0) + 1
            if tries[index] > retries:
                raise GenerationError(
                    f"Batch {index} was given up: the worker that made it was lost {tries[index]} times; the last: "
                    f"{str(error).splitlines()[0]} Often that is a lack of memory: use fewer workers, or a smaller batch_size."
                ) from error
            again.append((index, batch))
            if actor in actors:
                actors[actors.index(actor)] = pool.add()
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, GtimmError) else error
            raise cause from error
        else:
            yield index, result
        feed()


def _ray() -> ModuleType:
    try:
        return import_module("ray")
    except ImportError as error:
        raise PluginError(
            "The Ray engine needs ray, which is not installed. Install it with: pip install 'gtimm[ray]'"
        ) from error
