"""What every backbone promises. A broken promise is an `AssertionError` that says which, with what was found."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gtimm.core.backbone import Backbone, PromptEncoder
from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.plugin import KINDS
from gtimm.testing.common import COMMON_CHECKS, Check, global_seed, global_state, refuse_other, run_checks
from gtimm.testing.samples import sample_payloads

if TYPE_CHECKING:
    from gtimm.core.media import Payload
    from gtimm.core.plugin import Depth

    Payloads = Mapping[str, Sequence[Payload]]

CLOSE = 1e-4


def check_backbone(
    backbone: Backbone, payloads: Payloads | None = None, *, expected_failed_checks: Mapping[str, str] | None = None
) -> None:
    """Run every check of `BACKBONE_CHECKS`.

    Args:
        backbone: the backbone.
        payloads: by kind, two or more different payloads of each kind to try; by default such are made up for each kind of
            `info.kinds` but video: pictures, tones, sentences, and vectors as long as an embedding.
        expected_failed_checks: names of checks that are known to fail, with the reason.

    Raises:
        AssertionError: promises are broken.
        ConfigError: no instance of a backbone, or too few payloads.
        IncompatibleError: payloads of a kind that it does not embed.

    Example:
        >>> from gtimm.backbones.precomputed import Precomputed
        >>> check_backbone(Precomputed(dim=2))
    """
    refuse_other(backbone, Backbone)
    run_checks(BACKBONE_CHECKS, backbone, payloads_for(backbone, payloads), expected_failed_checks)


def payloads_for(backbone: Backbone, payloads: Payloads | None = None) -> Payloads:
    """Return what a backbone is tried on: the given payloads, or three made up of each kind that it embeds."""
    if payloads is not None:
        for kind, items in payloads.items():
            backbone.check_kind(kind)
            if len(items) < 2:
                raise ConfigError(
                    f"A backbone is tried on two or more different payloads of a kind; of {kind!r} there are {len(items)}."
                )
        if not payloads:
            raise ConfigError("There is nothing to try the backbone on: give payloads of its kinds.")
        return payloads
    kinds = [kind for kind in backbone.info.kinds or KINDS if kind != "video"]
    return {kind: sample_payloads(kind, [0, 1, 2], width=backbone.size(kind) if kind == "vector" else 0) for kind in kinds}


def check_shape_and_dtype(backbone: Backbone, payloads: Payloads) -> None:
    """Features are finite float32 of (n, `size`) on the device, at every depth of `info.depths`, for one payload and for many."""
    for kind, depth, batch in _batches(backbone, payloads):
        for part in (batch, batch[:1]):
            found = _encode(backbone, kind, part, depth)
            expected = (len(part), backbone.size(kind, depth))
            assert tuple(found.shape) == expected, (
                f"{kind!r} at {depth!r}: features of shape {tuple(found.shape)}, size() says {expected}."
            )
            assert found.dtype == torch.float32, f"{kind!r} at {depth!r}: features of {found.dtype}, not float32."
            assert found.device == part.device, f"{kind!r} at {depth!r}: features on {found.device}, not on {part.device}."
            assert torch.isfinite(found).all(), f"{kind!r} at {depth!r}: features that are not finite."


def check_determinism(backbone: Backbone, payloads: Payloads) -> None:
    """The same payloads give the same features, bit for bit, also from an encoder that is opened again."""
    for kind, depth, batch in _batches(backbone, payloads):
        first, second = _encode(backbone, kind, batch, depth), _encode(backbone, kind, batch, depth)
        assert torch.equal(first, second), f"{kind!r} at {depth!r}: two runs differ by {(first - second).abs().max():g}."


def check_batch_invariance(backbone: Backbone, payloads: Payloads) -> None:
    """A payload's features do not depend on its batch mates, up to rounding."""
    for kind, depth, batch in _batches(backbone, payloads):
        together = _encode(backbone, kind, batch, depth)
        alone = torch.cat([_encode(backbone, kind, batch[i : i + 1], depth) for i in range(len(batch))])
        distance = _distance(together, alone)
        assert distance < CLOSE, f"{kind!r} at {depth!r}: features differ by {distance:g} of their norm with other batch mates."


