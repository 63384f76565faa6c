"""What a Pipeline refuses: strategies that cannot work together, and data that they cannot take."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, cast

import numpy as np

from gtimm.core.asking import built
from gtimm.core.errors import DataError, IncompatibleError, LabelLeakError
from gtimm.core.missing import refuse_holes

if TYPE_CHECKING:
    from collections.abc import Collection

    from gtimm.core.by_modality import ByModality
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.fusion import Fusion
    from gtimm.core.imputer import Imputer
    from gtimm.core.pipeline import Pipeline
    from gtimm.core.targets import Labels


REASON = (
    " Last-block features stand for the tokens of one payload, and no zero vector, mean or prediction of them does: take what gives "
    "payloads, such as 'hot-deck', a generator or {'name': 'zero', 'level': 'payload'}."
)


def hides(fusion: Fusion) -> bool:
    """Return whether a fusion hides values in training."""
    from gtimm.core.fusion import Fusion

    return type(fusion).hide is not Fusion.hide


def check_strategies(pipe: Pipeline) -> None:
    """Raise what strategies alone, without data, tell.

    Raises:
        LabelLeakError: an evaluation imputer needs labels.
        IncompatibleError: depths that do not meet; a fusion that hides values, and nothing in their place.
    """
    name = type(pipe.fusion).__name__
    for imputer in pipe.eval_imputers:
        if imputer.needs_label():
            raise LabelLeakError(
                f"{type(imputer).__name__} fills by label, and evaluation labels must stay unknown. Use it as imputer=, and for "
                "eval_imputer= one that needs no label, such as 'zero' or 'mean'."
            )
    for imputer in [*pipe.imputers, *pipe.eval_imputers]:
        if pipe.depth not in imputer.serves():
            raise IncompatibleError(
                f"{name} needs {pipe.depth!r} features, and {type(imputer).__name__} with these options makes only {imputer.serves()}."
                f"{REASON if pipe.depth == 'last_block' else ''}"
            )
    if hides(pipe.fusion) and pipe.eval_imputers.leaves_some and not pipe.fusion.capabilities().accepts_absent:
        raise IncompatibleError(
            f"{name} hides values in training, and with eval_imputer=None nothing takes their place. Give an eval_imputer such as "
            "'zero', or a base that accepts absent modalities, such as 'score'."
        )
    for backbone in pipe.backbones:
        if pipe.depth not in backbone.info.depths:
            raise IncompatibleError(
                f"{name} needs {pipe.depth!r} features, and {type(backbone).__name__} gives only {backbone.info.depths}."
            )


def chosen(pipe: Pipeline, data: MultimodalDataset) -> tuple[str, ...]:
    """Return the modalities that a pipeline uses of training data.

    Raises:
        DataError: a strategy is for a modality that the data lacks.
        IncompatibleError: a backbone or an imputer cannot take the kind of its modality.
    """
    for name in [*(pipe.modalities or ()), *pipe.backbones.named, *pipe.imputers.named, *pipe.eval_imputers.named]:
        data.kind(name)
    used = pipe.modalities or data.modalities
    for m in used:
        pipe.backbones.require(m).check_kind(data.kind(m))
        for option, found in {"imputer": pipe.imputers, "eval_imputer": pipe.eval_imputers}.items():
            imputer = found.get(m)
            needed = option == "eval_imputer" or not data.present(m).all()
            if imputer is not None and imputer.info.kinds and data.kind(m) not in imputer.info.kinds and needed:
                raise IncompatibleError(
                    f"{type(imputer).__name__} fills {', '.join(imputer.info.kinds)}, but {m!r} ({data.kind(m)}) may have holes "
                    f"too. Give imputers by modality, such as {option}={{..., {m!r}: 'zero'}}."
                )
    return used


def check_holes(pipe: Pipeline, data: MultimodalDataset, imputers: ByModality[Imputer]) -> None:
    """Raise `IncompatibleError` for holes that nothing fills and the fusion does not take."""
    for m in pipe.kinds:
        if imputers.get(m) is None and not pipe.fusion.capabilities().accepts_absent:
            refuse_holes(m, int((~data.present(m)).sum()))


def check_imputers(pipe: Pipeline, data: MultimodalDataset) -> None:
    """Raise what the imputers that will be asked have against the training data (`Imputer.check`)."""
    filler = pipe.filler()
    for m in pipe.kinds:
        asked = [pipe.eval_imputers.get(m), None if data.present(m).all() else pipe.imputers.get(m)]
        for imputer in asked:
            if imputer is not None:
                filler.check(imputer, data, m)


def check_training(pipe: Pipeline) -> None:
    """Raise what training would refuse of the options and the form of the labels.

    A head that needs encoders cannot be asked yet for what balancing changes; the trainer does.

    Raises:
        ConfigError: class weights that do not fit the classes.
        IncompatibleError: balancing would do nothing, or has no single true class to go by.
    """
    from gtimm.core.training.losses import refuse_class_weights

    refuse_class_weights(pipe.train_options.class_weights, len(pipe.classes), sets=pipe.multilabel)
    if pipe.balance is None:
        return
    name = type(pipe.balance).__name__
    if pipe.multilabel:
        raise IncompatibleError(
            f"{name} goes by the probability of the one true class; the rows have sets of classes. Leave balance out."
        )
    if pipe.depth == "pooled":
        from gtimm.core.seeding import torch_seeded

        sizes = {m: pipe.backbones.require(m).size(kind, pipe.depth) for m, kind in pipe.kinds.items()}
        with torch_seeded(0, "check"):
            pipe.balance.check(built(pipe.fusion, sizes, len(pipe.classes), None), tuple(sizes))


def check_form(pipe: Pipeline, data: MultimodalDataset) -> None:
    """Raise `DataError` for data of other modalities, kinds or classes than those of training."""
    for m, kind in pipe.kinds.items():
        if m not in data.modalities or data.kind(m) != kind:
            raise DataError(f"The model was trained with {m!r} ({kind}); {data.name!r} has {', '.join(data.modalities)}.")
    if data.labels is not None and data.multilabel != pipe.multilabel:
        forms = ("one class a row", "sets of classes")
        raise DataError(f"The model was trained with {forms[pipe.multilabel]}; {data.name!r} has {forms[data.multilabel]}.")
    if data.labels is not None and data.classes != pipe.classes:
        raise DataError(
            f"The classes of {data.name!r} differ from those of training. Pass classes= when making it, in the order of training."
        )


def warn_of_nothing(data: MultimodalDataset, modalities: Collection[str]) -> None:
    """Warn of training rows that have none of these modalities, all of them: fills alone are learnt from."""
    if not any(data.present(m).any() for m in modalities):
        warnings.warn(
            f"No training row of {data.name!r} has any of {', '.join(map(repr, modalities))}: a model learns from what fills them alone. "
            "Where that is meant, say so by unseen=.",
            RuntimeWarning,
            stacklevel=3,
        )


def warn_of_absent(data: MultimodalDataset, complete: Collection[str] = ()) -> None:
    """Warn of classes that no training row has: a model predicts them by chance only.

    Args:
        data: the rows to train on.
        complete: where these are the complete rows of a data set, what each of them has.
    """
    labels = cast("Labels", data.labels)
    there = np.asarray(labels.any(0) if data.multilabel else np.isin(np.arange(len(data.classes)), labels))
    if not there.all():
        names = [name for name, found in zip(data.classes, there, strict=True) if not found]
        which = f" that has {' and '.join(complete)}" if complete else ""
        warnings.warn(
            f"No training row of {data.name!r}{which} is of class {', '.join(map(repr, names[:5]))}{', ...' if names[5:] else ''} "
            f"({len(names)} of {len(data.classes)} classes): they cannot be learnt.",
            RuntimeWarning,
            stacklevel=3,
        )
