"""What every imputer promises. A broken promise is an `AssertionError` that says which, with what was found."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.errors import ConfigError
from gtimm.core.imputer import Generator, Imputer
from gtimm.core.pool import Features, Requests, Rows
from gtimm.testing.common import COMMON_CHECKS, Check, global_seed, global_state, refuse_other, run_checks
from gtimm.testing.generator import GENERATOR_CHECKS
from gtimm.testing.patterns import patterns
from gtimm.testing.samples import Sample, rebuilt, sample_data
from gtimm.testing.trial import content, frozen, members_of, offers, trial

if TYPE_CHECKING:
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.imputer import State
    from gtimm.core.pool import Pool
    from gtimm.testing.trial import Role, Trial

CLOSE = 1e-4  # of a vector's numbers, for rounding that differs with the number of rows


def check_imputer(
    imputer: Imputer,
    data: MultimodalDataset | None = None,
    target: str | None = None,
    *,
    expected_failed_checks: Mapping[str, str] | None = None,
) -> None:
    """Run every check of `IMPUTER_CHECKS`, and of a generator those of `GENERATOR_CHECKS`, which make some items.

    Args:
        imputer: the imputer.
        data: complete, labelled rows to try it on, a dozen or more; by default such are made up.
        target: the modality that goes missing; by default the first that the imputer fills.
        expected_failed_checks: names of checks that are known to fail, with the reason.

    Raises:
        AssertionError: promises are broken.
        ConfigError: no instance of an imputer, or data that it cannot be tried on.

    Example:
        >>> from gtimm.imputers.fill import MeanFill
        >>> check_imputer(MeanFill())
    """
    refuse_other(imputer, Imputer)
    run_checks(imputer_checks(imputer), imputer, sample_for(imputer, data, target), expected_failed_checks)


def imputer_checks(imputer: Imputer) -> tuple[Check, ...]:
    """Return the checks of an imputer."""
    return IMPUTER_CHECKS + (GENERATOR_CHECKS if isinstance(imputer, Generator) else ())


def sample_for(imputer: Imputer, data: MultimodalDataset | None = None, target: str | None = None) -> Sample:
    """Return what an imputer is tried on: the given data, or some with a modality of the first kind that it fills."""
    kinds = imputer.info.kinds
    if data is None:
        return sample_data(kinds[0] if kinds else "vector")
    fitting = [m for m in data.modalities if not kinds or data.kind(m) in kinds]
    if not fitting or (target is not None and target not in fitting):
        named = ", ".join(f"{m} ({data.kind(m)})" for m in data.modalities)
        raise ConfigError(
            f"{type(imputer).__name__} fills {', '.join(kinds) or 'any kind'}; the data has {named}, target={target!r}."
        )
    found = Sample(data, target or fitting[0])
    found.check()
    return found


def check_present_values_are_untouched(imputer: Imputer, given: Sample) -> None:
    """Fitting and planning change no payload of the data in place."""
    rows = range(len(given.data))
    payloads = {m: [copy.deepcopy(given.data.payload(m, row)) for row in rows] for m in given.data.modalities}
    before = {m: [pickle.dumps(value) for value in values] for m, values in payloads.items()}
    own = Sample(rebuilt(given.data, payloads=payloads), given.target)
    with trial() as run:
        run.outcome(imputer, own.sealed, own.target)
    for m, values in payloads.items():
        for row, value in enumerate(values):
            assert pickle.dumps(value) == before[m][row], f"The payload {m!r} of row {row} was changed in place; copy it first."


def check_input_is_not_mutated(imputer: Imputer, given: Sample) -> None:
    """Features, labels and masks of the view stay as they were, and so does the state that `pool` is given."""
    train, _ = given.sealed
    with trial() as run:
        view = run.view(imputer, train, "train")
        before = view.contents()
        state = imputer.fit(view, given.target)
        kept = frozen(state)
        imputer.pool(view, given.target, state)
        for what, found in view.contents().items():
            assert found == before[what], f"The view's {what} changed in place; work on a copy."
        assert frozen(state) == kept, "pool() changed the state that it was given; work on a copy."


def check_same_seed_same_result(imputer: Imputer, given: Sample) -> None:
    """Equal options give equal states and candidates, bit for bit, whatever the global generators hold."""
    found = []
    for seed in (1, 2):
        with trial() as run, global_seed(seed):
            found.append(run.outcome(_fresh(imputer), given.sealed, given.target))
    for part, one, other in zip(("states", "candidates"), *found, strict=True):
        assert one == other, f"Two {part} with equal options differ; draw from gtimm.core.seeding.stream(seed, ...)."


def check_global_randomness_is_left_alone(imputer: Imputer, given: Sample) -> None:
    """The global generators of Python, NumPy and torch are neither seeded nor drawn from."""
    with trial() as run:
        run.outcome(imputer, given.sealed, given.target)  # imports and loads what it needs
        with global_seed(3):
            before = global_state()
            run.outcome(imputer, given.sealed, given.target)
            after = global_state()
    assert after == before, "A global random generator was seeded or drawn from; use gtimm.core.seeding.stream(seed, ...)."


def check_no_dependence_on_batch_mates(imputer: Imputer, given: Sample) -> None:
    """What a row of evaluation data is offered follows from the row and the state, not from the rows beside it, up to rounding.

    An imputer that goes by labels fills training rows alone, which it learns from; nothing is asked of it here.
    """
    if imputer.needs_label():
        return
    train, test = given.sealed
    with trial() as run:
        state = run.fit(imputer, train, given.target)
        whole = run.pool(imputer, test, given.target, state, "eval")
        for row in np.flatnonzero(~test.present(given.target)).tolist():
            for mates in {(row,), tuple(sorted({0, row, len(test) - 1}))}:
                few = test.subset(list(mates))
                part = run.pool(imputer, few, given.target, state, "eval")
                place = mates.index(row)
                one, other = members_of(whole, row), members_of(part, place)
                assert len(one) == len(other), f"Row {row} has {len(one)} candidates, and {len(other)} among {len(mates)} rows."
                for a, b in zip(one, other, strict=True):
                    assert _alike((whole, a, test), (part, b, few), given.target), (
                        f"What row {row} is offered is another thing among {len(mates)} rows than among {len(test)}."
                    )


def check_sealed_payloads_are_never_read(imputer: Imputer, given: Sample) -> None:
    """What simulated missingness has sealed goes into nothing: other payloads beneath the seals give the same result."""
    found = []
    for turn in (0, 1):
        parts = []
        for data in given.complete:
            own = [data.payload(given.target, row) for row in range(len(data))]
            hidden = given.seal(data).sealed(given.target)
            values = [own[(row + turn) % len(own)] if hidden[row] else own[row] for row in range(len(own))]
            parts.append(given.seal(rebuilt(data, payloads={given.target: values})))
        with trial() as run:
            found.append(run.outcome(imputer, (parts[0], parts[1]), given.target))
    assert found[0] == found[1], f"Sealed payloads of {given.target!r}, or their features, went into the result."


def check_no_label_is_used_where_none_is_declared(imputer: Imputer, given: Sample) -> None:
    """Without `needs_label`, neither the labels of training nor those of evaluation change anything."""
    if imputer.needs_label():
        return
    found = []
    for turn in (0, 1, None):
        parts = []
        for data in given.complete:
            assert data.labels is not None, "The rows to try an imputer on need labels."
            labels = np.zeros_like(data.labels) if turn is None else np.roll(data.labels, turn, axis=0)
            parts.append(given.seal(rebuilt(data, labels=labels)))
        with trial() as run:
            found.append(run.outcome(imputer, (parts[0], parts[1]), given.target))
    assert found[0] == found[1] == found[2], "Labels went into the result, and needs_label() says that none are read."


def check_state_survives_saving(imputer: Imputer, given: Sample) -> None:
    """What `fit` returns is arrays by name, and is all that `pool` needs: saved and loaded it gives the same candidates."""
    from safetensors.numpy import load_file, save_file

    train, test = given.sealed
    role: Role = "train" if imputer.needs_label() else "eval"
    data = train if role == "train" else test
    with trial() as run, tempfile.TemporaryDirectory() as folder:
        state = run.fit(imputer, train, given.target)
        for name, value in state.items():
            assert isinstance(name, str), f"The state names an array by {name!r}; it must be a string."
            numbers = isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf"
            assert numbers, f"The state holds {name!r} of {type(value).__name__}; it must be an array of numbers."
        before = offers(run.pool(imputer, data, given.target, state, role), data, given.target)
        path = Path(folder) / "state.safetensors"
        save_file({name: np.ascontiguousarray(value) for name, value in state.items()}, path)
        after = offers(run.pool(_fresh(imputer), data, given.target, load_file(path), role), data, given.target)
    assert after == before, "Other candidates after saving and loading; keep all that pool() needs in what fit() returns."


def check_any_missing_pattern(imputer: Imputer, given: Sample) -> None:
    """Whatever is missing, a valid pool comes out: nothing, the target everywhere, other modalities, whole rows, all but one class."""
    for name, train, test in patterns(given):
        with trial() as run:
            _works(run, imputer, train, test, given.target, name)


def check_single_row(imputer: Imputer, given: Sample) -> None:
    """One row to train on and one row to fill are enough for a valid pool."""
    train, test = given.complete
    hole = {given.target: np.ones(1, bool)}
    with trial() as run:
        _works(run, imputer, rebuilt(train.subset([0])), rebuilt(test.subset([0]), hole), given.target, "one row")


def check_candidates_fit_the_modality(imputer: Imputer, given: Sample) -> None:
    """Vectors are float32 of the modality's length; requests are for its kind; training rows are no candidates at evaluation."""
    train, test = given.sealed
    with trial() as run:
        state = run.fit(imputer, train, given.target)
        view = run.view(imputer, train, "train")
        items = run.pool(imputer, train, given.target, state, "train").items
        if isinstance(items, Features):
            expected = ("float32", 2, view.dim(given.target))
            found = (str(items.values.dtype), items.values.ndim, items.values.shape[-1])
            assert found == expected, (
                f"Vectors are {items.values.dtype} of shape {items.values.shape}, not float32 (items, {expected[2]})."
            )
        if isinstance(items, Requests):
            kinds = {request.kind for request in items.values} - {view.kind(given.target)}
            assert not kinds, f"Requests are for {sorted(kinds)}, and the modality is {view.kind(given.target)!r}."
        if not imputer.needs_label():
            judged = run.pool(imputer, test, given.target, state, "eval").items
            assert not isinstance(judged, Rows), (
                "Training rows are candidates at evaluation, where nobody holds them; return Features."
            )


