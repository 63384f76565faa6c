"""What imputers promise that make items: plans that nest, and items that follow from their request alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gtimm.core.imputer import Failure
from gtimm.core.media import load_audio, load_image, load_text
from gtimm.core.pool import Requests
from gtimm.testing.common import Check
from gtimm.testing.trial import trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.imputer import Generator
    from gtimm.core.pool import Request
    from gtimm.testing.samples import Sample

BUDGETS = ("per_class", "per_row")
"""Options that say how many items there are, for one class or one row."""
ROUNDING = {"image": 1, "audio": 1e-3, "text": 0}
"""By how much an item may differ among other batch mates: grey levels of 255, amplitude of 1."""


def check_fingerprint_is_stable(generator: Generator, given: Sample) -> None:
    """The fingerprint is a string that an equal generator has too."""
    first, second = generator.fingerprint(), type(generator)(**generator.options()).fingerprint()
    assert isinstance(first, str), f"fingerprint() returned {type(first).__name__}, not a string."
    assert first, "fingerprint() is empty."
    assert first == second, f"fingerprint() of an equal generator differs: {first!r} and {second!r}."


def check_planning_makes_nothing(generator: Generator, given: Sample) -> None:
    """`pool` returns requests, and neither loads the model nor makes an item: that is for `open`, where and when it is asked for."""
    opened: list[str] = []

    def watched(self: Generator, device: str) -> Any:
        opened.append(device)
        raise AssertionError("pool() opened the model; return Requests, and leave the making to open().")

    cls = type("Watched", (type(generator),), {"open": watched, "__module__": type(generator).__module__})
    requests_of(cast("Generator", cls(**generator.options())), given)
    assert not opened, "pool() opened the model; return Requests, and leave the making to open()."


def check_budgets_nest(generator: Generator, given: Sample) -> None:
    """A smaller budget is the beginning of a larger one: what was made for 2 a class is not made again for 3."""
    for option in BUDGETS:
        if option in type(generator).model_fields:
            small, large = (requests_of(generator.model_copy(update={option: count}), given) for count in (2, 3))
            keys = [request.key("") for request in large[: len(small)]]
            assert [request.key("") for request in small] == keys, (
                f"The plan of {option}=2 is not the beginning of that of {option}=3; order it by rank, and let seeds follow from the rank."
            )


def check_one_item_a_request(generator: Generator, given: Sample) -> None:
    """A batch gives as many results as it has requests, each a payload of the modality's kind or a `Failure` with a reason."""
    batch = batch_of(generator, given)
    found = generator.open("cpu")(batch)
    assert len(found) == len(batch), f"{len(found)} results for {len(batch)} requests."
    for request, item in zip(batch, found, strict=True):
        if isinstance(item, Failure):
            assert item.reason, f"{request.prompt!r} failed without a reason."
        else:
            assert decoded(request.kind, item).size, f"{request.prompt!r} gave an item without content."
    assert not all(isinstance(item, Failure) for item in found), f"Every item failed; the first: {found[0]}."


def check_same_request_same_item(generator: Generator, given: Sample) -> None:
    """A batch that is made again, by a model opened again, is the same bit for bit."""
    batch = batch_of(generator, given)
    first, second = generator.open("cpu")(batch), generator.open("cpu")(batch)
    for request, one, other in zip(batch, first, second, strict=True):
        if isinstance(one, Failure) or isinstance(other, Failure):
            assert one == other, f"{request.prompt!r} failed once and not again."
            continue
        same = np.array_equal(decoded(request.kind, one), decoded(request.kind, other))
        assert same, f"{request.prompt!r} with seed {request.seed} gave two different items."


def check_items_ignore_their_batch_mates(generator: Generator, given: Sample) -> None:
    """An item is the same beside other requests, up to rounding."""
    batch = batch_of(generator, given)
    if len({request.key("") for request in batch}) < 2:
        return  # a batch of one
    make = generator.open("cpu")
    first, beside = make(batch)[0], make([batch[0], *reversed(batch[1:])])[0]
    lonely = make([batch[0]] * len(batch))[0]
    for other in (beside, lonely):
        if isinstance(first, Failure) or isinstance(other, Failure):
            assert first == other, "A request fails beside some requests and not beside others."
            continue
        one, two = decoded(batch[0].kind, first), decoded(batch[0].kind, other)
        assert one.shape == two.shape, f"An item has shape {one.shape}, and {two.shape} beside other requests."
        distance = float(np.abs(one.astype(float) - two.astype(float)).max())
        assert distance <= ROUNDING.get(batch[0].kind, 0), f"An item differs by {distance:g} beside other requests."


GENERATOR_CHECKS: tuple[Check, ...] = (
    check_fingerprint_is_stable,
    check_planning_makes_nothing,
    check_budgets_nest,
    check_one_item_a_request,
    check_same_request_same_item,
    check_items_ignore_their_batch_mates,
)


def requests_of(generator: Generator, given: Sample) -> Sequence[Request]:
    """Return the plan for the training rows."""
    train, _ = given.sealed
    with trial() as run:
        items = run.pool(generator, train, given.target, run.fit(generator, train, given.target), "train").items
    assert isinstance(items, Requests), f"A generator's pool must hold Requests; found {type(items).__name__}."
    return items.values


def batch_of(generator: Generator, given: Sample) -> list[Request]:
    """Return one batch of exactly `batch_size` requests, the last repeated where the plan is shorter."""
    requests = list(requests_of(generator, given)[: generator.batch_size])
    return requests + requests[-1:] * (generator.batch_size - len(requests))


def decoded(kind: str, item: Any) -> NDArray[Any]:
    """Return a payload as an array."""
    if kind == "image":
        return np.asarray(load_image(item))
    if kind == "audio":
        return load_audio(item)[0]
    if kind == "text":
        return np.frombuffer(load_text(item).encode(), np.uint8)
    return np.asarray(item)
