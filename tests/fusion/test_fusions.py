"""Fusions compute what their formulas say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gtimm.core.errors import ConfigError
from gtimm.core.fusion import matched
from gtimm.core.pool import Features, Pool
from gtimm.core.registry import registry
from gtimm.core.training.splits import Source, Split, Tables
from gtimm.core.training.stacks import draw
from gtimm.core.training.trainer import Run, TrainOptions
from gtimm.fusion.attention import AttentionFusion
from gtimm.fusion.dropout import DropoutFusion
from gtimm.fusion.late import LateFusion
from gtimm.fusion.score import ScoreFusion

SIZES = {"image": 3, "audio": 2}


def batch(rows: int = 7) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    x = {m: torch.randn(rows, size, generator=random) for m, size in SIZES.items()}
    state = torch.randint(0, 3, (rows, 2), generator=random)
    state[0] = 2
    return x, state == 0, state == 1


def arrays(head: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy() for name, value in head.named_parameters()}


def test_late_is_one_linear_layer_on_the_concatenation() -> None:
    head = LateFusion().build(SIZES, 4, None)
    x, filled, observed = batch()
    weight, bias = arrays(head).values()
    both = np.concatenate([x["image"], x["audio"]], axis=1).astype(np.float64)
    np.testing.assert_allclose(head(x, filled, observed).detach(), both @ weight.T + bias, atol=1e-5)


def test_late_with_a_hidden_layer_is_a_relu_network() -> None:
    head = LateFusion(hidden=6).build(SIZES, 4, None)
    x, filled, observed = batch()
    first, first_bias, last, last_bias = arrays(head).values()
    both = np.concatenate([x["image"], x["audio"]], axis=1).astype(np.float64)
    inner = np.maximum(both @ first.T + first_bias, 0)
    expected = inner @ last.T + last_bias
    assert inner.shape == (7, 6)
    np.testing.assert_allclose(head(x, filled, observed).detach(), expected, atol=1e-5)


def test_late_reads_modalities_by_name() -> None:
    head = LateFusion().build(SIZES, 4, None)
    x, filled, observed = batch()
    torch.testing.assert_close(head(dict(reversed(x.items())), filled, observed), head(x, filled, observed))


def test_score_is_the_mean_of_the_logits_of_what_is_there() -> None:
    head = ScoreFusion().build(SIZES, 4, None)
    x, filled, observed = batch()
    w = arrays(head)
    found = head(x, filled, observed).detach().numpy()
    for row in range(7):
        parts = [
            x[m][row].double().numpy() @ w[f"heads.{i}.weight"].T + w[f"heads.{i}.bias"]
            for i, m in enumerate(SIZES)
            if filled[row, i] or observed[row, i]
        ]
        expected = np.mean(parts, axis=0) if parts else np.zeros(4)
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_score_takes_what_is_absent_and_late_does_not() -> None:
    assert ScoreFusion().capabilities().accepts_absent
    assert not LateFusion().capabilities().accepts_absent


@pytest.mark.parametrize("base", ["late", "score"])
def test_dropout_can_what_its_base_can_and_builds_its_head(base: str) -> None:
    inner = {"late": LateFusion(), "score": ScoreFusion()}[base]
    outer = DropoutFusion(base=base)
    assert outer.capabilities() == inner.capabilities()
    torch.manual_seed(0)
    one = outer.build(SIZES, 4, None)
    torch.manual_seed(0)
    two = inner.build(SIZES, 4, None)
    x, filled, observed = batch()
    torch.testing.assert_close(one(x, filled, observed), two(x, filled, observed))


def test_dropout_hides_the_image_only_by_default() -> None:
    u = torch.full((1, 2), 0.3)
    hidden = DropoutFusion(rate=0.5).hide(("audio", "image"), u)
    assert hidden is not None
    assert hidden.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("options", "modalities", "rates"),
    [
        ({"rate": 0.5}, ("audio", "text"), [0.5, 0.5]),
        ({"rate": 0.5, "modalities": ["audio"]}, ("image", "audio"), [0, 0.5]),
        ({"rate": {"audio": 0.2}}, ("image", "audio"), [0, 0.2]),
        ({"rate": {"audio": 0.2, "image": 0.9}}, ("image", "audio"), [0.9, 0.2]),
    ],
)
def test_dropout_rates_by_modality(options: Any, modalities: tuple[str, ...], rates: list[float]) -> None:
    assert DropoutFusion(**options).rates(modalities) == rates


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_dropout_rate_is_kept(rate: float) -> None:
    u = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0))
    hidden = DropoutFusion(rate=rate).hide(("image", "audio"), u)
    assert hidden is not None
    assert hidden[:, 0].float().mean().item() == pytest.approx(rate, abs=0.01)
    assert not hidden[:, 1].any()


@pytest.mark.parametrize("rate", [-0.1, 1.1, {"image": 2.0}])
def test_a_dropout_rate_is_a_share(rate: Any) -> None:
    with pytest.raises(ConfigError, match=r"0\.\.1"):
        DropoutFusion(rate=rate)


def test_an_unknown_base_is_refused_when_it_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'late'"):
        DropoutFusion(base="laet")


def test_a_dropout_inside_a_dropout_is_refused() -> None:
    with pytest.raises(ConfigError, match="one dropout with all the rates"):
        DropoutFusion(base={"name": "dropout", "rate": 0.2})


@pytest.mark.parametrize("option", [{"heads": 3, "width": 256}, {"heads": 0}, {"width": 0}])
def test_heads_of_attention_divide_its_width(option: Any) -> None:
    with pytest.raises(ConfigError, match=r"heads|width"):
        AttentionFusion(**option)


@pytest.mark.parametrize(
    ("spec", "missing", "rate"),
    [
        ({"name": "dropout", "rate": "match"}, {"image": 0.7}, {"image": 0.7}),
        ({"name": "dropout", "rate": "match"}, {"image": 0.7, "audio": 0.0}, {"image": 0.7, "audio": 0.0}),
        ({"name": "dropout", "rate": "match", "modalities": ["audio"]}, {"image": 0.7, "audio": 0.2}, {"audio": 0.2}),
    ],
)
def test_a_rate_can_match_the_missing_ratios_at_test(spec: Any, missing: Any, rate: Any) -> None:
    found = matched(spec, missing)
    assert found["rate"] == rate
    assert registry("fusion").create(found).rates(("image", "audio")) == [rate.get("image", 0), rate.get("audio", 0)]
    assert matched(DropoutFusion(**{k: v for k, v in spec.items() if k != "name"}), missing) == registry("fusion").create(found)


def test_matching_keeps_the_base_and_leaves_other_specs_as_they_are() -> None:
    spec = {"name": "dropout", "rate": "match", "base": {"name": "gated", "width": 8}}
    assert matched(spec, {"image": 0.5}) == {**spec, "rate": {"image": 0.5}}
    for other in ("late", {"name": "dropout", "rate": 0.3}, ScoreFusion()):
        assert matched(other, {}) is other


@pytest.mark.parametrize(
    ("options", "missing"), [({}, {}), ({"modalities": ["audio"]}, {"image": 0.5}), ({"modalities": ["audio"]}, {})]
)
def test_a_rate_with_nothing_to_match_is_refused(options: Any, missing: Any) -> None:
    with pytest.raises(ConfigError, match=r"evaluate: \{missing"):
        DropoutFusion(rate="match", **options).matched(missing)


def test_an_unmatched_rate_is_refused_before_training() -> None:
    fusion = DropoutFusion(rate="match")
    for ask in (lambda: fusion.check(("image",)), lambda: fusion.hide(("image",), torch.zeros(1, 1))):
        with pytest.raises(ConfigError, match="'match' stands for the missing ratio at test"):
            ask()


@pytest.mark.parametrize("rate", ["same", "0.5x", None])
def test_no_other_word_is_a_rate(rate: Any) -> None:
    with pytest.raises(ConfigError, match="rate"):
        DropoutFusion(rate=rate)


def hidden_places(hidden: Tensor | None, rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """What one epoch of dropout gives for `image`: values, filled and observed of 6 rows; rows 4 and 5 are holes."""
    own = torch.arange(1.0, 13.0).reshape(4, 3)
    fills = torch.full((1, 3), 50.0)
    pool = Pool.constant(Features(fills.numpy()), 6)
    image = Source(own, np.array([0, 1, 2, 3, -1, -1]), fills, pool, hidden)
    audio = Source(torch.zeros(6, 2), np.arange(6))
    split = Split(np.zeros(6, np.int64), {"image": image, "audio": audio})
    run = Run(DropoutFusion(rate=rate), 2, split, None, TrainOptions(), 0)
    tables = Tables([split])
    places, filled, observed, _ = draw([run], tables, [np.random.default_rng(0)])
    assert observed[0, :, 1].all()
    return tables.values["image"].take(places["image"][0]), filled[0, :, 0], observed[0, :, 0]


def test_a_hidden_value_becomes_the_evaluation_fill() -> None:
    values, filled, observed = hidden_places(torch.full((3,), 9.0), rate=1.0)
    assert (values == 9).all()
    assert filled.all()
    assert not observed.any()


def test_without_evaluation_fill_a_hidden_value_is_absent() -> None:
    values, filled, observed = hidden_places(None, rate=1.0)
    assert not values.any()
    assert not filled.any()
    assert not observed.any()


def test_nothing_hidden_leaves_values_and_fills_in_place() -> None:
    values, filled, observed = hidden_places(torch.full((3,), 9.0), rate=0.0)
    assert values[:, 0].tolist() == [1, 4, 7, 10, 50, 50]
    assert filled.tolist() == [False] * 4 + [True] * 2
    assert observed.tolist() == [True] * 4 + [False] * 2