def check_payloads_matter(backbone: Backbone, payloads: Payloads) -> None:
    """Different payloads give different features."""
    for kind, depth, batch in _batches(backbone, payloads):
        found = _encode(backbone, kind, batch, depth)
        assert len(found) < 2 or not torch.equal(found[0], found[1]), f"{kind!r} at {depth!r}: two payloads have one embedding."


def check_frozen(backbone: Backbone, payloads: Payloads) -> None:
    """Features carry no gradient; modules of the encoder are in eval mode and unchanged by encoding."""
    encoder = backbone.open("cpu", "float32")
    modules = [value for value in vars(encoder).values() if isinstance(value, nn.Module)]
    before = [value.clone() for module in modules for value in module.state_dict().values()]
    for kind, depth, batch in _batches(backbone, payloads):
        with torch.enable_grad():
            found = encoder.encode(kind, batch, depth)
        assert not found.requires_grad, f"{kind!r} at {depth!r}: features require a gradient; freeze the parameters."
    for module in modules:
        assert not module.training, f"{type(module).__name__} is in training mode; call eval()."
    after = [value for module in modules for value in module.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "Encoding changed the encoder's state."


def check_input_is_not_mutated(backbone: Backbone, payloads: Payloads) -> None:
    """Neither preparing nor encoding changes what it is given."""
    for kind, items in payloads.items():
        before = pickle.dumps(list(items))
        batch = _stack(backbone, kind, items)
        assert pickle.dumps(list(items)) == before, f"Preparing {kind!r} changed a payload."
        copy = batch.clone()
        _encode(backbone, kind, batch, "pooled")
        assert torch.equal(batch, copy), f"Encoding {kind!r} changed the batch."


def check_fingerprint_is_stable(backbone: Backbone, payloads: Payloads) -> None:
    """The fingerprint is a string that does not change from call to call, nor by opening the model."""
    first = backbone.fingerprint()
    backbone.open("cpu", "float32")
    second = type(backbone)(**backbone.model_dump()).fingerprint()
    assert isinstance(first, str), f"fingerprint() returned {type(first).__name__}, not a string."
    assert first, "fingerprint() is empty."
    assert first == second, f"fingerprint() of an equal backbone differs: {first!r} and {second!r}."


def check_nothing_to_embed(backbone: Backbone, payloads: Payloads) -> None:
    """No payload gives no row, of the right length."""
    for kind in payloads:
        found = tuple(backbone.embed({kind: []})[kind].shape)
        assert found == (0, backbone.size(kind)), f"embed of no {kind!r} gave shape {found}, not (0, {backbone.size(kind)})."


def check_other_kinds_are_refused(backbone: Backbone, payloads: Payloads) -> None:
    """A kind that is not among `info.kinds` is an `IncompatibleError`, not a feature of something else."""
    for kind in set(KINDS) - set(backbone.info.kinds or KINDS):
        try:
            backbone.preprocess(kind, sample_payloads(kind, [0], width=4)[0] if kind != "video" else "film.mp4")
        except IncompatibleError:
            continue
        raise AssertionError(f"preprocess({kind!r}, ...) was not refused, and info.kinds is {backbone.info.kinds}.")


def check_kinds_of_one_space_are_alike(backbone: Backbone, payloads: Payloads) -> None:
    """Kinds that are said to lie in one space are among those embedded, and their pooled features are of one length."""
    space = backbone.info.one_space
    others = set(space) - set(backbone.info.kinds or KINDS)
    assert not others, f"info.one_space names {', '.join(sorted(others))}, which info.kinds does not."
    sizes = {kind: backbone.size(kind) for kind in payloads if kind in space}
    assert len(set(sizes.values())) < 2, f"info.one_space holds kinds of several lengths, which nobody can compare: {sizes}."


def check_worker_processes_can_have_it(backbone: Backbone, payloads: Payloads) -> None:
    """Payloads are prepared in worker processes too: the backbone can be pickled and is the same there."""
    again = pickle.loads(pickle.dumps(backbone))  # noqa: S301 - our own bytes
    assert again == backbone, f"Pickled and read again, {backbone!r} became {again!r}."


def check_global_randomness_is_left_alone(backbone: Backbone, payloads: Payloads) -> None:
    """The global generators of Python, NumPy and torch are neither seeded nor drawn from."""
    batches = _batches(backbone, payloads)  # imports and loads what it needs
    with global_seed(3):
        before = global_state()
        for kind, depth, batch in batches:
            _stack(backbone, kind, payloads[kind][:1])
            _encode(backbone, kind, batch, depth)
        after = global_state()
    assert after == before, "A global random generator was seeded or drawn from; use gtimm.core.seeding."


def check_last_block_finishes(backbone: Backbone, payloads: Payloads) -> None:
    """`last_block` features finish to the pooled ones without tokens; with tokens they follow these, alone and as many heads at once."""
    if "last_block" not in backbone.info.depths:
        return
    encoder = backbone.open("cpu", "float32")
    assert isinstance(encoder, PromptEncoder), "info.depths lists 'last_block', and the encoder lacks finish() or width()."
    for kind, items in payloads.items():
        batch = _stack(backbone, kind, items)
        stored, pooled = _encode(backbone, kind, batch, "last_block"), _encode(backbone, kind, batch, "pooled")
        bare = encoder.finish(kind, stored.clone(), None)
        assert _distance(bare, pooled) < CLOSE, f"{kind!r}: finish() without tokens is not the pooled embedding."
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randn(2, len(batch), 3, encoder.width(kind), generator=generator).requires_grad_()
        alone = torch.stack([encoder.finish(kind, stored.clone(), one) for one in tokens])
        assert alone.shape == (2, *pooled.shape), f"{kind!r}: finish() gave {tuple(alone.shape[1:])}, not {tuple(pooled.shape)}."
        assert alone.requires_grad, f"{kind!r}: finish() is not differentiable in the tokens."
        (gradient,) = torch.autograd.grad(alone.square().sum() + alone.sum(), tokens)
        assert torch.isfinite(gradient).all(), f"{kind!r}: the gradient of the tokens is not finite."
        assert gradient.abs().sum() > 0, f"{kind!r}: the tokens change nothing."
        together = torch.func.vmap(lambda one: encoder.finish(kind, stored.clone(), one))(tokens)  # noqa: B023 - called here
        assert _distance(together.detach(), alone.detach()) < CLOSE, f"{kind!r}: under vmap finish() gives something else."


def check_fingerprint_follows_weights(backbone: Backbone, changed: Backbone) -> None:
    """A backbone that differs in a weight has another fingerprint; `changed` reads weights that differ in one number."""
    assert backbone.fingerprint() != changed.fingerprint(), (
        "fingerprint() is the same for other weights; stored features would mix."
    )


BACKBONE_CHECKS: tuple[Check, ...] = (
    *COMMON_CHECKS,
    check_shape_and_dtype,
    check_determinism,
    check_batch_invariance,
    check_payloads_matter,
    check_frozen,
    check_input_is_not_mutated,
    check_fingerprint_is_stable,
    check_nothing_to_embed,
    check_other_kinds_are_refused,
    check_kinds_of_one_space_are_alike,
    check_worker_processes_can_have_it,
    check_global_randomness_is_left_alone,
    check_last_block_finishes,
)


def _batches(backbone: Backbone, payloads: Payloads) -> list[tuple[str, Depth, Tensor]]:
    return [(k, d, _stack(backbone, k, items)) for k, items in payloads.items() for d in backbone.info.depths]


def _stack(backbone: Backbone, kind: str, items: Sequence[Payload]) -> Tensor:
    return torch.stack([backbone.preprocess(kind, item) for item in items])


def _distance(found: Tensor, expected: Tensor) -> float:
    """Distance relative to the norm of what was expected."""
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


def _encode(backbone: Backbone, kind: str, batch: Tensor, depth: Depth) -> Tensor:
    with torch.inference_mode():
        return backbone.open("cpu", "float32").encode(kind, batch, depth)
