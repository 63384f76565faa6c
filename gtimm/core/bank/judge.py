"""Judges generated items by what a gate asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.bank.files import LOG, Log
from gtimm.core.bank.gate import backbone
from gtimm.core.bank.near_duplicates import Repeat, perceptual_hash, repeats
from gtimm.core.errors import PluginError
from gtimm.core.features import FeatureStore
from gtimm.core.features.encoders import loaded
from gtimm.core.media import load_audio, load_image
from gtimm.core.prompts import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gtimm.core.backbone import Backbone
    from gtimm.core.bank import Plan
    from gtimm.core.bank.gate import Gate, Spec

Scores = dict[str, Any]
Verdict = tuple[str | None, Scores | None]
"""Why an item is rejected, or `None`, and its scores."""

EMBEDDINGS = "embeddings"
"""Folder of the embeddings that duplicates are found by, inside the bank's. Safe to delete."""
TEMPLATES = {"image": "a photo of a {}.", "audio": "This is a sound of {}."}


class Judge:
    """Judges items for one run; encoders are loaded when first needed.

    Items are embedded in batches of the plan's size, the last filled up, so that an embedding does not follow from how many are
    judged together.

    Args:
        gate: what items must pass.
        device: where encoders run.
        plan: its classes are those that agreement compares with.
    """

    def __init__(self, gate: Gate, device: str, plan: Plan) -> None:
        self._gate = gate
        self._labels = sorted({request.label for request in plan.asked})
        self._device, self._size = device, plan.size
        self._texts: NDArray[np.float32] | None = None
        self._embeddings = plan.folder / EMBEDDINGS
        self._store: FeatureStore | None = None

    def verdicts(self, plan: Plan, indices: Sequence[int], contents: Sequence[bytes]) -> list[Verdict]:
        """Return the verdict on each item but for duplicates.

        Args:
            plan: the plan.
            indices: of the requests.
            contents: the items as the files' bytes.
        """
        if not indices:
            return []
        kind = plan.requests[indices[0]].kind
        found = [self._image(content) if kind == "image" else self._sound(content) for content in contents]
        fine = [place for place, (reason, _) in enumerate(found) if reason is None]
        if fine and self._gate.agreement is not None:
            vectors = self._encoder(self._gate.agreement.backbone)(kind, [contents[place] for place in fine])
            for place, vector in zip(fine, vectors, strict=True):
                reason, scores = self._agrees(plan.requests[indices[place]].label, kind, vector)
                found[place] = (reason, {**(found[place][1] or {}), **scores})
        if (asked := self._gate.duplicates) is not None and asked.cosine is not None:
            fine = [place for place in fine if found[place][0] is None]
            self._embedded([plan.keys[indices[place]] for place in fine], [contents[place] for place in fine], kind)
        return found

    def duplicates(self, plan: Plan) -> Iterator[tuple[int, int, str, Scores]]:
        """Yield which items repeat one of lower rank in their class: both indices, the reason and the scores."""
        if (asked := self._gate.duplicates) is None:
            return
        groups: dict[str, list[int]] = {}
        for index, request in enumerate(plan.asked):
            groups.setdefault(request.label or request.prompt, []).append(index)
        lines = {record["file_name"]: record.get("scores") for record in Log(plan.folder / LOG).read()}
        for group in groups.values():
            there = [plan.there(index) for index in group]
            if not any(there) or not any(index in plan.chosen for index in group):
                continue
            gone = [plan.attempts[index] > plan.retries for index in group]
            hashes = None if asked.hamming is None else self._hashes(plan, group, there, lines)
            vectors = None if asked.cosine is None else self._vectors(plan, group, there)
            for found in repeats(there, gone, hashes, asked.hamming, vectors, asked.cosine):
                yield group[found.item], group[found.of], *_told(plan, group[found.of], found)

    def _image(self, content: bytes) -> Verdict:
        image = load_image(content)
        pixels = np.asarray(image)
        grey = pixels.mean(2) / 255
        extreme = float(((pixels == 0) | (pixels == 255)).mean())
        scores: Scores = {"contrast": round(float(grey.std()), 5), "saturated": round(extreme, 5)}
        if self._gate.duplicates is not None and self._gate.duplicates.hamming is not None:
            scores["phash"] = f"{perceptual_hash(image):016x}"
        if grey.std() < self._gate.flat:
            return "flat: one colour", scores
        if self._gate.saturated is not None and extreme > self._gate.saturated:
            return "saturated", scores
        return None, scores

    def _sound(self, content: bytes) -> Verdict:
        level = float(np.sqrt(np.mean(np.square(load_audio(content)[0], dtype=np.float64))))
        return ("silence" if level < self._gate.silence else None), {"level": round(level, 6)}

    def _agrees(self, label: str, kind: str, vector: NDArray[np.float32]) -> tuple[str | None, Scores]:
        """Compare one unit embedding with those of all classes."""
        assert self._gate.agreement is not None
        if self._texts is None:
            templates = self._gate.agreement.templates or (TEMPLATES[kind],)
            encoder = self._encoder(self._gate.agreement.backbone)
            texts = [template.replace("{}", words(name)) for name in self._labels for template in templates]
            each = encoder("text", texts).reshape(len(self._labels), len(templates), -1)
            self._texts = _unit(each.mean(1))
        cosines = self._texts @ vector
        own = cosines[self._labels.index(label)]
        place = 1 + int((cosines > own).sum())
        scores: Scores = {"agreement": round(float(own), 5), "place": place}
        if place <= self._gate.agreement.top:
            return None, scores
        nearest = self._labels[int(np.argmax(cosines))]
        return f"disagreement: nearest to {nearest!r}", {**scores, "nearest": nearest}

    def _encoder(self, spec: Spec) -> _Embed:
        return _Embed(backbone(spec), self._device, self._size)

    def _hashes(self, plan: Plan, group: list[int], there: list[bool], lines: dict[str, Any]) -> NDArray[np.uint64]:
        values = np.zeros(len(group), np.uint64)
        for place, index in enumerate(group):
            if there[place]:
                text = (lines.get(plan.name(index)) or {}).get("phash")  # a line that an interruption lost has none
                values[place] = int(text, 16) if text else perceptual_hash(load_image(str(plan.path(index))))
        return values

    def _vectors(self, plan: Plan, group: list[int], there: list[bool]) -> NDArray[np.float32]:
        here = [place for place in range(len(group)) if there[place]]
        keys = [plan.keys[group[place]] for place in here]
        found = self._embedded(keys, [str(plan.path(group[place])) for place in here], plan.requests[group[0]].kind)
        values = np.zeros((len(group), found.shape[1]), np.float32)
        values[here] = found
        return values

    def _embedded(self, keys: list[str], payloads: Sequence[Any], kind: str) -> NDArray[np.float32]:
        """Return (n, dim) unit embeddings of items by key; what the store lacks is embedded and put there."""
        assert self._gate.duplicates is not None
        encoder = self._encoder(self._gate.duplicates.backbone)
        if self._store is None:
            about = {"backbone": type(encoder.backbone).__name__, "fingerprint": encoder.backbone.fingerprint(), "kind": kind}
            self._store = FeatureStore(self._embeddings, encoder.backbone.size(kind), about=about)
        names = [bytes.fromhex(key) for key in keys]
        store = self._store

        def make(todo: list[int]) -> None:
            store.put([names[i] for i in todo], encoder(kind, [payloads[i] for i in todo]))

        return store.get_or_make(names, make)


