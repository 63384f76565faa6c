"""Predictions over draws, with a prior and a temperature, against the sum written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import entropy
from torch import Tensor, nn

import gtimm.core.predicting as module
from gtimm.core.calibration import spread, temperature
from gtimm.core.fusion import Head
from gtimm.core.pool import Features, Pool
from gtimm.core.predicting import Predictor, most_candidates, warn_of_few
from gtimm.core.training.splits import Source, Split

PRIOR = np.array([0.5, 0.3, 0.2], np.float32)


class Linear(Head):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 8, generator=generator), requires_grad=False)

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return torch.cat([x["a"], x["b"]], 1) @ self.weight.T


def split(rows: int = 50, most: int = 3, seed: int = 0) -> tuple[Split, list[dict[str, np.ndarray]]]:
    """A split with holes of 0 to `most` candidates, and for each row the candidates of each modality, its own where it has it."""
    random = np.random.default_rng(seed)
    sources, candidates = {}, [{} for _ in range(rows)]
    for m in "ab":
        index = np.full(rows, -1)
        there = np.flatnonzero(random.random(rows) < 0.5)
        index[there] = np.arange(len(there))
        own, items = random.normal(size=(len(there), 4)), random.normal(size=(20, 4))
        counts = random.integers(0, most + 1, rows)
        start = np.concatenate([[0], np.cumsum(counts)])
        members = random.integers(0, 20, start[-1])
        pool = Pool(Features(items.astype(np.float32)), np.arange(rows, dtype=np.int32), start, members)
        sources[m] = Source(torch.tensor(own, dtype=torch.float32), index, torch.from_numpy(pool.items.values), pool)
        for row in range(rows):
            mine = own[[index[row]]] if index[row] >= 0 else items[members[start[row] : start[row + 1]]]
            candidates[row][m] = mine if len(mine) else np.zeros((1, 4))
    labels = random.integers(0, 3, rows)
    return Split(labels, sources), candidates


def by_hand(candidates: list[dict[str, np.ndarray]], draws: int) -> np.ndarray:
    """Logits (draws, rows, classes)."""
    weight = Linear().weight.numpy().astype(float)
    return np.array([[weight @ np.concatenate([c[m][j % len(c[m])] for m in "ab"]) for c in candidates] for j in range(draws)])


@pytest.mark.parametrize("draws", [2, 3, 5])
@pytest.mark.parametrize("multilabel", [False, True])
def test_probabilities_are_the_mean_over_the_draws(draws: int, multilabel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data, candidates = split()
    found = Predictor(Linear(), PRIOR, draws, 1.7, multilabel).predict(data)
    logits = by_hand(candidates, draws) / 1.7
    empty = np.array([s.index < 0 for s in data.sources.values()]).all(0)
    np.testing.assert_array_equal(found.empty, empty)
    assert empty.any()
    each = expit(logits) if multilabel else softmax(logits, axis=2)
    np.testing.assert_allclose(found.probabilities[~empty], each.mean(0)[~empty], atol=1e-5)
    np.testing.assert_array_equal(found.probabilities[empty], np.tile(PRIOR, (empty.sum(), 1)))
    if multilabel:
        expected, nothing = spread(np.stack([each, 1 - each], -1)).sum(1), entropy([PRIOR, 1 - PRIOR]).sum()
    else:
        expected, nothing = spread(each), entropy(PRIOR)
    np.testing.assert_allclose(found.uncertainty[~empty], expected[~empty], atol=1e-5)
    np.testing.assert_allclose(found.uncertainty[empty], nothing, rtol=1e-5)
    whole = ~np.array([s.index < 0 for s in data.sources.values()]).any(0)
    np.testing.assert_allclose(found.uncertainty[whole], 0, atol=1e-6)
    monkeypatch.setattr(module, "BATCH", 7)
    np.testing.assert_allclose(
        Predictor(Linear(), PRIOR, draws, 1.7, multilabel).predict(data).probabilities, found.probabilities, atol=1e-6
    )


def test_one_draw_takes_the_first_candidate_and_has_no_spread() -> None:
    data, candidates = split()
    found = Predictor(Linear(), PRIOR).predict(data)
    expected = softmax(by_hand(candidates, 1)[0], axis=1)
    np.testing.assert_allclose(found.probabilities[~found.empty], expected[~found.empty], atol=1e-6)
    assert np.isnan(found.uncertainty).all()


def test_the_temperature_suits_the_predictions_that_are_made() -> None:
    data, candidates = split(400)
    empty = np.array([s.index < 0 for s in data.sources.values()]).all(0)
    logits, random = by_hand(candidates, 3), np.random.default_rng(0)
    labels = np.array([random.choice(3, p=p) for p in softmax(logits / 2, axis=2).mean(0)])
    labels[empty] = 0
    data = Split(labels, data.sources)
    expected = temperature(logits[:, ~empty], labels[~empty])
    assert expected == pytest.approx(2, rel=0.3)
    assert Predictor(Linear(), PRIOR, 3).calibrated(data) == pytest.approx(expected, rel=1e-3)


def test_draws_that_nobody_offers_are_warned_of(recwarn: pytest.WarningsRecorder) -> None:
    data, _ = split(most=3)
    assert most_candidates(data) == 3
    warn_of_few(most_candidates(data), 3)
    assert not recwarn
    with pytest.warns(RuntimeWarning, match="draws=4, but no hole has more than 3 candidates"):
        warn_of_few(most_candidates(data), 4)
    single, _ = split(most=1)
    with pytest.warns(RuntimeWarning, match="more than 1 candidate:"):
        warn_of_few(most_candidates(single), 2)
    found = Predictor(Linear(), PRIOR, 2).predict(single)
    np.testing.assert_allclose(found.uncertainty[~found.empty], 0, atol=1e-6)
