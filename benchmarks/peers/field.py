"""The contenders: scripts of `contenders/`, their options, and the values that each may choose from on validation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

Options = dict[str, Any]


def grid(**values: tuple[Any, ...]) -> list[Options]:
    """Return every combination of these options."""
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        name: in the table.
        script: file of `contenders/`, without its ending.
        place: environment that it runs in.
        options: command line options.
        choice: combinations of options to choose from on validation, for each share of missing images; of one nothing is chosen.
        reads: `embeddings` (made for it), or `files`, from which it makes what it needs.
        keeps: whether it has a folder that later runs find again.
        masks: how many masks at most, the first of each share before the second of any; fewer than the others for what takes long.
        like: name of the contender whose chosen options serve this one too, where the learning is the same.
    """

    name: str
    script: str
    place: str
    options: Options
    choice: list[Options]
    reads: str = "embeddings"
    keeps: bool = False
    masks: int = 99
    like: str = ""

    def arguments(self, chosen: Options, seed: int) -> list[str]:
        """Return the options as a command line has them."""
        found = []
        for name, value in {**self.options, **chosen, "seed": seed}.items():
            found += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        return found


RATES = grid(lr=(0.005, 0.01, 0.02, 0.05))
STRENGTHS = grid(C=(0.001, 0.01, 0.1, 1.0))
MUSE = [*grid(lr=(2e-4, 1e-3), epochs=(30,)), {"lr": 2e-4, "epochs": 100}, {"lr": 2e-4, "epochs": 300}]
M3CARE = [*grid(lr=(1e-4, 1e-3), epochs=(30,)), {"lr": 1e-3, "epochs": 60}, {"lr": 1e-3, "epochs": 200}]

FIELD = [
    Contender("scikit-learn, SimpleImputer", "sklearn_imputer", "scikit-learn", {"imputer": "simple"}, STRENGTHS),
    Contender("scikit-learn, KNNImputer", "sklearn_imputer", "scikit-learn", {"imputer": "knn"}, STRENGTHS),
    Contender("gtimm, zero", "gtimm_pipeline", "gtimm", {"imputer": "zero"}, RATES, "files", keeps=True),
    Contender("gtimm, hot-deck", "gtimm_pipeline", "gtimm", {"imputer": "hot-deck"}, RATES, "files", keeps=True),
    Contender("gtimm, GTI-MM 20 a class", "gtimm_pipeline", "gtimm", {"imputer": 20}, RATES, "files", keeps=True),
    Contender("gtimm, GTI-MM 100 a class", "gtimm_pipeline", "gtimm", {"imputer": 100}, RATES, "files", keeps=True),
    Contender("diffusers script, cached, 100 a class", "diffusers_cached", "gtimm", {}, RATES, "files", keeps=True),
    Contender(
        "diffusers script, re-encoding, 100 a class",
        "diffusers_reencode",
        "gtimm",
        {},
        RATES,
        "files",
        keeps=True,
        masks=2,
        like="diffusers script, cached, 100 a class",
    ),
    Contender("iMML, MOFAImputer", "imml_imputer", "imml", {"imputer": "mofa"}, STRENGTHS),
    Contender("iMML, JNMFImputer", "imml_imputer", "imml", {"imputer": "jnmf"}, grid(C=(0.001, 0.01), components=(10, 30))),
    Contender("iMML, DFMFImputer", "imml_imputer", "imml", {"imputer": "dfmf"}, STRENGTHS),
    Contender("iMML, MUSE", "imml_classifier", "imml", {"method": "muse"}, MUSE, masks=2),
    Contender("iMML, M3Care", "imml_classifier", "imml", {"method": "m3care"}, M3CARE, masks=2),
    Contender("iMML raw, MUSE", "imml_classifier", "imml", {"method": "muse", "raw": True}, MUSE, "files", masks=1),
    Contender("iMML raw, M3Care", "imml_classifier", "imml", {"method": "m3care", "raw": True}, M3CARE, "files", masks=1),
    Contender(
        "iMML raw, M3Care with ResNet-18",
        "imml_classifier",
        "imml",
        {"method": "m3care", "raw": True, "pictures": True},
        [{"lr": 1e-3, "epochs": 10}],
        "files",
        masks=1,
    ),
]
OURS, PLAIN = "gtimm, GTI-MM 100 a class", "diffusers script, re-encoding, 100 a class"
"""Whose processor seconds the last line compares."""
