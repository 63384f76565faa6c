"""A Ray cluster: workers load the model once each, batches are handed out as workers are free, and what a lost worker had is made again."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from gtimm.core.engine import Batch, Batches, Engine, Result
from gtimm.core.errors import EngineError, PluginError
from gtimm.core.plugin import Info
from gtimm.core.terminal import say
from gtimm.engines.ray_workers import WorkerPool, handed_out, refusal

if TYPE_CHECKING:
    from types import ModuleType


class RayEngine(Engine):
    """Runs batches on actors of a Ray cluster; needs the extra: `pip install 'gtimm[ray]'`.

    The batches, their size and the number of threads are part of the plan, so what is made equals the local engine's byte for byte,
    without any option. That holds between processors of one kind, and no further: the same batch on another model of CPU or GPU, on a
    GPU instead of a CPU, or by another version of torch, agrees to rounding only; so does a batch that was halved because memory ran out.

    A worker makes its model once in a run; `gtimm embed`, and all that comes before training in `Pipeline.fit`, keep it for the next. A
    worker that is lost (killed, out of memory, its node gone) is replaced, and its batches are made again: the one that it seems to
    have been at alone with a worker, so that no other is blamed, and at most `retries` times more. An error that a batch raises is
    raised here and not tried again. However the run ends, Ctrl-C included, the workers end and free what they held.

    What a cluster needs:

    - The same versions of gtimm, torch and of the plug-ins' packages on all nodes, in the same version of Python and Ray.
    - Files at the same paths on all nodes: weights, and payloads that are given as paths (relative ones are taken from the directory that
      this process works in). Payloads in memory, such as arrays, go through Ray's object store with their batch, at most `1 + ahead`
      batches a worker at a time; so do results. Neither is ever there as a whole.
    - Bank and feature store (`store=`) only here: this process alone writes them, in a local or a shared folder. Prepared frames and
      sounds of films are written by the workers, so that `--out` is in a folder that all nodes share.
    - Nothing is asked of the driver's machine: without a GPU, `gpus: 1` takes those of the nodes.

    Attributes:
        address: of a cluster, such as `"auto"` (the one that this machine belongs to), `"10.0.0.1:6379"` or `"ray://head:10001"`. By
            default that of RAY_ADDRESS or of the one that this machine belongs to; else, and with `"local"`, one is started here, to the
            end of the process.
            A process that is connected to a cluster stays with it. `ray://` needs `pip install 'ray[client]'`. To a cluster that asks
            for a token, Ray sends it to a given address only with RAY_AUTH_MODE=token in this process's environment.
        workers: how many; by default as many as the cluster has room for, at most one for each batch. A worker starts working when there
            is room for it.
        cpus: cores of a worker; by default as many as the work has threads, with a GPU 1.
        gpus: share of a GPU that a worker takes, such as 0.5, which lets one worker prepare payloads while the other computes; 0: compute
            on the CPU. By default 1 where this process would compute on a GPU. Work that needs none, such as preparing films, takes none.
        ahead: batches that wait at a worker beside the one it is at.
        retries: how often a batch is made again after it was alone with a worker that was lost.

    Example:
        >>> RayEngine(workers=4, gpus=0.5).options()
        {'workers': 4, 'gpus': 0.5}
    """

    info: ClassVar[Info] = Info()

    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    cpus: float | None = Field(default=None, gt=0)
    gpus: float | None = Field(default=None, ge=0)
    ahead: int = Field(default=1, ge=0)
    retries: int = Field(default=3, ge=0)

    def lacks(self) -> tuple[str, ...]:
        """Return the mend where Ray is not installed."""
        try:
            _ray()
        except PluginError as error:
            return (str(error),)
        return ()

    def run(
        self,
        make_worker: Callable[[str], Callable[[Batch], Result]],
        batches: Batches[Batch],
        device: str | None = None,
        threads: int = 1,
    ) -> Generator[tuple[int, Result], None, None]:
        """Yield results as they come.

        Raises:
            PluginError: Ray is not installed.
            EngineError: no cluster at the address, or it is lost in the middle; no node with what a worker takes, or workers that cannot
                be started.
            LostBatchError: a batch whose workers were lost again and again.
        """
        if not len(batches):
            return
        ray = _ray()
        self._connect(ray)
        here = (device or "cpu").partition(":")[0]
        gpus = 0.0 if device is None else float(here == "cuda") if self.gpus is None else self.gpus
        cpus = (1.0 if gpus else float(threads)) if self.cpus is None else self.cpus
        room = _room(ray, cpus, gpus)
        there = "cuda" if gpus else "cpu" if here == "cuda" else here
        pool = self._pool(ray, _packed(ray, make_worker), there, cpus, gpus)
        with ExitStack() as stack:
            stack.callback(pool.close)
            try:
                yield from handed_out(pool, min(self.workers or room, len(batches)), batches, 1 + self.ahead, self.retries)
            except (ray.exceptions.RayError, ConnectionError) as error:
                if pool.answers():
                    raise
                raise pool.gone() from error
            if self in _kept:
                _kept[self] = [pool]
                stack.pop_all()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the workers of a run inside the block for the next one, where that has the same model; they hold their share meanwhile."""
        if self in _kept:
            yield
            return
        _kept[self] = []
        try:
            yield
        finally:
            for pool in _kept.pop(self):
                pool.close()

    def _pool(self, ray: ModuleType, make_worker: bytes, device: str, cpus: float, gpus: float) -> WorkerPool:
        """Return the kept workers if they are the same, which are kept no more until this run has ended well; else new ones."""
        for pool in _kept.get(self, []):
            _kept[self] = []
            if pool.of == (make_worker, device, cpus, gpus):
                return pool
            pool.close()
        given = self.address or os.environ.get("RAY_ADDRESS", "")
        head = given.removeprefix("ray://") if given.startswith("ray://") else ray.get_runtime_context().gcs_address
        return WorkerPool(ray, make_worker, device, cpus, gpus, head)

    def _connect(self, ray: ModuleType) -> None:
        if ray.is_initialized():
            return
        found, noted = _found(self.address), self.address in (None, "auto") and not os.environ.get("RAY_ADDRESS")
        _reach(found, noted)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody agreed to reports about a cluster that is started here
        try:
            with _own_sigterm():
                ray.init(address=self.address, include_dashboard=False, configure_logging=False, log_to_driver=False)
        except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
            raise EngineError(_refused(self.address, error)) from error
        if noted and self.address is None and found is not None:
            say(f"Joined the Ray cluster at {found}, which this machine is in; address: local starts one of its own.", err=True)


