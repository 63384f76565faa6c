"""What a model was trained and scored on: facts that its card shows, saved with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gtimm.core.imputer import Generator
from gtimm.core.licences import name_of

if TYPE_CHECKING:
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.pipeline import Pipeline


@dataclass(frozen=True)
class Facts:
    """The rows that a model met, and what they lacked.

    Attributes:
        name: of the data set.
        rows: how many.
        own: by modality, rows with a value of their own.
        sealed: by modality, rows whose value simulated missingness hid.
        mechanism: of the simulation: `random`, `stratified`, ...; empty without one.
        scores: what the model reached on them, fractions by metric; empty where it was not scored.
    """

    name: str
    rows: int
    own: dict[str, int]
    sealed: dict[str, int]
    mechanism: str = ""
    scores: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, data: MultimodalDataset, modalities: Mapping[str, str]) -> Facts:
        """Count the rows of a data set in the modalities that a model uses."""
        own = {m: int(data.present(m).sum()) for m in modalities}
        sealed = {m: int(data.sealed(m).sum()) for m in modalities}
        return cls(data.name, len(data), own, sealed, data.missing.mechanism if data.missing is not None else "")


@dataclass(frozen=True)
class Filling:
    """How the holes of a modality were filled in training.

    Attributes:
        strategy: name of the imputer; empty where holes were left.
        generated: whether a model made the items.
        rows: rows that it filled.
        bare: rows without a candidate, filled as by `zero`.
    """

    strategy: str
    generated: bool
    rows: int
    bare: int


@dataclass(frozen=True)
class Record:
    """What happened to a model.

    Attributes:
        train: the training rows; `None` before `fit`.
        val: the rows that chose the epoch.
        filled: by modality that had holes in training.
        scored: the data that `evaluate` was called with, the last call for each.
    """

    train: Facts | None = None
    val: Facts | None = None
    filled: dict[str, Filling] = field(default_factory=dict)
    scored: tuple[Facts, ...] = ()

    @classmethod
    def of(cls, pipe: Pipeline, train: MultimodalDataset, val: MultimodalDataset | None) -> Record:
        """Return the facts of a pipeline that was prepared for these rows."""
        facts = Facts.of(train, pipe.kinds)
        filled = {}
        for m in pipe.kinds:
            imputer, holes = pipe.imputers.get(m), facts.rows - facts.own[m]
            bare = pipe.unfilled.get(m, 0)
            if holes:
                name = "" if imputer is None else name_of("imputers", imputer)
                made = imputer is not None and any(isinstance(one, Generator) for one in (imputer, imputer.source()))
                filled[m] = Filling(name, made, 0 if imputer is None else holes - bare, bare)
        return cls(facts, None if val is None else Facts.of(val, pipe.kinds), filled)

    def with_scores(self, facts: Facts) -> Record:
        """Return the record with scores on some data, in the place of earlier ones on data with the same facts."""
        plain = replace(facts, scores={})
        kept = tuple(one for one in self.scored if replace(one, scores={}) != plain)
        return replace(self, scored=(*kept, facts))


def held_rows(pipe: Pipeline) -> dict[str, dict[str, Any]]:
    """Return what a trained model keeps of its training data, by modality: `strategy`, `rows` and `what`."""
    held: dict[str, dict[str, Any]] = {}
    for modality, state in pipe._states.items():
        imputer = pipe.eval_imputers.get(modality)
        rows = max((len(array) for array in state.values()), default=0)
        if imputer is not None and imputer.holds_training_data() and rows:
            held[modality] = {"strategy": type(imputer).__name__, "rows": rows, "what": "embeddings of training rows"}
    return held
