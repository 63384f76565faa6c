"""What every fusion promises, of itself and of the heads that it builds. A broken promise is an `AssertionError` that says which."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from gtimm.core.errors import ConfigError
from gtimm.core.fusion import Finisher, Fusion, Head, alone
from gtimm.testing.common import COMMON_CHECKS, Check, global_seed, global_state, refuse_other, run_checks
from gtimm.testing.explain import short
from gtimm.testing.samples import WIDTH, Plain

Batch = tuple[dict[str, Tensor], Tensor, Tensor]
SIZES = {"image": 5, "audio": 3, "my.text": 4}
CLASSES = 3
CLOSE = 1e-9  # of float64


@dataclass(frozen=True)
class Inputs:
    """What a fusion is tried with.

    Attributes:
        sizes: modality to feature length.
        classes: number of classes.
    """

    sizes: Mapping[str, int]
    classes: int = CLASSES

    def head(self, fusion: Fusion, seed: int = 0, dtype: torch.dtype = torch.float64) -> Head:
        """Return a new head; at depth `"last_block"` an encoder without weights finishes its features."""
        encoder, sizes = None, dict(self.sizes)
        if fusion.capabilities().depths[0] == "last_block":
            sizes = dict.fromkeys(sizes, WIDTH)
            encoder = {m: Finisher(Plain(), "vector", WIDTH, WIDTH) for m in sizes}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            built: object = fusion.build(sizes, self.classes, encoder)
        assert isinstance(built, Head), f"build() returned {short(built)}; it must be a Head."
        return built.to(dtype)

    def batch(self, fusion: Fusion, seed: int = 0, dtype: torch.dtype = torch.float64) -> Batch:
        """Return every pattern of absent, filled and observed once; features are zero where a value is absent."""
        pooled = fusion.capabilities().depths[0] == "pooled"
        state = torch.tensor(list(product([0, 1, 2], repeat=len(self.sizes))))
        random = torch.Generator().manual_seed(seed)
        x = {}
        for column, (m, size) in enumerate(self.sizes.items()):
            values = 3 * torch.randn(len(state), size if pooled else WIDTH, generator=random, dtype=torch.float64)
            x[m] = (values * (state[:, column] > 0).unsqueeze(-1)).to(dtype)
        return x, state == 1, state == 2


def check_fusion(
    fusion: Fusion,
    sizes: Mapping[str, int] | None = None,
    classes: int = CLASSES,
    *,
    expected_failed_checks: Mapping[str, str] | None = None,
) -> None:
    """Run every check of `FUSION_CHECKS`, on heads for all the modalities and for the first alone.

    Args:
        fusion: the fusion.
        sizes: modality to feature length; by default three modalities.
        classes: number of classes.
        expected_failed_checks: names of checks that are known to fail, with the reason.

    Raises:
        AssertionError: promises are broken.
        ConfigError: no instance of a fusion, no modality, or less than two classes.

    Example:
        >>> from gtimm.fusion.score import ScoreFusion
        >>> check_fusion(ScoreFusion())
    """
    refuse_other(fusion, Fusion)
    run_checks(fusion_checks(), fusion, inputs_for(fusion, sizes, classes), expected_failed_checks)


def fusion_checks() -> tuple[Check, ...]:
    """Return the checks of `FUSION_CHECKS`, each of which takes several `Inputs`."""
    return tuple(_on_each(check) for check in FUSION_CHECKS)


def inputs_for(fusion: Fusion, sizes: Mapping[str, int] | None = None, classes: int = CLASSES) -> tuple[Inputs, ...]:
    """Return what a fusion is tried with: all modalities, and the first alone."""
    sizes = SIZES if sizes is None else sizes
    if not sizes or classes < 2:
        raise ConfigError(
            f"A fusion is tried with one modality or more, and two classes or more; found {dict(sizes)}, {classes}."
        )
    return tuple(Inputs(kept, classes) for kept in ([dict(list(sizes.items())[:1])] if len(sizes) > 1 else []) + [dict(sizes)])


def _on_each(check: Callable[[Any, Inputs], None]) -> Check:
    @wraps(check)
    def tried(fusion: Fusion, several: Sequence[Inputs]) -> None:
        for given in several:
            check(fusion, given)

    return tried


def check_logits_keep_dtype_and_device(fusion: Fusion, given: Inputs) -> None:
    """A head gives (n, classes) logits in the dtype and on the device of its features."""
    for dtype in (torch.float32, torch.float64):
        x, filled, observed = given.batch(fusion, dtype=dtype)
        found = given.head(fusion, dtype=dtype)(x, filled, observed)
        expected = (len(filled), given.classes)
        assert tuple(found.shape) == expected, f"Logits have shape {tuple(found.shape)}, not (n, classes) = {expected}."
        assert found.dtype == dtype, f"Features of {dtype} gave logits of {found.dtype}."
        assert found.device == filled.device, f"Features on {filled.device} gave logits on {found.device}."


def check_input_is_not_mutated(fusion: Fusion, given: Inputs) -> None:
    """Neither features nor masks are changed in place."""
    x, filled, observed = given.batch(fusion)
    before = {m: value.clone() for m, value in x.items()}, filled.clone(), observed.clone()
    given.head(fusion)(x, filled, observed)
    assert list(x) == list(before[0]), "forward() changed the mapping of features."
    for m, value in before[0].items():
        assert torch.equal(x[m], value), f"forward() changed the features of {m!r} in place."
    assert torch.equal(filled, before[1]), "forward() changed `filled` in place."
    assert torch.equal(observed, before[2]), "forward() changed `observed` in place."


def check_same_seed_same_result(fusion: Fusion, given: Inputs) -> None:
    """Initial weights come from torch's generator alone: two heads of one seed are equal, whatever the other generators hold."""
    heads = []
    for seed in (1, 2):
        with global_seed(seed):
            heads.append(given.head(fusion, seed=7).state_dict())
    assert list(heads[0]) == list(heads[1]), "Two heads of one seed have other parameters."
    for name, value in heads[0].items():
        assert torch.equal(value, heads[1][name]), f"Two heads of one seed differ in {name!r}."


