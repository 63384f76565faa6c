"""Balanced factors: every value equally often at every budget, and their combinations covered evenly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import lcm, prod
from string import Formatter

from gtimm.core.errors import ConfigError
from gtimm.core.seeding import stream


def balanced(sizes: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Return `count` combinations of factors with these sizes, in an order that is balanced at every length.

    The first k of a longer list are the list for k. In every prefix each factor's values occur equally often but for one; in
    every cycle of `prod(sizes)` each combination occurs once. Factor f counts in rounds of its size; a Latin shift, which moves
    by one whenever the rounds of f and the cycle of the factors before it meet, keeps it from repeating the same pairs. Where whole
    rounds fit that cycle, each round has a further rotation, chosen so that pairs of factors are even early on.

    Example:
        >>> balanced([2, 2], 4)
        [(0, 0), (1, 1), (0, 1), (1, 0)]
        >>> sorted(balanced([4, 6], 24)) == [(a, b) for a in range(4) for b in range(6)]
        True
    """
    columns: list[list[int]] = []
    for factor, size in enumerate(sizes):
        cycle = prod(sizes[:factor])
        meet = lcm(cycle, size)
        turns = _rotations(tuple(sizes[: factor + 1])) if factor else (0,)
        shifts = cycle * size // meet
        columns.append([(i + i // meet % shifts + turns[i % cycle // size % len(turns)]) % size for i in range(count)])
    return list(zip(*columns, strict=True))


@lru_cache(maxsize=256)
def _rotations(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the rotation of each round of the last factor within one cycle of the factors before it; 0 where none fits."""
    *before, size = sizes
    cycle = prod(before)
    if len(before) < 2 or cycle % size:
        return (0,)
    rows = balanced(before, cycle)
    seen: dict[tuple[int, int, int], int] = {}
    chosen: list[int] = []
    for start in range(0, cycle, size):

        def pairs(turn: int, start: int = start) -> list[tuple[int, int, int]]:
            return [(f, value, (i + turn) % size) for i in range(start, start + size) for f, value in enumerate(rows[i])]

        preferred = 2 * len(chosen)  # this progression alone makes three equal factors of odd size orthogonal
        costs = [sum(seen.get(pair, 0) for pair in pairs(turn)) for turn in range(size)]
        best = min((cost, (turn - preferred) % size, turn) for turn, cost in enumerate(costs))[2]
        chosen.append(best)
        for pair in pairs(best):
            seen[pair] = seen.get(pair, 0) + 1
    return tuple(chosen)


def fields_of(template: str, known: Iterable[str]) -> set[str]:
    """Return the fields of a template.

    Raises:
        ValueError: it is blank or malformed, or has a field that is not known; the message names field and known ones.

    Example:
        >>> sorted(fields_of("A photo of {performer} {action}", ["performer", "action"]))
        ['action', 'performer']
    """
    if not template.strip():
        raise ValueError("a template must not be empty")
    try:
        parsed = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"template {template!r}: {error}") from error
    found = {name or "" for name, _, _ in parsed}
    if unknown := found - set(known):
        raise ValueError(f"template {template!r} has unknown fields {sorted(unknown)}; known: {', '.join(known)}")
    if any(form or conversion for _, form, conversion in parsed):
        raise ValueError(f"template {template!r}: fields take no format or conversion, just {{name}}")
    return found


def check_values(values: Sequence[str], what: str) -> None:
    """Raise `ValueError` where a value is blank."""
    if any(not value.strip() for value in values):
        raise ValueError(f"{what} must not be blank; found {list(values)!r}")


def fill(
    templates: Sequence[str], factors: Mapping[str, Sequence[str]], fixed: Mapping[str, str], count: int, *names: object
) -> list[str]:
    """Return `count` prompts from templates, balanced in templates and factors; whitespace is made single.

    A factor is balanced over the prompts whose template has it. Each factor's values stand in a seeded order.

    Args:
        templates: with fields from `factors` and `fixed`.
        factors: name to values.
        fixed: name to the one text that all prompts share; a blank one is an error.
        count: how many.
        names: of the seeded stream: the seed and whatever sets this list apart, last the class.

    Example:
        >>> fill(["{who} {action}"], {"who": ["a cat"]}, {"action": "running"}, 2, 0, "Running")
        ['a cat running', 'a cat running']
    """
    templates = _shuffled(templates, *names, "template")
    ordered = {name: _shuffled(values, *names, name) for name, values in factors.items()}
    fields = [fields_of(template, [*factors, *fixed]) for template in templates]
    uses = {name: tuple(name in found for found in fields) for name in ordered}
    columns = {
        name: iter(_column(name, uses, {n: len(v) for n, v in ordered.items()}, count)) for name in ordered if any(uses[name])
    }
    result = []
    for i in range(count):
        position = i % len(templates)
        chosen = {name: ordered[name][next(columns[name])] for name in columns if uses[name][position]}
        text = " ".join(templates[position].format(**chosen, **fixed).split())
        empty = [name for name, value in fixed.items() if not value.strip()]
        if empty or not text:
            raise ConfigError(
                f"Class {names[-1]!r} leaves the template {templates[position]!r} with an empty {{{(empty or ['prompt'])[0]}}}. "
                "Give the class words with the option 'names'."
            )
        result.append(text)
    return result


def _column(name: str, uses: Mapping[str, tuple[bool, ...]], sizes: Mapping[str, int], count: int) -> list[int]:
    """Return the values of one factor over the prompts that have it: balanced with templates and with factors before it."""
    chain = [sum(uses[name])]
    for other in uses:
        if other == name:
            break
        if uses[other] == uses[name]:
            chain.append(sizes[other])
    return [combination[-1] for combination in balanced([*chain, sizes[name]], count)]


def _shuffled(values: Sequence[str], *names: object) -> list[str]:
    order = stream(0, "prompts", *names).permutation(len(values))
    return [values[i] for i in order]