def check_item_type_is_as_declared(imputer: Imputer, given: Sample) -> None:
    """`info.items` says what the pool holds, where it says anything."""
    train, _ = given.sealed
    with trial() as run:
        items = run.pool(imputer, train, given.target, run.fit(imputer, train, given.target), "train").items
    found = {"Payloads": "payload", "Requests": "request", "Rows": "row", "Features": "feature"}[type(items).__name__]
    assert imputer.info.items in (None, found), f"info.items is {imputer.info.items!r}, and the pool holds {found!r}."


def check_served_depths_can_be_served(imputer: Imputer, given: Sample) -> None:
    """Whoever says that `"last_block"` is served returns what can be embedded: no vector stands for a payload's tokens."""
    train, _ = given.sealed
    assert imputer.serves(), "serves() is empty, so no fusion can use this imputer."
    if "last_block" not in imputer.serves():
        return
    with trial() as run:
        state = run.fit(imputer, train, given.target, "last_block")
        items = run.pool(imputer, train, given.target, state, "train", "last_block").items
    assert not isinstance(items, Features), "Vectors are returned, and serves() says 'last_block'; take it out of info.depths."


IMPUTER_CHECKS: tuple[Check, ...] = (
    *COMMON_CHECKS,
    check_present_values_are_untouched,
    check_input_is_not_mutated,
    check_same_seed_same_result,
    check_global_randomness_is_left_alone,
    check_no_dependence_on_batch_mates,
    check_sealed_payloads_are_never_read,
    check_no_label_is_used_where_none_is_declared,
    check_state_survives_saving,
    check_any_missing_pattern,
    check_single_row,
    check_candidates_fit_the_modality,
    check_item_type_is_as_declared,
    check_served_depths_can_be_served,
)


