"""The bank: generated items on disk, keyed by content, made once."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gtimm.core.errors import GenerationError, PluginError
from gtimm.core.files import whole_file
from gtimm.core.imputer import Failure
from gtimm.core.progress import progress_bar

if TYPE_CHECKING:
    from gtimm.core.engine import Engine
    from gtimm.core.imputer import Generator
    from gtimm.core.media import Payload
    from gtimm.core.pool import Request

SUFFIX = {"image": ".png", "audio": ".wav"}
LOG = "metadata.jsonl"
ASK_ABOVE_SECONDS = 3600.0

Allow = bool | Literal["ask"]


@dataclass(frozen=True)
class Plan:
    """What generation would do: nothing is made yet.

    Attributes:
        folder: where the items are, or will be.
        keys: one a request.
        requests: in order of rank, then group.
        batches: indices into `requests`; each batch has one fixed size, the last is padded by repeating its last request.
        missing: how many wanted items are not in the bank yet.
    """

    folder: Path
    keys: list[str]
    requests: Sequence[Request]
    batches: list[list[int]]
    missing: int

    def path(self, index: int) -> Path:
        """Return the file of one request's item."""
        key = self.keys[index]
        return self.folder / key[:2] / f"{key}{SUFFIX[self.requests[index].kind]}"


class Bank:
    """Generated items under one folder: `<generator>/<first two hex digits>/<key>.png` beside `metadata.jsonl`, a line an item.

    Batches are cut from the whole plan, so an item is made beside the same neighbours whatever the budget: the bank of 5 a
    class is byte for byte part of the bank of 20. A batch of which anything is missing is made whole again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self, generator: Generator, requests: Sequence[Request], wanted: Sequence[int] | None = None) -> Plan:
        """Plan the batches in which some wanted item (indices into `requests`, default all) is not there yet."""
        fingerprint = generator.fingerprint()
        name = f"{type(generator).__name__.lower()}-{hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest()}"
        keys = [request.key(fingerprint) for request in requests]
        plan = Plan(self.folder / name, keys, requests, [], 0)
        lacking = {i for i in (range(len(requests)) if wanted is None else wanted) if not plan.path(i).is_file()}
        size = generator.batch_size
        for start in range(0, len(requests), size):
            batch = list(range(start, min(start + size, len(requests))))
            if any(i in lacking for i in batch):
                plan.batches.append(batch + batch[-1:] * (size - len(batch)))
        return Plan(plan.folder, keys, requests, plan.batches, len(lacking))

    def make(self, generator: Generator, plan: Plan, engine: Engine, device: str, allow: Allow = "ask") -> int:
        """Make the planned items that are missing and return how many were written.

        Args:
            generator: what makes them.
            plan: from `plan`.
            engine: where.
            device: such as `"cpu"` or `"cuda"`.
            allow: `False` refuses to make anything, `True` makes all, `"ask"` stops above an hour, estimated from the first
                batch, whose items are kept.

        Raises:
            GenerationError: refused, or an item failed; what was made is kept.
        """
        _mend(plan, generator)
        if not plan.batches:
            return 0
        if allow is False:
            raise GenerationError(
                f"{plan.missing} items are not in the bank {plan.folder} and generate=False. Pass generate=True, or run `gtimm generate`."
            )
        made, failures, began = 0, [], 0.0
        batches = [[plan.requests[i] for i in batch] for batch in plan.batches]
        title = f"Generating {plan.requests[0].kind}s"
        with ThreadPoolExecutor(max_workers=1) as writer, progress_bar(title, len(batches), "batches") as advance:
            jobs = []
            for index, items in engine.run(lambda: _worker(generator, device), batches):
                jobs.append(writer.submit(self._write, plan, generator, plan.batches[index], items))
                advance(1)
                if len(jobs) == 1:
                    began = time.monotonic()
                elif len(jobs) == 2 and allow == "ask":
                    self._ask(plan, (time.monotonic() - began) * (len(batches) - 2))
            for job in jobs:
                count, failed = job.result()
                made += count
                failures += failed
        if failures:
            raise GenerationError(f"{len(failures)} of {plan.missing} items could not be made; the first: {failures[0]}")
        return made

    def _ask(self, plan: Plan, seconds: float) -> None:
        if seconds > ASK_ABOVE_SECONDS and not _confirmed(plan, seconds):
            raise GenerationError(
                f"Making the {plan.missing} missing items would take about {seconds / 3600:.1f} more hours here. What was made is "
                "kept. Pass generate=True to go on, or lower per_class."
            )

    def _write(self, plan: Plan, generator: Generator, batch: list[int], items: list[Payload | Failure]) -> tuple[int, list[str]]:
        lines, failures = [], []
        for index, item in dict(zip(batch, items, strict=True)).items():
            request, path = plan.requests[index], plan.path(index)
            if isinstance(item, Failure):
                failures.append(f"{request.prompt!r} (seed {request.seed}): {item.reason}")
                continue
            if path.is_file():
                continue
            with whole_file(path) as temporary:
                _encode(request.kind, item, temporary)
            lines.append(_line(plan, index, generator))
        if lines:
            with (plan.folder / LOG).open("a", encoding="utf-8") as file:
                file.write("".join(lines))
        return len(lines), failures


def _confirmed(plan: Plan, seconds: float) -> bool:
    """Ask on a terminal; elsewhere the answer is no."""
    if not sys.stdin.isatty():
        return False
    from rich.prompt import Confirm

    return Confirm.ask(f"{plan.missing} items for {plan.folder} will take about {seconds / 3600:.1f} hours. Go on?")


def _worker(generator: Generator, device: str) -> Callable[[Sequence[Request]], list[Payload | Failure]]:
    make = generator.open(device)

    def run(batch: Sequence[Request]) -> list[Payload | Failure]:
        items = make(batch)
        if len(items) != len(batch):
            raise PluginError(f"{type(generator).__name__} returned {len(items)} items for {len(batch)} requests.")
        return items

    return run


def _line(plan: Plan, index: int, generator: Generator) -> str:
    request = plan.requests[index]
    record = {
        "file_name": plan.path(index).relative_to(plan.folder).as_posix(),
        "prompt": request.prompt,
        "label": request.label,
        "seed": request.seed,
        "guidance": request.guidance,
        "generator": type(generator).__name__,
        "settings": generator.model_dump(mode="json"),
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


def _mend(plan: Plan, generator: Generator) -> None:
    """Write the lines that an interruption kept from the log though their items are there, and drop one that it cut off."""
    log = plan.folder / LOG
    found = [line + "\n" for line in log.read_text("utf-8", "replace").split("\n") if line] if log.is_file() else []
    whole = {name: line for line in found if (name := _file_name(line))}
    lost = [
        i
        for i in range(len(plan.keys))
        if plan.path(i).relative_to(plan.folder).as_posix() not in whole and plan.path(i).is_file()
    ]
    if lost or len(whole) < len(found):
        with whole_file(log) as temporary:
            temporary.write_text("".join([*whole.values(), *(_line(plan, i, generator) for i in lost)]), encoding="utf-8")


def _file_name(line: str) -> str | None:
    try:
        name = json.loads(line)["file_name"]
    except (ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def _encode(kind: str, item: Payload, path: Path) -> None:
    if kind == "image":
        from gtimm.core.media import load_image

        load_image(item).save(path, format="PNG")
    else:
        import soundfile

        from gtimm.core.media import load_audio

        samples, rate = load_audio(item)
        soundfile.write(path, samples.T, rate, format="WAV", subtype="PCM_16")
