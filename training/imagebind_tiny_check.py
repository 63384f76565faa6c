"""What imagebind-tiny is worth: logistic regression on its frozen embeddings of `digits`, scored on validation.

python training/imagebind_tiny_check.py

About a minute. The regularisation is chosen on validation too; few-shot figures are the mean of five draws of the images.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from gtimm import load_dataset
from gtimm.backbones.imagebind.tiny import ImageBindTiny
from gtimm.core.workspace import open_workspace

Array = np.ndarray[Any, Any]


def best(features: Array, labels: Array, held: Array, truth: Array) -> float:
    """Highest validation accuracy over four strengths of regularisation."""
    fits = (LogisticRegression(C=strength, max_iter=2000).fit(features, labels) for strength in (1, 10, 100, 1000))
    return max(float(fit.score(held, truth)) for fit in fits)


def main() -> None:
    torch.set_num_threads(1)
    backbone = ImageBindTiny()
    with tempfile.TemporaryDirectory() as store:
        workspace = open_workspace(store, "cpu")
        data = load_dataset("digits")
        assert data.train.labels is not None
        assert data.val.labels is not None
        labels, truth = data.train.labels, data.val.labels
        seen = [workspace.column(part, "image", backbone)[0] for part in (data.train, data.val)]
        for count in (100, 20, 5, 1):
            scores = []
            for draw in range(1 if count == 100 else 5):
                random = np.random.default_rng(draw)
                rows = np.concatenate([random.permutation(np.flatnonzero(labels == c))[:count] for c in range(10)])
                scores.append(best(seen[0][rows], labels[rows], seen[1], truth))
            print(f"image alone, {count} a class: {np.mean(scores):.3f}", flush=True)
        for noise in (None, 10, 5, 0, -5, -10):
            noisy = load_dataset("digits", noise_db=noise)
            heard = [workspace.column(part, "audio", backbone)[0] for part in (noisy.train, noisy.val)]
            both = [np.hstack(pair) for pair in zip(heard, seen, strict=True)]
            alone, joint = best(heard[0], labels, heard[1], truth), best(both[0], labels, both[1], truth)
            print(f"noise {noise} dB: speech alone {alone:.3f}, both {joint:.3f}", flush=True)


if __name__ == "__main__":
    main()
