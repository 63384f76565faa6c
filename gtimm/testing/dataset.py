"""What every data set by name promises. A broken promise is an `AssertionError` that says which, with what was found."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.dataset import DatasetLoader
from gtimm.core.errors import GtimmError, MissingPayloadError
from gtimm.core.media import load_audio, load_frame, load_image, load_text, payload_key
from gtimm.core.missing import Missing
from gtimm.core.splitting import PARTS
from gtimm.core.targets import is_missing
from gtimm.testing.common import COMMON_CHECKS, Check, global_seed, global_state, refuse_other, run_checks
from gtimm.testing.explain import short

if TYPE_CHECKING:
    from gtimm.core.dataset import MultimodalDataset, Splits

MOST = 20
"""Rows of a split whose payloads are read, evenly spaced: whole corpora are large."""


class Loaded:
    """What a data set gave, loaded when it is first asked for and kept for all checks."""

    def __init__(self, loader: DatasetLoader) -> None:
        self._loader = loader

    @cached_property
    def splits(self) -> Splits:
        """The splits."""
        return self._loader.load()


def check_dataset(loader: DatasetLoader, *, expected_failed_checks: Mapping[str, str] | None = None) -> None:
    """Run every check of `DATASET_CHECKS`; the data set is loaded a few times, and some of its payloads are decoded.

    Args:
        loader: the data set, with its options, such as the folder of its files.
        expected_failed_checks: names of checks that are known to fail, with the reason.

    Raises:
        AssertionError: promises are broken.
        ConfigError: no instance of a data set.

    Example:
        >>> from gtimm.data.digits import Digits
        >>> check_dataset(Digits())
    """
    refuse_other(loader, DatasetLoader)
    run_checks(DATASET_CHECKS, loader, Loaded(loader), expected_failed_checks)


def check_splits_agree(loader: DatasetLoader, given: Loaded) -> None:
    """The three splits have rows, and the same modalities, kinds and classes in one order, and the same form of labels."""
    forms = {part: _form(data) for part, data in _parts(given.splits)}
    for part, form in forms.items():
        assert form == forms["train"], f"{part} has {form}, and train {forms['train']}."


def check_labels_are_classes(loader: DatasetLoader, given: Loaded) -> None:
    """Every row has a label among the classes, of multi-label data a set of them; class names are distinct."""
    for part, data in _parts(given.splits):
        labels = data.labels
        assert labels is not None, f"{part} has no labels."
        assert len(labels) == len(data), f"{part} has {len(labels)} labels for {len(data)} rows."
        assert len(set(data.classes)) == len(data.classes), f"{part}: a class name stands twice."
        if labels.ndim == 2:
            assert labels.shape[1] == len(data.classes), (
                f"{part}: labels have {labels.shape[1]} columns for {len(data.classes)} classes."
            )
            continue
        outside = np.flatnonzero((labels < 0) | (labels >= len(data.classes)))
        assert not len(outside), f"{part}: row {outside[0]} has label {labels[outside[0]]} of {len(data.classes)} classes."


def check_same_options_same_rows(loader: DatasetLoader, given: Loaded) -> None:
    """Loaded twice, the rows are the same in the same order, whatever the global generators hold."""
    found = []
    for seed in (1, 2):
        with global_seed(seed):
            splits = type(loader)(**json.loads(json.dumps(loader.options()))).load()
            found.append({part: (_labels(data), _keys(data)) for part, data in _parts(splits)})
    for part in PARTS:
        assert found[0][part] == found[1][part], f"{part} differs between two loads; use gtimm.core.seeding.stream(seed, ...)."


def check_global_randomness_is_left_alone(loader: DatasetLoader, given: Loaded) -> None:
    """The global generators of Python, NumPy and torch are neither seeded nor drawn from."""
    _ = given.splits  # imports what it needs
    with global_seed(3):
        before = global_state()
        loader.load()
        after = global_state()
    assert after == before, "A global random generator was seeded or drawn from; use gtimm.core.seeding.stream(seed, ...)."


def check_no_row_is_in_two_splits(loader: DatasetLoader, given: Loaded) -> None:
    """No row stands in two splits with all its payloads: a model would be tested on what it was trained on."""
    seen: dict[Any, str] = {}
    for part, data in _parts(given.splits):
        for row, key in enumerate(_rows(data)):
            if any(key):
                where = seen.setdefault(key, f"{part}, row {row}")
                assert where.startswith(part), f"A row stands in two splits: {where}, and {part}, row {row}."


def check_what_is_present_can_be_read(loader: DatasetLoader, given: Loaded) -> None:
    """`present` says which payloads are there: those decode to their kind, and reading another is a `MissingPayloadError`."""
    for part, data in _parts(given.splits):
        for m in data.modalities:
            there = data.present(m)
            for row in _some(np.flatnonzero(there)):
                payload = data.payload(m, row)
                assert not is_missing(payload), f"{part}, row {row}: {m!r} is said to be present and is {short(payload)}."
                _decode(data.kind(m), payload)
            for row in _some(np.flatnonzero(~there)):
                try:
                    data.payload(m, row)
                except MissingPayloadError:
                    continue
                raise AssertionError(f"{part}, row {row}: {m!r} is said to be missing and can be read.")


def check_reading_changes_nothing(loader: DatasetLoader, given: Loaded) -> None:
    """A payload that is read twice is the same, and so is one that was decoded in between."""
    for part, data in _parts(given.splits):
        for m in data.modalities:
            for row in _some(np.flatnonzero(data.present(m))):
                first = pickle.dumps(data.payload(m, row))
                with suppress(GtimmError):  # what cannot be decoded is another check's matter
                    _decode(data.kind(m), data.payload(m, row))
                assert pickle.dumps(data.payload(m, row)) == first, f"{part}, row {row}: {m!r} is another the second time."


def check_rows_can_be_sealed(loader: DatasetLoader, given: Loaded) -> None:
    """Simulated missingness finds enough to hide: half of the rows of a modality, in each split."""
    for part, data in _parts(given.splits):
        for m in data.modalities:
            ratio = max(0.5, 1 - data.present(m).mean())
            found = data.with_missing(Missing({m: ratio}, allow_empty=True))
            wanted = len(data) - round(ratio * len(data))
            assert int(found.present(m).sum()) == wanted, (
                f"{part}: {m!r} has {int(found.present(m).sum())} rows left, not {wanted}."
            )


DATASET_CHECKS: tuple[Check, ...] = (
    *COMMON_CHECKS,
    check_splits_agree,
    check_labels_are_classes,
    check_same_options_same_rows,
    check_global_randomness_is_left_alone,
    check_no_row_is_in_two_splits,
    check_what_is_present_can_be_read,
    check_reading_changes_nothing,
    check_rows_can_be_sealed,
)


def _parts(splits: Splits) -> Iterator[tuple[str, MultimodalDataset]]:
    for part in PARTS:
        yield part, getattr(splits, part)


def _form(data: MultimodalDataset) -> dict[str, Any]:
    return {"modalities": {m: data.kind(m) for m in data.modalities}, "classes": data.classes, "multilabel": data.multilabel}


def _some(rows: Any) -> list[int]:
    """Return some of the rows, evenly spaced."""
    found: list[int] = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST)).astype(np.int64)].tolist()
    return found


def _labels(data: MultimodalDataset) -> bytes:
    return b"" if data.labels is None else np.ascontiguousarray(data.labels).tobytes()


def _keys(data: MultimodalDataset) -> list[bytes]:
    """Return the contents of some payloads, and which are there."""
    found = []
    for m in data.modalities:
        found.append(data.present(m).tobytes())
        found += [payload_key(data.kind(m), data.payload(m, row)) for row in _some(np.flatnonzero(data.present(m)))]
    return found


def _rows(data: MultimodalDataset) -> Iterator[tuple[bytes, ...]]:
    """Yield the contents of each row: an empty key for what is missing."""
    columns = []
    for m in data.modalities:
        keys, there = [b""] * len(data), np.flatnonzero(data.present(m))
        for row, key in zip(there.tolist(), data.keys(m, there), strict=True):
            keys[row] = key
        columns.append(keys)
    return iter(zip(*columns, strict=True))


def _decode(kind: str, payload: Any) -> None:
    decoders: dict[str, Any] = {"image": load_image, "audio": load_audio, "text": load_text, "video": load_frame}
    decoders.get(kind, np.asarray)(payload)
