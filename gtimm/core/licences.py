"""Licences of strategies: of their code and of the weights that they load, and which of them allow commercial use.

What stands here was read on the pages named; it is no legal advice. A strategy states its licences in `Info`, its package may state that
of the code, and a method answers for the options, since another model has other weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from gtimm.core.errors import ConfigError, LicenceError
from gtimm.core.package_licence import package_licence
from gtimm.core.registry import BASES, OURS, registry

if TYPE_CHECKING:
    from gtimm.core.pipeline import Pipeline
    from gtimm.core.plugin import Group, Plugin

UNKNOWN = "unknown"
"""Of code or weights whose licence nobody has stated."""
OWN = "own"
"""Of weights of one's own, as the option `licence` of a strategy may say."""
OUR_LICENCE = "Apache-2.0"
"""Of the code of gtimm."""


@dataclass(frozen=True)
class Terms:
    """What a licence says of commercial use.

    Attributes:
        name: an SPDX identifier where there is one.
        commercial: whether commercial use is allowed.
        page: where the licence stands.
        note: what a user has to do, or may not.
    """

    name: str
    commercial: bool
    page: str = ""
    note: str = ""


_SPDX, _CC, _HUB = "https://spdx.org/licenses", "https://creativecommons.org/licenses", "https://huggingface.co"
_TERMS = (
    Terms("Apache-2.0", True, f"{_SPDX}/Apache-2.0.html"),
    Terms("MIT", True, f"{_SPDX}/MIT.html"),
    Terms("BSD-2-Clause", True, f"{_SPDX}/BSD-2-Clause.html"),
    Terms("BSD-3-Clause", True, f"{_SPDX}/BSD-3-Clause.html"),
    Terms("ISC", True, f"{_SPDX}/ISC.html"),
    Terms("MPL-2.0", True, f"{_SPDX}/MPL-2.0.html", "changed files stay under it"),
    Terms("LGPL-3.0-or-later", True, f"{_SPDX}/LGPL-3.0-or-later.html", "what is linked to it must be replaceable"),
    Terms("GPL-3.0-only", True, f"{_SPDX}/GPL-3.0-only.html", "what is distributed with it is under it"),
    Terms("GPL-3.0-or-later", True, f"{_SPDX}/GPL-3.0-or-later.html", "what is distributed with it is under it"),
    Terms("CC0-1.0", True, "https://creativecommons.org/publicdomain/zero/1.0"),
    Terms("CC-BY-4.0", True, f"{_CC}/by/4.0", "name the authors"),
    Terms("CC-BY-SA-4.0", True, f"{_CC}/by-sa/4.0", "name the authors; adaptations stay under it"),
    Terms("CC-BY-NC-4.0", False, f"{_CC}/by-nc/4.0", "no commercial use"),
    Terms("CC-BY-NC-SA-4.0", False, f"{_CC}/by-nc-sa/4.0", "no commercial use"),
    Terms("CC-BY-NC-ND-4.0", False, f"{_CC}/by-nc-nd/4.0", "no commercial use, no adaptations"),
    Terms(
        "CreativeML-OpenRAIL++-M",
        True,
        "https://github.com/Stability-AI/stablediffusion/blob/main/LICENSE-MODEL",
        "its use restrictions (Attachment A) bind everybody who uses the model, and are to be passed on",
    ),
    Terms("apple-amlr", False, f"{_HUB}/apple/MobileCLIP-S0/blob/main/LICENSE", "for research only"),
    Terms(OWN, True, note="weights of the user's own"),
)
KNOWN: Mapping[str, Terms] = MappingProxyType({terms.name: terms for terms in _TERMS})
"""Licences whose terms are known, by name."""
_SPELT: Mapping[str, str] = {name.lower(): name for name in (*KNOWN, UNKNOWN)}
_OPERATOR, _AND = re.compile(r"\s+(?:AND|OR)\s+|[,;]", re.IGNORECASE), re.compile(r"\s+AND\s+|[,;]", re.IGNORECASE)


def names_in(statement: str) -> list[str]:
    """Return the licences that a statement names, as they are spelt here; brackets after a name say what of the weights it is for.

    Example:
        >>> names_in("GPL-3.0-or-later (espeak-ng) AND apache-2.0 (hibari)")
        ['GPL-3.0-or-later', 'Apache-2.0']
    """
    parts = [part.strip() for part in _OPERATOR.split(_bare(statement))]
    return [_SPELT.get(part.lower(), part) for part in parts if part]


def _bare(statement: str) -> str:
    """Return a statement without remarks, and without the brackets of an SPDX expression, `A AND (B OR C)`.

    Without them `OR` binds tighter than `AND`. That refuses some choices that an expression leaves, and lets nothing pass.
    """

    def remark(found: re.Match[str]) -> str:
        return found[0] if found[1].upper() in ("AND", "OR") else found[1]

    return re.sub(r"[()]", " ", re.sub(r"([^\s()]+)\s*\([^()]*\)", remark, statement))


def refusal(statement: str, says: bool | None = None) -> str:
    """Return why what is under these licences is not for commercial use, an empty string where it is.

    Args:
        statement: licences, joined by `AND`, or by `OR` where one may choose.
        says: what the strategy says of licences that are not known here.

    Example:
        >>> refusal("Apache-2.0"), refusal("CC-BY-NC-SA-4.0")
        ('', 'CC-BY-NC-SA-4.0: no commercial use')
    """
    if statement and not names_in(statement):
        return _objection(UNKNOWN, says)
    reasons = []
    for part in _AND.split(_bare(statement)):
        choices = [_objection(name, says) for name in names_in(part)]
        if all(choices):
            reasons += choices[:1]
    return "; ".join(reasons)


