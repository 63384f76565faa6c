"""What each fusion computes, for one row, in plain float64 arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

F64 = np.ndarray[Any, np.dtype[np.float64]]
Weights = dict[str, F64]
Row = dict[str, F64]


def softmax(scores: list[F64]) -> list[F64]:
    top = np.max(scores, axis=0)
    each = [np.exp(s - top) for s in scores]
    return [e / sum(each) for e in each]


def late(w: Weights, row: Row, there: list[bool]) -> F64:
    whole = np.concatenate(list(row.values()))
    out = w["first.weight"] @ whole + w["first.bias"]
    return w["last.weight"] @ np.maximum(out, 0) + w["last.bias"] if "last.weight" in w else out


def score(w: Weights, row: Row, there: list[bool]) -> F64:
    parts = [w[f"heads.{i}.weight"] @ x + w[f"heads.{i}.bias"] for i, x in enumerate(row.values()) if there[i]]
    return np.mean(parts, axis=0) if parts else np.zeros(len(w["heads.0.bias"]))


def tokens(w: Weights, row: Row, there: list[bool]) -> list[F64]:
    layers = "project.layers"
    return [
        np.maximum(w[f"{layers}.{i}.weight"] @ x + w[f"{layers}.{i}.bias"], 0) for i, x in enumerate(row.values()) if there[i]
    ]


def total(w: Weights, row: Row, there: list[bool]) -> F64:
    inner = sum(tokens(w, row, there), np.zeros(w["classify.weight"].shape[1]))
    return w["classify.weight"] @ inner + w["classify.bias"]


def mean(w: Weights, row: Row, there: list[bool]) -> F64:
    found = tokens(w, row, there)
    return w["classify.weight"] @ np.mean(found, axis=0) + w["classify.bias"] if found else w["classify.bias"]


def attention(w: Weights, row: Row, there: list[bool]) -> F64:
    found, query = tokens(w, row, there), w["query"]
    if not found:
        return w["classify.bias"]
    heads, width = query.shape
    each = width // heads
    pooled = []
    for head in range(heads):
        weights = softmax([query[head] @ t / np.sqrt(width) for t in found])
        part = w["values.weight"][head * each : (head + 1) * each]
        pooled.append(sum(a * (part @ t) for a, t in zip(weights, found, strict=True)))
    return w["classify.weight"] @ np.concatenate(pooled) + w["classify.bias"]


def gates(w: Weights, row: Row, there: list[bool]) -> list[F64]:
    """The scores of the gates of each modality: one matrix on the concatenation, with zeros for what is absent."""
    matrix = np.concatenate([w[f"gates.{i}.weight"] for i in range(len(row))], axis=1)
    scores = matrix @ np.concatenate([x * t for x, t in zip(row.values(), there, strict=True)])
    return list(scores.reshape(len(row), -1))


def gated(w: Weights, row: Row, there: list[bool]) -> F64:
    places = [i for i, t in enumerate(there) if t]
    if not places:
        return w["classify.bias"]
    values, scores = list(row.values()), gates(w, row, there)
    z = softmax([scores[i] for i in places])
    h = sum(a * np.tanh(w[f"project.{i}.weight"] @ values[i]) for a, i in zip(z, places, strict=True))
    return w["classify.weight"] @ h + w["classify.bias"]


def gated_alone(w: Weights, row: Row, there: list[bool]) -> F64:
    values, scores = list(row.values()), gates(w, row, there)
    h = np.zeros(w["classify.weight"].shape[1])
    for i, t in enumerate(there):
        if t:
            h = h + np.tanh(w[f"project.{i}.weight"] @ values[i]) / (1 + np.exp(-scores[i]))
    return w["classify.weight"] @ h + w["classify.bias"]
