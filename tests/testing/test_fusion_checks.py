"""The kit passes every fusion of ours, and each check fails for a fusion that breaks its promise, and for that one alone."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from broken import blames, failing
from pydantic import ConfigDict
from torch import Tensor, nn

from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info
from gtimm.core.registry import registry
from gtimm.testing import FUSION_CHECKS, check_fusion

FOUR = {"image": 5, "audio": 3, "my.text": 4, "depth": 1}
OURS = [
    "late",
    {"name": "late", "hidden": 6},
    "score",
    {"name": "sum", "width": 6},
    {"name": "mean", "width": 6},
    {"name": "gated", "width": 6},
    {"name": "gated", "width": 6, "gate": "sigmoid"},
    {"name": "attention", "width": 6, "heads": 3},
    {"name": "dropout", "base": {"name": "gated", "width": 6}},
    {"name": "dropout", "rate": {"audio": 0.5}},
    "missing-aware",
    {"name": "missing-aware", "tokens": 2, "base": {"name": "attention", "width": 4, "heads": 1}},
]


@pytest.mark.parametrize("spec", OURS, ids=str)
def test_every_fusion_of_ours_keeps_every_promise(spec: Any) -> None:
    check_fusion(registry("fusion").create(spec), FOUR, classes=2)


def test_every_fusion_of_ours_is_tried_here() -> None:
    ours = {name for name, entry in registry("fusion").view.items() if entry.distribution == "gtimm"}
    assert ours == {spec if isinstance(spec, str) else spec["name"] for spec in OURS}


class HonestHead(Head):
    """The mean of linear logits over what is there."""

    def __init__(self, sizes: dict[str, int], classes: int) -> None:
        super().__init__()
        self.names, self.classes = list(sizes), classes
        self.heads = nn.ModuleList(nn.Linear(size, classes) for size in sizes.values())

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return self.mean(x, filled | observed)

    def mean(self, x: dict[str, Tensor], there: Tensor) -> Tensor:
        each = torch.stack([head(x[m]) for m, head in zip(self.names, self.heads, strict=True)], dim=-2)
        kept = torch.where(there.unsqueeze(-1), each, torch.zeros((), dtype=each.dtype))
        return kept.sum(-2) / there.unsqueeze(-1).sum(-2).clamp(min=1)

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return {m: {f"heads.{i}.{kind}": slice(None) for kind in ("weight", "bias")} for i, m in enumerate(self.names)}


class Honest(Fusion):
    info: ClassVar[Info] = Info(accepts_absent=True, licence="MIT")
    head: ClassVar[type[Head]] = HonestHead

    scale: float = 1.0

    def build(self, sizes: dict[str, int], classes: int, encoder: Any) -> Head:
        return type(self).head(sizes, classes)  # type: ignore[call-arg]


def with_head(head: type[Head], **info: Any) -> Honest:
    """An honest fusion with another head."""
    members = {"head": head, "info": Info(**{"accepts_absent": True, "licence": "MIT", **info}), "__module__": __name__}
    return type(
        f"With{head.__name__}", (Honest,), {**members, "__annotations__": {"head": "ClassVar[Any]", "info": "ClassVar[Any]"}}
    )()


class Widens(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return super().forward(x, filled, observed).double()


class Clamps(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return super().forward({m: value.clamp_(-1, 1) for m, value in x.items()}, filled, observed)


class OwnDice(HonestHead):
    def __init__(self, sizes: dict[str, int], classes: int) -> None:
        super().__init__(sizes, classes)
        with torch.no_grad():
            self.heads[0].bias.fill_(np.random.random())


class Counts(HonestHead):
    def __init__(self, sizes: dict[str, int], classes: int) -> None:
        super().__init__(sizes, classes)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        self.count.add_(1)
        return super().forward(x, filled, observed)


class Quieter(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return super().forward(x, filled, observed) * (1 if self.training else 2)


class ReadsAbsent(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return self.mean(x, torch.ones_like(filled))

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return {
            m: {name: part for name, part in parts.items() if "weight" in name} for m, parts in super().own_parameters().items()
        }


class Idle(HonestHead):
    def __init__(self, sizes: dict[str, int], classes: int) -> None:
        super().__init__(sizes, classes)
        self.idle = nn.Parameter(torch.zeros(3))


class NoNumbers(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return super().forward(x, filled, observed) * torch.nan


class Roots(HonestHead):
    def __init__(self, sizes: dict[str, int], classes: int) -> None:
        super().__init__(sizes, classes)
        self.heads = nn.ModuleList(nn.Linear(size, classes, bias=False) for size in sizes.values())

    def mean(self, x: dict[str, Tensor], there: Tensor) -> Tensor:
        each = torch.stack([head(x[m]).abs().sqrt() for m, head in zip(self.names, self.heads, strict=True)], dim=-2)
        return torch.where(there.unsqueeze(-1), each, torch.zeros((), dtype=each.dtype)).sum(-2)

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return {}


class Centres(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        out = super().forward(x, filled, observed)
        return out - 0.5 * out.mean(0)


class NeedsRows(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return super().forward(x, filled, observed).reshape(len(filled), -1)


class GoesByPlace(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        first = next(iter(x.values())).sum(-1, keepdim=True)
        return super().forward(x, filled, observed) + torch.where((filled | observed).all(-1, keepdim=True), first, 0)


class Branches(HonestHead):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return super().forward(x, filled, observed) * (1 if bool(filled.sum() >= 0) else 2)


class Forgets(HonestHead):
    def __init__(self, sizes: dict[str, int], classes: int) -> None:
        super().__init__(sizes, classes)
        self.lost = torch.rand(())

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return super().forward(x, filled, observed) + self.lost


class ClaimsOthers(HonestHead):
    def own_parameters(self) -> dict[str, dict[str, slice]]:
        own = super().own_parameters()
        return dict(zip(own, reversed(list(own.values())), strict=True))


class ClaimsNobody(HonestHead):
    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return {m: {"nowhere": slice(None)} for m in self.names}


class Rolls(Honest):
    def hide(self, modalities: tuple[str, ...], u: Tensor) -> Tensor:
        return torch.rand(u.shape) < 0.5


class HidesByMates(Honest):
    def hide(self, modalities: tuple[str, ...], u: Tensor) -> Tensor:
        return u < u.mean(0)


class HidesNumbers(Honest):
    def hide(self, modalities: tuple[str, ...], u: Tensor) -> Tensor:
        return (u < 0.5).float()


class LosesOptions(Honest):
    def options(self) -> dict[str, Any]:
        return {}


class TakesAnything(Honest):
    model_config = ConfigDict(extra="allow")


class Unlicensed(Honest):
    info: ClassVar[Info] = Info(accepts_absent=True, licence="")


BROKEN = [
    (with_head(Widens), "check_logits_keep_dtype_and_device", "logits of torch.float64"),
    (with_head(Clamps), "check_input_is_not_mutated", "features of 'image' in place"),
    (with_head(OwnDice), "check_same_seed_same_result", "differ in 'heads.0.bias'"),
    (with_head(Counts), "check_heads_are_pure", "changed the head"),
    (with_head(Quieter), "check_heads_are_pure", "eval mode"),
    (with_head(ReadsAbsent), "check_absent_values_are_never_read", "changed the logits"),
    (with_head(Idle), "check_any_missing_pattern", "'idle' gets no gradient"),
    (with_head(Roots), "check_any_missing_pattern", "is not finite"),
    (with_head(NoNumbers), "check_any_missing_pattern", "not finite"),
    (with_head(Centres), "check_no_dependence_on_batch_mates", "when it is alone"),
    (with_head(NeedsRows), "check_empty_batch", "0 elements"),
    (with_head(GoesByPlace), "check_features_are_found_by_name", "order of the mapping"),
    (with_head(Branches), "check_many_heads_train_as_one", "torch.func.vmap: use torch.where"),
    (with_head(Forgets, stackable=False), "check_state_survives_saving", "keep all in parameters"),
    (with_head(ClaimsOthers), "check_own_parameters_are_a_modality_s_own", "moves"),
    (with_head(ClaimsNobody), "check_own_parameters_are_a_modality_s_own", "has no such parameter"),
    (Rolls(), "check_hide_is_a_pure_mask", "drew from a global generator"),
    (HidesByMates(), "check_hide_is_a_pure_mask", "depends on other rows"),
    (HidesNumbers(), "check_hide_is_a_pure_mask", "not bool"),
    (LosesOptions(scale=2.0), "check_options_round_trip", "became LosesOptions"),
    (TakesAnything(), "check_unknown_options_are_refused", "took an option"),
    (Unlicensed(), "check_licences_are_stated", "Nobody has stated the licence of the code"),
]


@pytest.mark.parametrize(("fusion", "name", "message"), BROKEN, ids=lambda value: type(value).__name__)
def test_a_broken_promise_is_found_and_no_other_is_blamed(fusion: Fusion, name: str, message: str) -> None:
    blames(fusion, name, message)


def test_every_check_has_somebody_who_breaks_it_and_an_honest_one_keeps_all() -> None:
    assert {check.__name__ for check in FUSION_CHECKS} == {name for _, name, _ in BROKEN}
    assert failing(Honest(scale=3.0)) == {}


def test_one_modality_is_tried_too() -> None:
    class NeedsTwo(HonestHead):
        def __init__(self, sizes: dict[str, int], classes: int) -> None:
            super().__init__(sizes, classes)
            self.pair = list(sizes)[1]

    with pytest.raises(AssertionError, match="IndexError"):
        check_fusion(with_head(NeedsTwo))