def _objection(name: str, says: bool | None) -> str:
    if name == UNKNOWN:
        return "nobody has stated the licence"
    if name in KNOWN:
        return "" if KNOWN[name].commercial else f"{name}: {KNOWN[name].note}"
    if says is None:
        return f"{name}: not known to gtimm"
    return "" if says else f"{name}: no commercial use, says the strategy"


def strategies(pipe: Pipeline) -> Iterator[tuple[Group, Plugin]]:
    """Yield the strategies of a pipeline with their groups, those inside others after them; each once."""
    used: list[tuple[Group, Plugin]] = [("backbones", one) for one in pipe.backbones]
    used += [("imputers", one) for found in (pipe.imputers, pipe.eval_imputers) for one in found]
    used.append(("fusion", pipe.fusion))
    if pipe.balance is not None:
        used.append(("balance", pipe.balance))
    seen: list[Plugin] = []
    while used:
        group, one = used.pop(0)
        if one in seen:
            continue
        seen.append(one)
        used = [(found, inner) for inner in one.inside() if (found := group_of(inner)) is not None] + used
        yield group, one


def group_of(plugin: Plugin) -> Group | None:
    """Return the group whose base a strategy derives from, `None` for options that are no strategy."""
    for group in BASES:
        base = registry(cast("Group", group)).base
        if base is not None and isinstance(plugin, base):
            return cast("Group", group)
    return None


def name_of(group: Group, plugin: Plugin) -> str:
    """Return a strategy's registered name, else that of its class."""
    try:
        return str(registry(group).spec(plugin)["name"])
    except ConfigError:
        return type(plugin).__name__


def code_licence(plugin: Plugin | type[Plugin]) -> str:
    """Return the licence of a strategy's code: what its class states, else its package, `"unknown"` where neither does."""
    cls = plugin if isinstance(plugin, type) else type(plugin)
    if stated := cls.info.licence.strip():
        return stated
    if cls.__module__.split(".")[0] == OURS:
        return OUR_LICENCE
    entries = (registry(cast("Group", group)).entry_of(cls) for group in BASES)
    package = next((entry.point.dist for entry in entries if entry is not None and entry.point is not None), None)
    return (package_licence(package) if package is not None else "") or UNKNOWN


def statement(plugin: Plugin) -> str:
    """Return the licence of a strategy's code, and of its weights where it has some: `"Apache-2.0; weights CC-BY-NC-SA-4.0"`."""
    weights = plugin.weights_licence()
    return code_licence(plugin) + (f"; weights {weights}" if weights else "")


def licences(*pipes: Pipeline) -> dict[str, str]:
    """Return the licences of all strategies of pipelines, sorted by name: what results carry.

    Of strategies with one name and different licences, such as a backbone with other weights for each modality, all are said.

    Example:
        >>> from gtimm import Pipeline
        >>> licences(Pipeline("imagebind-tiny", "hot-deck", "late"))["imagebind-tiny"]
        'Apache-2.0; weights Apache-2.0'
    """
    found: dict[str, dict[str, None]] = {}
    for pipe in pipes:
        for group, plugin in strategies(pipe):
            found.setdefault(name_of(group, plugin), {})[statement(plugin)] = None
    return {name: " / ".join(found[name]) for name in sorted(found)}


def objections(plugin: Plugin | type[Plugin]) -> list[str]:
    """Return why a strategy is not for commercial use, for its code and its weights; empty where it is.

    Args:
        plugin: a strategy, or a class with what `info` says of its default weights.
    """
    parts = {"code": code_licence(plugin), "weights": _weights(plugin)}
    return [f"{part}: {why}" for part, found in parts.items() if (why := refusal(found, plugin.info.commercial))]


def conditions(plugin: Plugin | type[Plugin]) -> list[str]:
    """Return what the licences of a strategy ask of whoever uses it, such as to name the authors; arguments as for `objections`."""
    names = names_in(f"{code_licence(plugin)} AND {_weights(plugin)}")
    return [f"{name}: {KNOWN[name].note}" for name in dict.fromkeys(names) if name in KNOWN and KNOWN[name].note]


def _weights(plugin: Plugin | type[Plugin]) -> str:
    return plugin.info.weights_licence if isinstance(plugin, type) else plugin.weights_licence()


def check_commercial(pipe: Pipeline) -> None:
    """Raise `LicenceError` where code or weights of some strategy are not for commercial use; all such are named."""
    used: list[tuple[Group, Plugin]] = [*strategies(pipe), ("engines", pipe.engine)]
    refused = [f"{name_of(group, plugin)} ({'; '.join(why)})" for group, plugin in used if (why := objections(plugin))]
    if refused:
        raise LicenceError(
            f"commercial=True refuses {', '.join(refused)}. Choose other strategies or other weights (`gtimm plugins NAME` says the "
            "licences). Of weights that you bring, state theirs with the option licence, such as licence='Apache-2.0', or "
            f"licence={OWN!r} for your own; of code, with Info(licence=...) of its class or `license` in its pyproject.toml."
        )
