"""What imagebind-tiny learns: to bring images and sounds to the text of their class, and to each other."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import words
from corpus import AUDIO_TEXTS, IMAGE_TEXTS, Corpus
from torch import Tensor, nn

from gtimm.backbones.imagebind.config import ImageBindConfig
from gtimm.backbones.imagebind.model import ImageBindModel
from gtimm.backbones.imagebind.preprocess import prepare_text


class Objective(nn.Module):
    """Cross-entropy against the texts of all classes, and between images and sounds of the same letter.

    At first all texts have nearly one embedding, and nothing can be learnt from them. So each class also has a free anchor,
    thrown away in the end, which gets images and sounds apart early; the texts follow.
    """

    def __init__(self, corpus: Corpus, config: ImageBindConfig) -> None:
        super().__init__()
        self.image_anchors = nn.Linear(config.out_embed_dim, len(corpus.glyphs.classes), bias=False)
        self.audio_anchors = nn.Linear(config.out_embed_dim, len(corpus.speech.names), bias=False)
        assert config.text is not None
        text = config.text
        self.image_ids = [torch.stack([prepare_text(t, text) for t in corpus.image_texts(form)]) for form in IMAGE_TEXTS]
        self.audio_ids = [torch.stack([prepare_text(t, text) for t in corpus.audio_texts(form)]) for form in AUDIO_TEXTS]
        spoken = {letter: index for index, letter in enumerate(words.SPOKEN_LETTERS)}
        self.letter_of_image = torch.tensor([spoken.get(glyph.letter, -1) for glyph in corpus.glyphs.classes])
        self.letter_of_sound = torch.tensor([index if name in spoken else -1 for index, name in enumerate(corpus.speech.names)])

    def forward(
        self, model: ImageBindModel, step: int, image: tuple[Tensor, Tensor], audio: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, ...]:
        """The loss, and the shares of images and sounds nearest to their own class's text."""
        pixels, image_class = image
        sound, audio_class = audio
        form = step % len(IMAGE_TEXTS)
        ids = torch.cat([self.image_ids[form], self.audio_ids[form]])
        scale = model.modality_postprocessors["text"][1].log_logit_scale.exp().clamp(max=100)
        texts = F.normalize(_head(model, "text", ids), dim=-1)
        image_texts, audio_texts = texts.split([len(self.image_ids[form]), len(self.audio_ids[form])])
        raw_seen, raw_heard = _head(model, "image", pixels), _head(model, "audio", sound)
        seen, heard = F.normalize(raw_seen, dim=-1), F.normalize(raw_heard, dim=-1)
        image_scores, audio_scores = scale * seen @ image_texts.T, scale * heard @ audio_texts.T
        loss = F.cross_entropy(image_scores, image_class, label_smoothing=0.05)
        loss = loss + F.cross_entropy(audio_scores, audio_class, label_smoothing=0.05)
        loss = loss + F.cross_entropy(self.image_anchors(raw_seen), image_class, label_smoothing=0.05)
        loss = loss + F.cross_entropy(self.audio_anchors(raw_heard), audio_class, label_smoothing=0.05)
        of_image, of_sound = self.letter_of_image[image_class], self.letter_of_sound[audio_class]
        some_image, some_sound = of_image >= 0, of_sound >= 0
        letters_said = scale * seen[some_image] @ audio_texts[: len(words.SPOKEN_LETTERS)].T
        loss = loss + 0.3 * F.cross_entropy(letters_said, of_image[some_image])
        same = of_image[some_image][:, None] == of_sound[some_sound][None]
        loss = loss + 0.1 * _both_ways(scale * seen[some_image] @ heard[some_sound].T, same)
        return (
            loss, (image_scores.argmax(1) == image_class).float().mean(), (audio_scores.argmax(1) == audio_class).float().mean()
        )  # fmt: skip


def _head(model: ImageBindModel, kind: Any, batch: Tensor) -> Tensor:
    """(n, out_embed_dim) float32, before normalisation and scale."""
    return model.finish(kind, model.summarise(kind, batch), None, scaled=False).float()


def _both_ways(scores: Tensor, same: Tensor) -> Tensor:
    """Supervised contrastive loss (Khosla et al., 2020) from rows to columns and back; rows without a match are left out."""
    total = scores.new_zeros(())
    for logits, match in ((scores, same), (scores.T, same.T)):
        found = match.any(dim=1)
        if found.any():
            log_share = logits.log_softmax(dim=1)[found]
            total = total - ((log_share * match[found]).sum(1) / match[found].sum(1)).mean()
    return total / 2
