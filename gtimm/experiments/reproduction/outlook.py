"""What a reproduction will run, make and take, before anything of it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from gtimm.core.bank.planning import plan_requests

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits
    from gtimm.experiments.grid import Grid
    from gtimm.experiments.methods import Setting
    from gtimm.experiments.reproduction.reproduce import Reproduction

PAPER_SECONDS = 12.0
"""An image of Stable Diffusion on an A40 (section 7.1)."""


@dataclass(frozen=True)
class Items:
    """The items of one generator and its options.

    Attributes:
        generator: its name.
        variant: what sets its requests apart, such as `tricks: both`; empty for those of most cells.
        modality: that it fills.
        items: that the cells use.
        there: those of them in the bank; `None` where the data set is not at hand, which would tell.
        seconds: that the others take on one worker; `None` where nobody knows.
        measured: whether that was measured on this device, rather than published.
    """

    generator: str
    variant: str
    modality: str
    items: int
    there: int | None
    seconds: float | None
    measured: bool


@dataclass(frozen=True)
class Ahead:
    """What is ahead of a reproduction.

    Attributes:
        cells: by exhibit, how many settings it has.
        distinct: settings in all; those that exhibits share are run once.
        heads: that are trained: a setting and seed each.
        payloads: rows and modalities to embed at most; `None` without the data set.
        items: by generator.
    """

    cells: dict[str, int]
    distinct: int
    heads: int
    payloads: int | None
    items: list[Items]

    @property
    def seconds(self) -> float | None:
        """Of generation in all, where it is known."""
        known = [one.seconds for one in self.items]
        return None if None in known else sum(cast("list[float]", known))


def ahead(work: Reproduction, data: Splits | None) -> Ahead:
    """Return what is ahead; nothing is generated, embedded or trained.

    Args:
        work: the exhibits.
        data: the splits; without them the items are counted by the number of classes that the preset knows.
    """
    cells = {one.name: sum(len(one.settings(target)) for target in one.targets()) for one in work.plans}
    settings = {target: work.settings(target) for target in work.targets}
    count = sum(len(found) for found in settings.values())
    rows = None if data is None else sum(len(part) * len(part.modalities) for part in (data.train, data.val, data.test))
    items = [one for target in work.targets for one in _items(work, data, target)]
    return Ahead(cells, count, count * work.seeds, rows, items)


def _items(work: Reproduction, data: Splits | None, target: str) -> list[Items]:
    """Return one entry for each different request of the generator, of the largest budget that asks for it."""
    largest: dict[str, Setting] = {}
    for setting in sorted((s for one in work.plans for s in one.generating(target)), key=lambda s: -(s.budget or 0)):
        largest.setdefault(repr(sorted(setting.generator.items())), setting)
    grid = None if data is None else work.grid(data, target)
    return [_of(work, grid, target, setting) for setting in largest.values()]


def _of(work: Reproduction, grid: Grid | None, target: str, setting: Setting) -> Items:
    preset = work.bench.preset
    name = {**(preset.generator_of(target, work.bench.choices) or {}), **setting.generator}["name"]
    variant = ", ".join(f"{name}: {value}" for name, value in setting.variant.items())
    each = PAPER_SECONDS if name == "stable-diffusion" else None
    if grid is None:
        count = preset.classes * (setting.budget or 0)
        return Items(name, variant, target, count, None, None if each is None else each * count, measured=False)
    jobs = grid.plan([setting], keyed=False)  # weights need not be there yet
    asked = plan_requests(grid.asked(jobs), jobs[0].pipes[0])
    found = [asked.outlook(job) for job in asked.jobs]
    count, there = sum(one.wanted for one in found), sum(one.there for one in found)
    known = [one.seconds for one in found if one.seconds is not None]
    measured = len(known) == len(found)
    seconds = sum(known) if measured else None if each is None else each * (count - there)
    return Items(name, variant, target, count, there, seconds, measured)
