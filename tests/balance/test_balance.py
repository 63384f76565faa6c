"""Balancing computes what its papers say, touches only what is a modality's own, and refuses to do nothing."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from gtimm.balance.agm import Agm, shapley, subsets
from gtimm.balance.ogm_ge import OgmGe
from gtimm.core.balance import Balance, Step
from gtimm.core.errors import ConfigError, IncompatibleError, PluginError
from gtimm.core.fusion import Head
from gtimm.core.registry import registry
from gtimm.core.training.balancing import Balancer

SIZES = {"image": 4, "audio": 3}
CLASSES = 3
FUSIONS: list[Any] = [
    "late",
    {"name": "late", "hidden": 5},
    "score",
    {"name": "sum", "width": 5},
    {"name": "mean", "width": 5},
    {"name": "gated", "width": 5},
    {"name": "attention", "width": 6, "heads": 2},
]


def make(fusion: Any = "late", seed: int = 0, sizes: dict[str, int] = SIZES) -> Head:
    torch.manual_seed(seed)
    head: Head = registry("fusion").create(fusion).build(sizes, CLASSES, None)
    return head.double()


def batch(
    rows: int = 12, seed: int = 0, absent: float = 0.0, sizes: dict[str, int] = SIZES
) -> tuple[Any, Tensor, Tensor, Tensor]:
    """Labelled rows; `image` says the class clearly, the others faintly."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, rows)
    there = random.random((rows, len(sizes))) >= absent
    x = {}
    for column, (m, size) in enumerate(sizes.items()):
        values = random.normal(size=(rows, size)) + (4.0 if m == "image" else 0.3) * np.eye(CLASSES, size)[labels]
        x[m] = torch.from_numpy(values * there[:, [column]])
    filled = torch.from_numpy(there & (random.random(there.shape) < 0.3))
    return x, filled, torch.from_numpy(there) & ~filled, torch.from_numpy(labels)


def step_of(head: Head, given: tuple[Any, Tensor, Tensor, Tensor]) -> Step:
    return Step(head, {n: p.detach() for n, p in head.named_parameters()}, *given)


def gradients_of(head: Head, given: tuple[Any, Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
    head.zero_grad()
    cross_entropy(head(*given[:3]), given[3]).backward()
    return {n: p.grad.clone() for n, p in head.named_parameters() if p.grad is not None}


def softmax(values: np.ndarray) -> np.ndarray:
    each = np.exp(values - values.max())
    return each / each.sum()


def parts_of_late(head: Head, x: Any) -> list[np.ndarray]:
    """(rows, classes) logits of each modality, the bias shared equally, as the authors of OGM-GE have it."""
    weight, bias = (p.detach().numpy() for p in head.parameters())
    begin, found = 0, []
    for m, size in SIZES.items():
        found.append(x[m].numpy() @ weight[:, begin : begin + size].T + bias / len(SIZES))
        begin += size
    return found


@pytest.mark.parametrize("alpha", [0.1, 0.8])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [1, 12])
def test_ogm_slows_the_modality_that_is_ahead_as_the_paper_says(alpha: float, seed: int, rows: int) -> None:
    head, given = make(seed=seed), batch(rows, seed=seed)
    scores = [
        sum(softmax(row)[y] for row, y in zip(part, given[3].tolist(), strict=True)) for part in parts_of_late(head, given[0])
    ]
    ratio = scores[0] / scores[1]
    expected = [1 - np.tanh(alpha * ratio), 1] if ratio > 1 else [1, 1 - np.tanh(alpha / ratio)]
    found, state = OgmGe(alpha=alpha).coefficients(step_of(head, given), {})
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert state == {}


def test_ogm_compares_with_the_mean_of_the_others_on_the_rows_that_have_a_modality() -> None:
    sizes = {"image": 4, "audio": 3, "text": 5, "depth": 2}
    head, given = make("score", sizes=sizes), batch(rows=20, absent=0.5, sizes=sizes)
    x, filled, observed, labels = given
    filled[:, 3] = observed[:, 3] = False  # no row has depth
    weights = {n: p.detach().numpy() for n, p in head.named_parameters()}
    scores = []
    for i, m in enumerate(list(sizes)[:3]):
        true = [
            softmax(weights[f"heads.{i}.weight"] @ x[m][r].numpy() + weights[f"heads.{i}.bias"])[labels[r]]
            for r in range(20)
            if (filled | observed)[r, i]
        ]
        scores.append(np.mean(true))
    expected = []
    for i in range(3):
        ratio = scores[i] / np.mean([s for j, s in enumerate(scores) if j != i])
        expected.append(1 - np.tanh(0.3 * ratio) if ratio > 1 else 1)
    found, _ = OgmGe().coefficients(step_of(head, given), {})
    np.testing.assert_allclose(found, [*expected, 1], atol=1e-12)
    assert min(expected) < 1


@pytest.mark.parametrize("fusion", FUSIONS, ids=str)
@pytest.mark.parametrize("method", [OgmGe(enhance=False, alpha=0.5), Agm()], ids=["ogm", "agm"])
def test_own_parameters_are_scaled_and_shared_ones_left(fusion: Any, method: Balance) -> None:
    head, given = make(fusion), batch(absent=0.3)
    before = gradients_of(head, given)
    state = method.start(2)
    if state:
        state = {"score": torch.tensor([0.5, 1.5]), "steps": torch.tensor([3.0, 3.0])}
    factors, _ = method.coefficients(step_of(head, given), state)
    assert not torch.equal(factors, torch.ones(2))
    after, _ = method.modulate(before, step_of(head, given), state, {})
    expected = {name: value.clone() for name, value in before.items()}
    for factor, parts in zip(factors, head.own_parameters().values(), strict=True):
        for name, columns in parts.items():
            expected[name][..., columns] *= factor
    for name, value in after.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-12)
    assert {n for n in before if torch.equal(before[n], after[n])} >= set(before) - {
        n for parts in head.own_parameters().values() for n in parts
    }


