"""A model's card: what it was trained on, what of that is synthetic, how well it does, and under which licences it stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gtimm.core.errors import GtimmError
from gtimm.core.licences import code_licence, conditions, name_of, objections, strategies
from gtimm.core.record import held_rows
from gtimm.core.terminal import harmless

if TYPE_CHECKING:
    from gtimm.core.pipeline import Pipeline
    from gtimm.core.record import Facts

NAMED = 20  # classes that are listed
_MARKS = str.maketrans({"|": "\\|", "<": "&lt;", "[": "\\[", "`": "'"})


def model_card(pipe: Pipeline) -> str:
    """Return the card as Markdown; raises `GtimmError` before `fit`."""
    if pipe.record.train is None:
        raise GtimmError("This pipeline is not trained, or was saved without a record of its training; call fit first.")
    parts = [_what(pipe), _training(pipe), _scores(pipe), _licences(pipe), _again(pipe)]
    return "\n\n".join(parts) + "\n"


def _what(pipe: Pipeline) -> str:
    from gtimm import __version__

    kinds = ", ".join(f"`{m}` ({kind})" for m, kind in pipe.kinds.items())
    names = ", ".join(f"`{_code(name)}`" for name in pipe.classes[:NAMED])
    more = f" and {len(pipe.classes) - NAMED} more" if len(pipe.classes) > NAMED else ""
    form = "any of" if pipe.multilabel else "one of"
    found = {m: pipe.eval_imputers.get(m) for m in pipe.kinds}
    names_of = {m: "nothing" if one is None else f"`{name_of('imputers', one)}`" for m, one in found.items()}
    fills = [f"`{m}` by {name}" for m, name in names_of.items()]
    return "\n\n".join(
        [
            "# Model card",
            f"A classifier of rows that may lack a modality, made with gtimm {__version__}. It reads {kinds} and gives {form} "
            f"{len(pipe.classes)} classes: {names}{more}.",
            f"What a row lacks at prediction is filled: {'; '.join(fills)}.",
        ]
    )


def _training(pipe: Pipeline) -> str:
    train = pipe.record.train
    assert train is not None
    rows = []
    for m in pipe.kinds:
        filling = pipe.record.filled.get(m)
        absent = train.rows - train.own[m]
        by = "" if filling is None else filling.strategy or "left absent"
        synthetic = filling.rows if filling is not None and filling.generated else 0
        rows.append([m, train.own[m], absent, train.sealed[m], by, f"{_percent(synthetic, train.rows)}"])
    lines = [
        "## Training data",
        f"`{_code(train.name)}`: {train.rows:,} rows." + (f" Validation: {_named(pipe.record.val)}." if pipe.record.val else ""),
        _table(["modality", "own value", "missing", "of these hidden on purpose", "filled by", "synthetic"], rows),
        "*Synthetic* is the share of the training rows whose value a generative model made.",
    ]
    if train.mechanism:
        lines.append(f"Values were hidden on purpose by the mechanism `{train.mechanism}`.")
    for m, filling in pipe.record.filled.items():
        if filling.bare:
            lines.append(f"{filling.bare:,} rows had no candidate for `{m}` and were filled as by `zero`.")
    if held := held_rows(pipe):
        names = {m: name_of("imputers", one) for m in held if (one := pipe.eval_imputers.get(m)) is not None}
        kept = "; ".join(f"`{m}`: {held[m]['rows']:,} by `{name}`" for m, name in names.items())
        lines.append(
            f"**The model holds embeddings of training rows** ({kept}), from which training data may be guessed. Share it as you would "
            "share the data."
        )
    if len(pipe.prior) and not pipe.multilabel:
        order = pipe.prior.argsort()
        least, most = pipe.classes[order[0]], pipe.classes[order[-1]]
        lines.append(
            f"The rarest class has {pipe.prior.min():.1%} of the training rows (`{_code(least)}`), the most frequent "
            f"{pipe.prior.max():.1%} (`{_code(most)}`)."
        )
    return "\n\n".join(lines)


def _scores(pipe: Pipeline) -> str:
    if not pipe.record.scored:
        return "## Scores\n\nNone: `evaluate` was not called."
    metrics = list(dict.fromkeys(name for facts in pipe.record.scored for name in facts.scores))
    rows = [
        [
            facts.name,
            facts.rows,
            _missing(facts),
            *(f"{facts.scores[name]:.3f}" if name in facts.scores else "" for name in metrics),
        ]
        for facts in pipe.record.scored
    ]
    return "\n\n".join(
        ["## Scores", _table(["data", "rows", "missing", *metrics], rows), "Fractions; of one trained model, without intervals."]
    )


def _licences(pipe: Pipeline) -> str:
    used = list(strategies(pipe))
    rows = dict.fromkeys(
        (name_of(group, one), code_licence(one), one.weights_licence() or "none", "; ".join(conditions(one)))
        for group, one in used
    )
    refused = dict.fromkeys(f"`{name_of(group, one)}` ({'; '.join(why)})" for group, one in used if (why := objections(one)))
    words = (
        f"Commercial use is not allowed, or nobody has said that it is, by {', '.join(refused)}."
        if refused
        else "All of these allow commercial use, under their conditions."
    )
    return "\n\n".join(
        [
            "## Licences",
            _table(["strategy", "code", "weights", "conditions"], rows),
            words + " The training data has terms of its own. This is no legal advice.",
        ]
    )


def _again(pipe: Pipeline) -> str:
    plain = json.dumps(pipe.config(), indent=2, ensure_ascii=False)
    plain = plain.replace("`", "\\u0060")  # the same JSON, in which nothing ends the block
    return f"## Configuration\n\nSeed {pipe.seed}.\n\n```json\n{plain}\n```"


def _named(facts: Facts) -> str:
    return f"`{_code(facts.name)}`, {facts.rows:,} rows"


def _missing(facts: Facts) -> str:
    parts = [f"{m} {_percent(facts.rows - own, facts.rows)}" for m, own in facts.own.items() if own < facts.rows]
    return ", ".join(parts) or "nothing"


def _percent(count: int, whole: int) -> str:
    return f"{count / whole:.1%}" if count else "0"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(_cell(f"{value:,}" if isinstance(value, int) else str(value)) for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _code(text: str) -> str:
    """Return text that can stand between back quotes."""
    return harmless(" ".join(text.replace("`", "'").split()))


def _cell(text: str) -> str:
    """Return text that stays in one cell of a table."""
    return harmless(" ".join(text.translate(_MARKS).split()))