def check_heads_are_pure(fusion: Fusion, given: Inputs) -> None:
    """Calling a head draws nothing, changes nothing in it, and gives the same in training and in eval mode."""
    head, batch = given.head(fusion).train(), given.batch(fusion)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    random = global_state()
    first = head(*batch)
    assert _same(head(*batch), first), "The same batch gave other logits the second time."
    assert _same(head.eval()(*batch), first), "Logits differ in eval mode; randomness is for Fusion.hide."
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items()), "forward() changed the head."
    assert global_state() == random, "forward() drew from a global generator."


def check_absent_values_are_never_read(fusion: Fusion, given: Inputs) -> None:
    """With `accepts_absent`, what stands in the place of an absent value goes into no logit, whatever it is."""
    if not fusion.capabilities().accepts_absent:
        return
    head, (x, filled, observed) = given.head(fusion), given.batch(fusion)
    clean, there = head(x, filled, observed), filled | observed
    for poison in (1e30, float("nan"), float("inf")):
        dirty = {m: torch.where(there[:, [i]], v, torch.full_like(v, poison)) for i, (m, v) in enumerate(x.items())}
        assert _same(head(dirty, filled, observed), clean), f"{poison} in the place of absent values changed the logits."


def check_any_missing_pattern(fusion: Fusion, given: Inputs) -> None:
    """Logits and gradients are finite in every pattern of absent, filled and observed, also where everything is absent."""
    head, (x, filled, observed) = given.head(fusion), given.batch(fusion)
    nothing = torch.zeros_like(filled[:2])
    empty = head({m: torch.zeros_like(value[:2]) for m, value in x.items()}, nothing, nothing)
    assert torch.isfinite(empty).all(), "Logits are not finite where everything is absent."
    assert _same(empty[0], empty[1]), "Two rows without anything have other logits."
    mixed = head(x, filled, observed)
    assert torch.isfinite(mixed).all(), "Logits are not finite in some pattern of what is there."
    (empty.sum() + mixed.square().sum()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, f"{name!r} gets no gradient from any pattern."
        assert torch.isfinite(parameter.grad).all(), f"The gradient of {name!r} is not finite in some pattern."


def check_no_dependence_on_batch_mates(fusion: Fusion, given: Inputs) -> None:
    """A row's logits are the same alone, in another place and beside other rows, up to rounding."""
    head, (x, filled, observed) = given.head(fusion), given.batch(fusion)
    whole = head(x, filled, observed)
    order = torch.randperm(len(filled), generator=torch.Generator().manual_seed(0))
    moved = head({m: value[order] for m, value in x.items()}, filled[order], observed[order])
    assert _distance(moved, whole[order]) < CLOSE, "Logits depend on the place in the batch."
    for row in range(0, len(filled), max(1, len(filled) // 6)):
        one = head({m: value[[row]] for m, value in x.items()}, filled[[row]], observed[[row]])
        assert _distance(one, whole[[row]]) < CLOSE, f"The logits of row {row} are others when it is alone."


def check_empty_batch(fusion: Fusion, given: Inputs) -> None:
    """A batch without rows gives no row of logits."""
    x, filled, observed = given.batch(fusion)
    found = given.head(fusion)({m: value[:0] for m, value in x.items()}, filled[:0], observed[:0])
    assert tuple(found.shape) == (0, given.classes), (
        f"No rows gave logits of shape {tuple(found.shape)}, not (0, {given.classes})."
    )


def check_features_are_found_by_name(fusion: Fusion, given: Inputs) -> None:
    """Features are taken from the mapping by their modality, whatever its order."""
    head, (x, filled, observed) = given.head(fusion), given.batch(fusion)
    found = head(dict(reversed(x.items())), filled, observed)
    assert _same(found, head(x, filled, observed)), "Logits follow the order of the mapping; look features up by name."


def check_many_heads_train_as_one(fusion: Fusion, given: Inputs) -> None:
    """With `stackable`, heads of several seeds go through `torch.func.vmap` as one, each as it would alone."""
    if not fusion.capabilities().stackable:
        return
    heads, batches = [given.head(fusion, seed) for seed in range(2)], [given.batch(fusion, seed) for seed in range(2)]
    weights, buffers = stack_module_state(list[torch.nn.Module](heads))

    def forward(w: Any, b: Any, x: dict[str, Tensor], f: Tensor, o: Tensor) -> Any:
        return functional_call(heads[0], (w, b), (x, f, o))

    x = {m: torch.stack([batch[0][m] for batch in batches]) for m in given.sizes}
    filled, observed = torch.stack([batch[1] for batch in batches]), torch.stack([batch[2] for batch in batches])
    try:
        found = vmap(forward, randomness="error")(weights, buffers, x, filled, observed)
    except RuntimeError as error:
        if "data-dependent control flow" not in str(error) and ".item()" not in str(error):
            raise
        raise AssertionError(
            "forward() branches on the values of a tensor. Heads of many runs are stacked by torch.func.vmap: use torch.where, or say "
            "stackable=False, and they train one after another."
        ) from error
    for head, batch, logits in zip(heads, batches, found, strict=True):
        assert _distance(logits, head(*batch)) < CLOSE, "A head among others gives other logits than alone; no in-place changes."


def check_state_survives_saving(fusion: Fusion, given: Inputs) -> None:
    """The parameters, saved as safetensors and loaded into a new head, give the same logits."""
    from safetensors.torch import load, save

    head, batch = given.head(fusion, seed=1), given.batch(fusion)
    again = given.head(type(fusion)(**json.loads(json.dumps(fusion.options()))), seed=2)
    again.load_state_dict(load(save({name: value.detach().contiguous() for name, value in head.state_dict().items()})))
    assert _same(again(*batch), head(*batch)), "A saved and loaded head gives other logits; keep all in parameters."


def check_own_parameters_are_a_modality_s_own(fusion: Fusion, given: Inputs) -> None:
    """What `own_parameters` names exists, and gets a gradient from its modality alone: balancing relies on it."""
    head, (x, filled, observed) = given.head(fusion), given.batch(fusion)
    own, names = head.own_parameters(), dict(head.named_parameters())
    if not own or not torch.isfinite(head(x, filled, observed)).all():
        return  # of logits that are no numbers nothing can be said; check_any_missing_pattern does
    assert set(own) == set(x), f"own_parameters() has {', '.join(own)}; the modalities are {', '.join(x)}."
    for m, parts in own.items():
        for name in parts:
            assert name in names, f"own_parameters() names {name!r} for {m!r}, and the head has no such parameter."
    for m in x:
        head.zero_grad()
        head(*alone(x, filled, observed, {m})).square().sum().backward()
        moved = {other for other, parts in own.items() for name, part in parts.items() if _moved(names[name], part)}
        assert m in moved, f"{m!r} alone moves none of its own parameters."
        assert moved == {m}, f"{m!r} alone moves parameters that own_parameters() says are of {', '.join(sorted(moved - {m}))}."


def check_hide_is_a_pure_mask(fusion: Fusion, given: Inputs) -> None:
    """`hide` gives `None`, or a mask that follows from `u` alone, row by row, and leaves `u` as it is."""
    names = tuple(given.sizes)
    try:
        fusion.check(names)
    except ConfigError:
        return  # its options are for other modalities
    u = torch.rand(64, len(names), generator=torch.Generator().manual_seed(0))
    before, random = u.clone(), global_state()
    found = fusion.hide(names, u)
    assert torch.equal(u, before), "hide() changed u in place."
    assert global_state() == random, "hide() drew from a global generator; the trainer gives all randomness in u."
    if found is None:
        return
    assert found.dtype == torch.bool, f"hide() gave {found.dtype}, not bool."
    assert found.shape == u.shape, f"hide() gave shape {tuple(found.shape)}, not that of u, {tuple(u.shape)}."
    for row in range(len(u)):
        again = fusion.hide(names, u[[row]])
        assert again is not None, "hide() gave a mask for some rows and None for others."
        assert torch.equal(again, found[[row]]), "What hide() hides of a row depends on other rows, or is not determined by u."


FUSION_CHECKS: tuple[Check, ...] = (
    *COMMON_CHECKS,
    check_logits_keep_dtype_and_device,
    check_input_is_not_mutated,
    check_same_seed_same_result,
    check_heads_are_pure,
    check_absent_values_are_never_read,
    check_any_missing_pattern,
    check_no_dependence_on_batch_mates,
    check_empty_batch,
    check_features_are_found_by_name,
    check_many_heads_train_as_one,
    check_state_survives_saving,
    check_own_parameters_are_a_modality_s_own,
    check_hide_is_a_pure_mask,
)


def _same(found: Tensor, expected: Tensor) -> bool:
    """Return whether all numbers are the same; those that are none are alike, and `check_any_missing_pattern` says so once."""
    return found.shape == expected.shape and bool(((found == expected) | (found.isnan() & expected.isnan())).all())


def _distance(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, 0 where both are no number or infinite alike, and infinite where one is."""
    apart = (found - expected).detach().abs().nan_to_num(nan=float("inf"))
    return float(torch.where((found == expected) | (found.isnan() & expected.isnan()), 0.0, apart).max())


def _moved(parameter: torch.nn.Parameter, part: slice) -> bool:
    return parameter.grad is not None and bool(parameter.grad[..., part].abs().sum() > 0)