def _fresh(imputer: Imputer) -> Imputer:
    """Return an imputer with the same options that has seen nothing."""
    return type(imputer)(**json.loads(json.dumps(imputer.options())))


def _works(run: Trial, imputer: Imputer, train: MultimodalDataset, test: MultimodalDataset, target: str, pattern: str) -> None:
    """Fit and plan, and raise unless the pools are those of the data and hold numbers."""
    state: State = run.fit(imputer, train, target)
    for name, value in state.items():
        array = np.asarray(value)
        assert array.dtype.kind != "f" or np.isfinite(array).all(), f"{pattern}: the state's {name!r} is not finite."
    _valid(run.pool(imputer, train, target, state, "train"), train, target, pattern)
    if not imputer.needs_label():
        _valid(run.pool(imputer, test, target, state, "eval"), test, target, pattern)


def _valid(pool: Pool, data: MultimodalDataset, target: str, pattern: str) -> None:
    assert len(pool.group) == len(data), f"{pattern}: a pool for {len(pool.group)} rows; the data has {len(data)}."
    used = pool.used(np.flatnonzero(~data.present(target)))
    if isinstance(pool.items, Features) and len(used):
        assert np.isfinite(pool.items.values[used]).all(), f"{pattern}: vectors that are not finite."
    if isinstance(pool.items, Rows) and len(used):
        assert data.present(target)[pool.items.values[used]].all(), f"{pattern}: rows without {target!r} are candidates."


def _alike(one: tuple[Pool, int, MultimodalDataset], other: tuple[Pool, int, MultimodalDataset], target: str) -> bool:
    """Return whether two items, each of a pool of some data, are the same up to rounding."""
    if isinstance(one[0].items, Features) and isinstance(other[0].items, Features):
        return np.allclose(one[0].items.values[one[1]], other[0].items.values[other[1]], rtol=CLOSE, atol=CLOSE, equal_nan=True)
    return content(*one, target) == content(*other, target)
