"""What a bank's logs say of each item, and how they are brought in line with the files."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from gtimm.core.bank.files import ABOUT, FAILURES, LOG, REJECTED, REJECTIONS, Log, Record
from gtimm.core.claims import claim
from gtimm.core.errors import StoreError
from gtimm.core.files import sweep, write_json
from gtimm.core.plain import from_json

if TYPE_CHECKING:
    from gtimm.core.bank import Plan
    from gtimm.core.imputer import Generator
    from gtimm.core.pool import Request

CLAIMS = ".claims"


def mend(plan: Plan, generator: Generator) -> None:
    """Bring logs and files in line after an interruption.

    Lines come that it kept from the log or cut off, and those of files that are gone go; so do failures that were mended. What was
    rejected after it had been kept is put aside.
    """
    sweep(plan.folder)
    here = {plan.name(i): i for i in range(len(plan.keys))}
    there = {name for name, i in here.items() if plan.there(i)}
    rejected = _put_aside(plan)
    mine: set[int] = set()

    def is_gone(name: str) -> bool:
        return name in here and name not in there and not plan.there(here[name])  # it may have been made since

    with ExitStack() as stack:

        def keep(record: Record, again: bool) -> bool:
            return not again and record["file_name"] not in rejected and not is_gone(record["file_name"])

        def add(names: set[str]) -> list[Record]:
            if not mine:
                mine.update(_nobody_writes(plan, {here[name] for name in there - names}, stack))
            return [line(plan, i, generator, plan.size, None) for i in sorted(mine) if plan.name(i) not in names]

        Log(plan.folder / LOG).rewrite(keep, add)
    Log(plan.folder / FAILURES).rewrite(lambda record, _: record["file_name"] not in here or is_gone(record["file_name"]))
    with suppress(OSError):
        (plan.folder / CLAIMS).rmdir()


def _nobody_writes(plan: Plan, lost: set[int], stack: ExitStack) -> set[int]:
    """Return those of some items whose batches nobody is at now, and hold these: lines of others may still be to come."""
    found: set[int] = set()
    if not lost:
        return found
    for batch, turn in plan.layout():
        mine = {i for i in batch if i in lost and plan.due(i, turn)}
        if mine and (held := claim(plan.folder / CLAIMS / f"{plan.claim(batch, turn)}.lock")) is not None:
            stack.callback(held.release)
            found |= mine
    return found


def _put_aside(plan: Plan) -> set[str]:
    """Move rejected items that are still among the others, and return the names of all that were rejected."""
    names = {name for index, times in enumerate(plan.attempts) if times for name in plan.passed_over(index)}
    names -= {plan.name(index) for index in range(len(plan.keys))} if names else set()  # of equal requests one may be kept
    for name in names:
        aside = plan.folder / REJECTED / name
        if not (plan.folder / name).is_file():
            continue
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            (plan.folder / name).replace(aside)
        except FileNotFoundError:  # another process was faster
            continue
        except OSError as error:
            raise StoreError(f"{plan.folder / name} cannot be moved to {aside.parent}: {error.strerror}.") from error
    return names


def line(plan: Plan, index: int, generator: Generator, size: int, scores: dict[str, Any] | None) -> Record:
    """Return the line of one item in the log.

    Args:
        plan: the plan.
        index: of the request.
        generator: what made it.
        size: how many were made together.
        scores: of the gate.
    """
    request, settings = plan.requests[index], generator.model_dump(mode="json")
    try:
        facts = from_json(plan.fingerprint)
    except ValueError:
        facts = {}
    return {
        "file_name": plan.name(index),
        "prompt": request.prompt,
        "label": request.label,
        "seed": request.seed,
        "guidance": request.guidance,
        "init": request.init,
        "generator": type(generator).__name__,
        **{name: settings.get(name) for name in ("model", "revision", "steps", "size", "scheduler", "negative_prompt", "dtype")},
        "weights": facts.get("weights") if isinstance(facts, dict) else None,
        "diffusers": _version("diffusers"),
        "torch": _version("torch"),
        "batch_size": size,
        "threads": settings.get("threads"),
        "scores": scores,
    }


def _version(name: str) -> str | None:
    if name not in _VERSIONS:
        try:
            _VERSIONS[name] = version(name)
        except PackageNotFoundError:
            _VERSIONS[name] = None
    return _VERSIONS[name]


_VERSIONS: dict[str, str | None] = {}


def failure(plan: Plan, index: int, reason: str) -> Record:
    """Return the line of an item that could not be made this time."""
    return {"file_name": plan.name(index), "reason": reason, **_asked(plan, index)}


def rejection(plan: Plan, index: int, reason: str, scores: dict[str, Any] | None) -> Record:
    """Return the line of an item that a gate turned down."""
    facts = {"reason": reason, "scores": scores, "attempt": plan.attempts[index], **_asked(plan, index)}
    return {"file_name": plan.name(index), "key": plan.keys[index], **facts}


def repetitions(plan: Plan, found: Iterable[tuple[int, int, str, dict[str, Any]]]) -> list[Record]:
    """Return the lines of items that repeat others: both indices, the reason and the scores; `pass` numbers the search."""
    log = Log(plan.folder / REJECTED / REJECTIONS)
    number = 1 + max((int(record.get("pass", 0)) for record in log.read()), default=0)
    return [{**rejection(plan, i, reason, scores), "near": plan.keys[of], "pass": number} for i, of, reason, scores in found]


def _asked(plan: Plan, index: int) -> Record:
    request = plan.requests[index]
    return {"prompt": request.prompt, "label": request.label, "seed": request.seed}


def note(plan: Plan, generator: Generator, device: str, seconds: float) -> None:
    """Write what the bank is, and how many seconds an item took on a device."""
    path = plan.folder / ABOUT
    try:
        about = from_json(path.read_text(encoding="utf-8"))
        speeds = dict(about["seconds_per_item"])
    except (OSError, ValueError, KeyError, TypeError):
        speeds = {}
    about = {
        "generator": type(generator).__name__,
        "model": getattr(generator, "model", None),
        "fingerprint": plan.fingerprint,
        "gate": generator.gate.model_dump(mode="json") if generator.gate is not None else None,
        "seconds_per_item": {**speeds, device: seconds},
    }
    write_json(path, about)


def described(request: Request) -> str:
    """Return how messages name a request."""
    return f"{request.prompt!r} (seed {request.seed})"


def times_failed(log: Log) -> dict[str, tuple[int, str]]:
    """Return how often each item failed, and why last, by file name."""
    found: dict[str, tuple[int, str]] = {}
    for record in log.read():
        found[record["file_name"]] = (found.get(record["file_name"], (0, ""))[0] + 1, str(record.get("reason")))
    return found