def test_enhancement_adds_noise_of_the_spread_of_each_gradient() -> None:
    head, given = make(), batch()
    before = gradients_of(head, given)
    noise = {n: torch.randn(v.shape, generator=torch.Generator().manual_seed(1), dtype=v.dtype) for n, v in before.items()}
    factors, _ = OgmGe().coefficients(step_of(head, given), {})
    after, _ = OgmGe().modulate(before, step_of(head, given), {}, noise)
    for factor, columns in zip(factors, (slice(0, 4), slice(4, 7)), strict=True):
        gradient = before["first.weight"][:, columns].numpy()
        expected = gradient * factor.item() + noise["first.weight"][:, columns].numpy() * (gradient.std(ddof=1) + 1e-8)
        np.testing.assert_allclose(after["first.weight"][:, columns], expected, atol=1e-12)
    assert torch.equal(after["first.bias"], before["first.bias"])


def test_agm_follows_the_authors_code_over_steps() -> None:
    """Two modalities, all present: zeros for what is padded, running means of the scores, an exponential of the ratios."""
    head, state = make({"name": "late", "hidden": 5}), Agm().start(2)
    weights = {n: p.detach().numpy() for n, p in head.named_parameters()}

    def ask(a: np.ndarray, v: np.ndarray) -> np.ndarray:
        inner = np.maximum(weights["first.weight"] @ np.concatenate([a, v]) + weights["first.bias"], 0)
        return weights["last.weight"] @ inner + weights["last.bias"]

    mean_a = mean_v = 0.0
    for t in range(1, 6):
        given = batch(seed=t)
        x, labels = given[0], given[3].tolist()
        found, state = Agm(alpha=0.7).coefficients(step_of(head, given), state)
        score_a = score_v = 0.0
        for a, v, y in zip(x["image"].numpy(), x["audio"].numpy(), labels, strict=True):
            both, only_a, only_v = ask(a, v), ask(a, 0 * v), ask(0 * a, v)
            score_a -= np.log(softmax((both - only_v + only_a) / 2)[y]) / len(labels)
            score_v -= np.log(softmax((both - only_a + only_v) / 2)[y]) / len(labels)
        expected = [
            np.exp(0.7 * (np.exp(mean_v - mean_a) - np.exp(score_v - score_a))),
            np.exp(0.7 * (np.exp(mean_a - mean_v) - np.exp(score_a - score_v))),
        ]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        mean_a, mean_v = mean_a * (t - 1) / t + score_a / t, mean_v * (t - 1) / t + score_v / t
    np.testing.assert_allclose(state["score"], [mean_a, mean_v], atol=1e-5)