def _told(plan: Plan, of: int, found: Repeat) -> tuple[str, Scores]:
    scores = {"hamming": found.bits, "cosine": found.cosine}
    return f"near-duplicate of {plan.name(of)}", {name: value for name, value in scores.items() if value is not None}


@dataclass(frozen=True)
class _Embed:
    """Payloads to (n, dim) unit embeddings, in batches of a size."""

    backbone: Backbone
    device: str
    size: int

    def __call__(self, kind: str, payloads: Sequence[Any]) -> NDArray[np.float32]:
        import torch

        encoder, parts = loaded(self.backbone, self.device), []
        for start in range(0, len(payloads), self.size):
            prepared = [self.backbone.prepare(kind, payload) for payload in payloads[start : start + self.size]]
            batch = torch.stack([*prepared, *[prepared[-1]] * (self.size - len(prepared))])
            with torch.inference_mode():
                made = encoder.encode(kind, batch.to(self.device), "pooled")[: len(prepared)]
            parts.append(made.float().cpu().numpy())
        values = np.concatenate(parts) if parts else np.zeros((0, self.backbone.size(kind)), np.float32)
        if not np.isfinite(values).all():
            raise PluginError(
                f"{type(self.backbone).__name__} made embeddings that are not finite; the gate cannot judge by them."
            )
        return _unit(values)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12), np.float32)
