"""The comparison's methods: their families, their order on the page, and what each one is."""

from __future__ import annotations

REFERENCES = "references"
LESS_DATA = "complete rows only"
FILLS = "fills"
ROBUST = "robust training"
OTHERS = "other methods"
GENERATION = "generation"
FAMILIES = (REFERENCES, LESS_DATA, FILLS, ROBUST, OTHERS, GENERATION)

_METHODS = {
    "audio-only": (REFERENCES, "trained and tested on the audio alone"),
    "text-only": (REFERENCES, "trained and tested on the text alone"),
    "visual-only": (REFERENCES, "the images alone, trained on all that the data have, none hidden"),
    "multimodal": (
        REFERENCES,
        "every modality, trained on all that the data have, none hidden: without holes of their own, the case without a gap",
    ),
    "low-resource-visual": (LESS_DATA, "images alone, trained on the rows that still have one"),
    "low-resource-audio": (LESS_DATA, "audio alone, trained on the rows that still have it"),
    "low-resource-multimodal": (LESS_DATA, "every modality, trained only on the rows that have all of them"),
    "zero-fill": (FILLS, "a missing embedding becomes zeros"),
    "zero-fill-payload": (FILLS, "a missing payload becomes a black image, silence or empty text, and is then embedded"),
    "mean-fill": (FILLS, "a missing embedding becomes the mean over the rows that have it"),
    "class-mean": (FILLS, "a missing embedding becomes the mean of its class"),
    "hot-deck": (FILLS, "a missing item becomes a real one of the same class, drawn from those left: resampling, no generation"),
    "retrieval": (FILLS, "a missing embedding is taken from the rows nearest in the modalities present"),
    "regression": (FILLS, "a missing embedding is predicted from the modalities present"),
    "mm-dropout": (ROBUST, "zero fill, with modalities hidden at random during training"),
    "gti-mm": (GENERATION, "a missing item becomes a synthetic one, generated from the class name"),
    "gti-mm-dropout": (GENERATION, "gti-mm, with modalities hidden at random during training"),
    "gti-mm-prompts": (
        GENERATION,
        "gti-mm, with learnable prompts before the encoders' last block for each pattern of missing ones",
    ),
    "gti-mm-dropout-prompts": (GENERATION, "gti-mm-dropout, with those prompts"),
    "zs-visual": (GENERATION, "trained on generated items alone, without any real one and without the other modalities"),
    "zs-multimodal": (GENERATION, "every modality, the target one generated in every training row"),
}
_ROLES = {GENERATION: "generation", ROBUST: "robust", FILLS: "ink", REFERENCES: "muted", LESS_DATA: "muted"}
_GENERATORS = ("gti-mm", "zs-", "stable-diffusion", "audioldm")


def family(method: str) -> str:
    """Return the family of a method by its name; `other methods` for one that is not known."""
    if method in _METHODS:
        return _METHODS[method][0]
    if method.startswith(_GENERATORS):
        return GENERATION
    return next((f for end, f in (("-only", REFERENCES), ("-fill", FILLS), ("-dropout", ROBUST)) if method.endswith(end)), OTHERS)


def method_order(method: str, family: str) -> tuple[int, int, str]:
    """Return the sort key of a method: family, then the order above, then the name."""
    names = list(_METHODS)
    return (FAMILIES.index(family), names.index(method) if method in _METHODS else len(names), method)


def method_role(method: str, family: str) -> str:
    """Return a method's colour, a role of `colours.py`."""
    if method == "hot-deck":
        return "hot-deck"
    return _ROLES.get(family, "other")


def method_shape(method: str, family: str) -> str:
    """Return a method's mark, a shape of `scene.py`."""
    if method == "hot-deck":
        return "diamond"
    return "square" if family == LESS_DATA else "triangle" if method.endswith("-dropout") else "circle"


def glossary(methods: list[str]) -> list[tuple[str, str]]:
    """Return name and meaning of those of the methods that are known, in order."""
    known = sorted({m for m in methods if m in _METHODS}, key=lambda m: method_order(m, family(m)))
    return [(m, _METHODS[m][1]) for m in known]