@pytest.mark.parametrize("method", [OgmGe(), Agm()], ids=["ogm-ge", "agm"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_factors_stay_finite_however_sure_a_modality_is(method: Balance, scale: float) -> None:
    head, given = make("score"), batch()
    sure = Step(head, {n: scale * p.detach() for n, p in head.named_parameters()}, *given)
    nothing = Step(head, sure.weights, given[0], given[1] & False, given[2] & False, given[3])
    for step in (sure, nothing):
        factors, _ = method.coefficients(step, method.start(2))
        assert torch.isfinite(factors).all()
        assert (factors >= 0).all()
    assert factors.tolist() == [1, 1]


def test_agm_cuts_the_factor_of_a_modality_that_was_far_behind() -> None:
    """By six nats, `exp(6)` or 403 is the reference ratio; its exponential is no float32."""
    head, given = make(), batch()
    head = head.float()
    x = {m: value.float() for m, value in given[0].items()}
    state = {"score": torch.tensor([6.0, 0.0]), "steps": torch.tensor([3.0, 3.0])}
    factors, _ = Agm(alpha=0.7).coefficients(step_of(head, (x, *given[1:])), state)
    assert factors[0].item() == pytest.approx(np.exp(0.7 * (np.exp(-6) - ratio_of(head, x, given, 0))), rel=1e-4)
    assert factors[1].item() == pytest.approx(np.exp(7), rel=1e-4)


def ratio_of(head: Head, x: dict[str, Tensor], given: tuple[Any, Tensor, Tensor, Tensor], which: int) -> float:
    """`exp(loss of the other - own)` of two modalities, whose answers of late fusion are its Shapley values with half the bias."""
    parts = parts_of_late(head, x)
    losses = [-np.mean([np.log(softmax(row)[y]) for row, y in zip(part, given[3].tolist(), strict=True)]) for part in parts]
    return float(np.exp(losses[1 - which] - losses[which]))


def test_agm_leaves_a_modality_that_no_row_has_out() -> None:
    head, given = make("mean"), batch()
    given[1][:, 1] = given[2][:, 1] = False
    factors, state = Agm().coefficients(step_of(head, given), Agm().start(2))
    assert factors.tolist() == [1, 1]
    assert state["steps"].tolist() == [1, 0]
    assert state["score"][1] == 0


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_shapley_values_are_the_mean_over_all_orders(count: int) -> None:
    names = tuple("abcd"[:count])
    values = {kept: torch.randn(3, generator=torch.Generator().manual_seed(len(kept) + ord(kept[0]))) for kept in subsets(names)}
    orders = list(permutations(names))
    for name, found in zip(names, shapley(values, names), strict=True):
        expected = torch.zeros(3)
        for order in orders:
            before = tuple(sorted(order[: order.index(name)]))
            after = tuple(sorted((*before, name)))
            expected += (values[after] - values.get(before, torch.zeros(3))) / len(orders)
        torch.testing.assert_close(found, expected)


class Whole(Head):
    """Reads everything through one matrix and does not say what is whose."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(7, CLASSES)

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return self.out(torch.cat(list(x.values()), -1))


class Astray(Whole):
    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return {m: {"in.weight": slice(None)} for m in SIZES}


@pytest.mark.parametrize("method", [OgmGe(), Agm()], ids=["ogm-ge", "agm"])
def test_what_would_do_nothing_is_refused(method: Balance) -> None:
    with pytest.raises(IncompatibleError, match="would change nothing of 'image': the head Whole"):
        method.check(Whole(), list(SIZES))
    with pytest.raises(IncompatibleError, match="only image"):
        method.check(make(sizes={"image": 4}), ["image"])
    with pytest.raises(IncompatibleError, match="'audio'"):
        method.check(make().requires_grad_(False), ["audio", "image"])
    with pytest.raises(PluginError, match=r"'in\.weight'"):
        method.check(Astray(), list(SIZES))
    for fusion in FUSIONS:
        method.check(make(fusion), list(SIZES))


@pytest.mark.parametrize("options", [{"alpha": 0}, {"alpha": -1}, {"starts": -1}, {"ends": 0}])
def test_options_have_ranges(options: Any) -> None:
    for name in ("ogm-ge", "agm"):
        with pytest.raises(ConfigError, match=next(iter(options))):
            registry("balance").create({"name": name, **options})


def test_only_the_chosen_epochs_are_modulated() -> None:
    method = OgmGe(starts=2, ends=4)
    assert [method.active(epoch) for epoch in range(6)] == [False, False, True, True, False, False]
    assert OgmGe().active(10**6)


def trained(
    method: Balance | None, fusion: Any, seeds: list[int], *, stackable: bool = True, steps: int = 15
) -> dict[str, Tensor]:
    """Plain gradient descent of several runs together; returns weights (runs, ...)."""
    heads = [make(fusion, seed) for seed in seeds]
    weights, buffers = stack_module_state(heads)  # type: ignore[arg-type]
    balancer = Balancer(method, heads[0], list(SIZES), seeds, stackable=stackable) if method else None
    optimiser = torch.optim.SGD(list(weights.values()), lr=0.1)
    for number in range(steps):
        given = [batch(16, seed=100 * seed + number, absent=0.2) for seed in seeds]
        x = {m: torch.stack([g[0][m] for g in given]) for m in SIZES}
        filled, observed, labels = (torch.stack([g[i] for g in given]) for i in (1, 2, 3))
        out = vmap(lambda w, b, x, f, o: functional_call(heads[0], (w, b), (x, f, o)))(weights, buffers, x, filled, observed)
        optimiser.zero_grad()
        cross_entropy(out.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(1).sum().backward()
        if balancer is not None:
            balancer(number, weights, buffers, x, filled, observed, labels)
        optimiser.step()
    return {name: value.detach() for name, value in weights.items()}


@pytest.mark.parametrize("fusion", FUSIONS, ids=str)
@pytest.mark.parametrize("method", [OgmGe(), Agm(starts=1, ends=9)], ids=["ogm-ge", "agm"])
def test_runs_end_together_where_each_ends_alone(fusion: Any, method: Balance) -> None:
    together = trained(method, fusion, [3, 4], steps=6)
    in_turn = trained(method, fusion, [3, 4], stackable=False, steps=6)
    alone = [trained(method, fusion, [seed], steps=6) for seed in (3, 4)]
    plain = trained(None, fusion, [3, 4], steps=6)
    for name, value in together.items():
        torch.testing.assert_close(in_turn[name], value, rtol=0, atol=1e-10)
        for which in (0, 1):
            torch.testing.assert_close(alone[which][name][0], value[which], rtol=0, atol=1e-10)
    assert any(not torch.allclose(plain[name], value) for name, value in together.items())


def test_a_balanced_run_is_a_plain_loop_with_scaled_gradients() -> None:
    """The same steps written out: no stack, no vmap, the coefficients from the authors' formula."""
    found = trained(OgmGe(enhance=False, alpha=0.8), "late", [5])
    head = make(seed=5)
    for number in range(15):
        given = batch(16, seed=500 + number, absent=0.2)
        there = (given[1] | given[2]).numpy()
        scores = [
            np.mean([softmax(row)[y] for row, y, t in zip(part, given[3].tolist(), there[:, i], strict=True) if t])
            for i, part in enumerate(parts_of_late(head, given[0]))
        ]
        gradients_of(head, given)
        with torch.no_grad():
            for i, columns in enumerate((slice(0, 4), slice(4, 7))):
                ratio = scores[i] / scores[1 - i]
                head.first.weight.grad[:, columns] *= 1 - np.tanh(0.8 * ratio) if ratio > 1 else 1  # type: ignore[index, union-attr]
            for parameter in head.parameters():
                parameter.sub_(0.1 * parameter.grad)  # type: ignore[arg-type]
    torch.testing.assert_close(found["first.weight"][0], head.first.weight.detach(), rtol=0, atol=1e-10)  # type: ignore[union-attr]


@pytest.mark.parametrize("method", [OgmGe(enhance=False, alpha=0.8)], ids=["ogm"])
def test_the_leading_modality_is_held_back(method: Balance) -> None:
    plain, balanced = trained(None, "late", [0, 1]), trained(method, "late", [0, 1])
    start = torch.stack([make(seed=seed).first.weight.detach() for seed in (0, 1)])  # type: ignore[union-attr]
    moved = [(found["first.weight"] - start)[..., :4].norm(dim=(1, 2)) for found in (plain, balanced)]
    assert (moved[1] < 0.8 * moved[0]).all()