_kept: dict[RayEngine, list[WorkerPool]] = {}
"""By engine inside its `kept`: the workers of its last run, if any."""


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep this process's own handler of SIGTERM, if it has one: Ray puts another in its place."""
    own = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(own) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, own)


def _found(address: str | None) -> str | None:
    """Return the address that Ray will take, RAY_ADDRESS or its own note where none is given; `None` where it will start a cluster."""
    if address in (None, "auto"):
        address = os.environ.get("RAY_ADDRESS") or address
    if address not in (None, "auto"):
        return address
    log = logging.getLogger("ray._private.services")
    log.disabled = True  # Ray says it itself when it is asked to connect
    try:  # no part of Ray's interface
        from ray._private.services import canonicalize_bootstrap_address

        found: str | None = canonicalize_bootstrap_address(address)
    except Exception:
        return None
    finally:
        log.disabled = False
    return found


def _reach(address: str | None, noted: bool) -> None:
    """Raise where nothing answers at an address; Ray itself tries for over a minute and then ends the process."""
    plain = (address or "").removeprefix("ray://")
    host, _, port = plain.rpartition(":")
    error = refusal(plain) if host and port.isdigit() else None
    if error is not None and noted:
        raise EngineError(
            f"Ray's note of this machine's cluster names {address}, and nothing answers there: {error}. A killed cluster leaves such a "
            "note: end what is left of it with `ray stop --force`, or start another one with `ray start --head`; with the address local "
            "a cluster is started here for this process alone."
        ) from error
    if error is not None:
        raise EngineError(_no_cluster(address, error)) from error


def _no_cluster(address: str | None, error: Exception) -> str:
    return (
        f"No Ray cluster at {address}: {error}. Start one with `ray start --head`, give the address that it prints, or "
        "the address local to use this machine alone."
    )


def _refused(address: str | None, error: Exception) -> str:
    where = address or os.environ.get("RAY_ADDRESS")
    if where is None:
        return f"Ray cannot start a cluster on this machine: {error}"
    if where == "auto":
        return _no_cluster("this machine", error)
    return (
        f"What answers at {where} does not let this process in: {error}. If the cluster asks for a token, put it into "
        "~/.ray/auth_token or RAY_AUTH_TOKEN, and set RAY_AUTH_MODE=token here. It must have this version of Ray and Python; "
        "`ray://` is for the port of Ray's client server (10001), without `ray://` it is the port that `ray start` prints."
    )


def _packed(ray: ModuleType, make_worker: Any) -> bytes:
    try:
        return bytes(ray.cloudpickle.dumps(make_worker))
    except Exception as error:  # of whatever a strategy holds
        raise PluginError(
            f"What makes a worker cannot be sent to a cluster: {type(error).__name__}: {error}. Strategies must be picklable: "
            "keep files, locks and loaded models in what `open` returns."
        ) from error


def _room(ray: ModuleType, cpus: float, gpus: float) -> int:
    """Return how many workers the nodes have room for, one at least.

    Raises:
        EngineError: no node will ever have room for one.
    """
    nodes: list[dict[str, Any]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needs = {name: share for name, share in (("CPU", cpus), ("GPU", gpus)) if share}
    room = sum(int(min(node.get(name, 0.0) / share + 1e-6 for name, share in needs.items())) for node in nodes)
    if not room:
        asked = " and ".join(f"{share:g} {name}" for name, share in needs.items())
        most = ", ".join(f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes) or "nothing"
        raise EngineError(
            f"No node of the Ray cluster has {asked}, which a worker takes; the nodes have {most}. Give the engine smaller cpus= and "
            "gpus=, or start nodes with more."
        )
    return room


def _ray() -> ModuleType:
    try:
        return import_module("ray")
    except ImportError as error:
        raise PluginError(
            "The Ray engine needs ray, which is not installed. Install it with: pip install 'gtimm[ray]'"
        ) from error
