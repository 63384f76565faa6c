"""Missing-aware prompts are the encoders' whole last blocks with prompts in front, and only prompts and head learn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clips import TEXTS, clip, relative, whole_last_block
from clips import pictures as photographs
from miniatures import write_clip
from safetensors import safe_open
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

import gtimm.core.workspace
from gtimm import Missing, MultimodalDataset, Pipeline, load_dataset
from gtimm.backbones.clip.backbone import ClipEncoder
from gtimm.backbones.clip.prompts import summarise
from gtimm.backbones.imagebind.backbone import ImageBindEncoder
from gtimm.backbones.imagebind.tiny import ImageBindTiny
from gtimm.backbones.overlong import Overlong
from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.fusion import Finisher, Head
from gtimm.core.media import empty_payload
from gtimm.core.pool import Features, Pool
from gtimm.core.registry import registry
from gtimm.core.training import Run, TrainOptions, train
from gtimm.core.training.splits import Source, Split
from gtimm.fusion.dropout import DropoutFusion
from gtimm.fusion.missing_aware import MissingAwareFusion

KINDS = ("image", "audio", "text")
CLASSES = 3
Whole = Callable[[str, Tensor, Tensor], Tensor]


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


def some(data: MultimodalDataset, rows: int) -> MultimodalDataset:
    return data.subset(np.arange(rows))


def whole_imagebind(model: Any, kind: str, batch: Tensor, prompts: Tensor) -> Tensor:
    """The reference: torch's own attention over prompts and all tokens, as the last block of the tower."""
    branch, count, end = {"image": "vision"}.get(kind, kind), prompts.shape[1], torch.zeros(len(batch), dtype=torch.long)
    stem, trunk, mask = model.modality_preprocessors[branch], model.modality_trunks[branch], None
    if kind == "text":
        end, mask = batch.argmax(1), torch.full((count + 32, count + 32), float("-inf"), dtype=torch.double).triu(1)
    tokens = trunk(stem(batch[:, 0] if kind == "audio" else batch), *([stem.mask] if kind == "text" else []))
    x, block = torch.cat([prompts, tokens], 1), trunk.last
    y, a = block.norm_1(x).transpose(0, 1), block.attn
    parts = (64, a.heads, a.in_proj_weight, a.in_proj_bias, a.bias_k, a.bias_v, False, 0.0, a.out_proj.weight, a.out_proj.bias)
    x = x + F.multi_head_attention_forward(y, y, y, *parts, need_weights=False, attn_mask=mask)[0].transpose(0, 1)
    x = (x + block.mlp(block.norm_2(x)))[torch.arange(len(x)), count + end]
    return model.modality_postprocessors[branch](F.normalize(model.modality_heads[branch](x), dim=-1))


def tiny(digits: Any) -> tuple[dict[str, Finisher], dict[str, Tensor], dict[str, Tensor], Whole]:
    """imagebind-tiny in float64: what finishes, prepared items, their stored features, and the reference."""
    backbone, data = ImageBindTiny(), digits.train
    model = backbone.open().model.double()
    encoder = ImageBindEncoder(model, True, False, Overlong(77))
    items = {m: [data.payload(m, r) for r in range(8)] for m in ("image", "audio")}
    items["text"] = [data.classes[c] for c in data.labels[:8]]
    batches = {k: torch.stack([backbone.preprocess(k, one) for one in items[k]]) for k in KINDS}
    batches = {k: b.double() if b.is_floating_point() else b for k, b in batches.items()}
    finishers = {k: Finisher(encoder, k, encoder.width(k), backbone.size(k)) for k in KINDS}
    return finishers, batches, {k: model.summarise(k, b) for k, b in batches.items()}, lambda *a: whole_imagebind(model, *a)


def small_clip(folder: Path) -> tuple[dict[str, Finisher], dict[str, Tensor], dict[str, Tensor], Whole]:
    """As `tiny`, for a model of open_clip's."""
    backbone = clip(folder)
    opened = backbone.open()
    model = opened.model.double()
    encoder = ClipEncoder(model, backbone.source(), False, backbone.overlong)
    items = {"image": photographs(), "text": TEXTS}
    batches = {k: torch.stack([backbone.preprocess(k, one) for one in items[k]] * 2) for k in items}
    batches["image"] = batches["image"].double()
    finishers = {k: Finisher(encoder, k, encoder.width(k), backbone.size(k)) for k in items}
    return finishers, batches, {k: summarise(model, k, b) for k, b in batches.items()}, lambda *a: whole_last_block(model, *a)


@pytest.mark.parametrize("which", ["imagebind", "clip"])
def test_logits_and_gradients_are_those_of_the_whole_last_blocks(which: str, digits: Any, folder: Path) -> None:
    finishers, batches, stored, whole = tiny(digits) if which == "imagebind" else small_clip(folder)
    torch.manual_seed(0)
    sizes = {m: v.shape[1] for m, v in stored.items()}
    head: Any = MissingAwareFusion(tokens=3).build(sizes, CLASSES, finishers).double()
    for tokens in head.prompts:
        torch.nn.init.normal_(tokens)
    rows = len(next(iter(stored.values())))
    observed = torch.tensor([[bool(row >> i & 1) for i in range(len(sizes))] for row in range(rows)])
    logits = head(stored, ~observed, observed)

    own = [tokens.detach().clone().requires_grad_() for tokens in head.prompts]
    case = torch.tensor([sum(1 << i for i, there in enumerate(row) if there) for row in observed.tolist()])
    joint = torch.cat([whole(m, batches[m], own[i][case]) for i, m in enumerate(sizes)], 1)
    expected = joint @ head.base.first.weight.T + head.base.first.bias
    assert relative(logits.detach(), expected.detach()) < 1e-11
    cotangent = torch.randn(logits.shape, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad((logits * cotangent).sum(), [*head.prompts, head.base.first.weight])
    wanted = torch.autograd.grad((expected * cotangent).sum(), [*own, head.base.first.weight])
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-10
    bare = sum(F.linear(whole(m, batches[m], own[i][case][:, :0]), w) for i, (m, w) in enumerate(parts(head, sizes).items()))
    assert relative(logits.detach() - head.base.first.bias.detach(), bare.detach()) > 1e-2  # the prompts matter


def parts(head: Any, sizes: dict[str, int]) -> dict[str, Tensor]:
    return dict(zip(sizes, head.base.first.weight.split([f.dim for f in head.finishers.values()], 1), strict=True))


def head_of(finishers: dict[str, Finisher], stored: dict[str, Tensor], seed: int = 0, base: Any = "late") -> Head:
    torch.manual_seed(seed)
    sizes = {m: v.shape[1] for m, v in stored.items()}
    return MissingAwareFusion(tokens=2, base=base).build(sizes, CLASSES, finishers).double()


def masks(rows: int, count: int) -> tuple[Tensor, Tensor]:
    """Absent (0), filled (1) and observed (2) in turn."""
    state = torch.tensor([[(row // 3**i) % 3 for i in range(count)] for row in range(rows)])
    return state == 1, state == 2


def test_a_case_is_what_the_row_has_itself(digits: Any) -> None:
    finishers, _, stored, _ = tiny(digits)
    head: Any = head_of(finishers, stored)
    row = {m: v[:1] for m, v in stored.items()}
    full, nothing = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 3, dtype=torch.bool)
    audio = torch.tensor([[False, True, False]])
    before = {"audio": head(row, ~audio, audio), "all": head(row, nothing, full)}
    with torch.no_grad():
        for tokens in head.prompts:
            torch.nn.init.normal_(tokens[2])  # the case of audio alone
    assert torch.equal(head(row, nothing, full), before["all"])
    assert not torch.allclose(head(row, ~audio, audio), before["audio"])


def test_heads_stack_read_nothing_absent_and_hold_only_what_learns(digits: Any) -> None:
    finishers, _, stored, _ = tiny(digits)
    heads = [head_of(finishers, stored, seed, "score") for seed in range(3)]
    assert not list(heads[0].buffers())
    assert set(dict(heads[0].named_parameters())) == {f"prompts.{i}" for i in range(3)} | {
        f"base.heads.{i}.{part}" for i in range(3) for part in ("weight", "bias")
    }
    filled, observed = masks(8, 3)
    weights, buffers = stack_module_state(heads)  # type: ignore[arg-type]
    skeleton = copy.deepcopy(heads[0]).to("meta")
    together = vmap(lambda w, b: functional_call(skeleton, (w, b), (stored, filled, observed)))(weights, buffers)
    for which, head in enumerate(heads):
        torch.testing.assert_close(together[which], head(stored, filled, observed), rtol=0, atol=1e-12)
    there = filled | observed
    dirty = {m: torch.where(there[:, [i]], v, torch.full_like(v, torch.nan)) for i, (m, v) in enumerate(stored.items())}
    assert torch.equal(heads[0](dirty, filled, observed), heads[0](stored, filled, observed))


def test_a_modality_owns_its_prompts_and_its_part_of_the_base(digits: Any) -> None:
    finishers, _, stored, _ = tiny(digits)
    head = head_of(finishers, stored)
    observed = torch.ones(8, 3, dtype=torch.bool)
    alone = head.unimodal(stored, ~observed, observed)
    torch.testing.assert_close(sum(alone.values()), head(stored, ~observed, observed), rtol=0, atol=1e-12)
    own = head.own_parameters()
    assert {m: sorted(names) for m, names in own.items()} == {
        m: ["base.first.weight", f"prompts.{i}"] for i, m in enumerate(KINDS)
    }
    alone["audio"].square().sum().backward()
    parameters = dict(head.named_parameters())
    for m, slices in own.items():
        moved = [parameters[name].grad for name in slices if parameters[name].grad is not None]
        amount = sum(float(g[..., slices[n]].abs().sum()) for n in slices if (g := parameters[n].grad) is not None)
        assert (amount > 0) == (m == "audio"), (m, len(moved))


IMPUTERS: dict[str, Any] = {
    "zero": {"name": "zero", "level": "payload"},
    "hot-deck": "hot-deck",
    "generated": {"image": {"name": "stable-diffusion-tiny", "per_class": 1, "steps": 1, "batch_size": 10}, "audio": "zero"},
}


@pytest.mark.parametrize("fusion", ["missing-aware", {"name": "dropout", "base": {"name": "missing-aware", "tokens": 2}}])
@pytest.mark.parametrize("imputer", IMPUTERS)
def test_a_pipeline_trains_saves_and_loads(imputer: str, fusion: Any, digits: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"imputer": IMPUTERS[imputer], "fusion": fusion, "train": {"epochs": 3}, "device": "cpu"}
    pipe = Pipeline("imagebind-tiny", **options)
    encoder: Any = pipe.workspace.encoder(ImageBindTiny())
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    pipe.fit(some(digits.train, 60), some(digits.val, 20), Missing(image=0.5))
    assert all(torch.equal(value, before[name]) for name, value in encoder.model.state_dict().items())
    test = some(digits.test, 20).with_missing(Missing(image=0.5))
    expected = pipe.predict_proba(test)
    pipe.save(tmp_path / "model")
    with safe_open(tmp_path / "model" / "weights.safetensors", "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    tokens = 5 if fusion == "missing-aware" else 2
    assert shapes == {
        "head.prompts.0": (4, tokens, 64),
        "head.prompts.1": (4, tokens, 64),
        "head.base.first.weight": (10, 128),
        "head.base.first.bias": (10,),
    }
    gtimm.core.workspace._open.cache_clear()
    again = Pipeline.load(tmp_path / "model", device="cpu", store=tmp_path / "other")
    assert np.array_equal(again.predict_proba(test), expected)
    assert again.config() == pipe.config()


def test_training_lowers_the_loss_and_moves_only_the_cases_that_occur(digits: Any) -> None:
    pipe = Pipeline("imagebind-tiny", "hot-deck", "missing-aware", train={"epochs": 8, "lr": 0.02}, device="cpu")
    run = pipe.prepare(some(digits.train, 120), None, Missing(image=0.5))
    torch.manual_seed(0)
    start = run.fusion.build(run.sizes, run.classes, run.encoders)
    train([run])
    assert run.head is not None
    x = {m: s.own for m, s in run.train.sources.items()}
    rows = torch.from_numpy(np.flatnonzero(run.train.sources["image"].index >= 0))
    x = {"image": x["image"], "audio": x["audio"][rows]}
    labels, all_there = torch.from_numpy(run.train.labels)[rows], torch.ones(len(rows), 2, dtype=torch.bool)
    before, after = (F.cross_entropy(h(x, ~all_there, all_there), labels).item() for h in (start, run.head))
    assert after < 0.8 * before
    prompts: Any = run.head.prompts
    for tokens in prompts:
        scale = tokens.detach().abs().mean((1, 2))
        assert scale[[2, 3]].min() > 1.2 * scale[[0, 1]].max()  # audio alone and both; no row lacks its sound


def test_runs_with_different_encoders_train_apart(digits: Any) -> None:
    data = some(digits.train, 20)
    backbones = [ImageBindTiny(), ImageBindTiny(), ImageBindTiny(renormalize=True)]
    runs = [Pipeline(b, fusion="missing-aware", device="cpu", seed=s).prepare(data) for s, b in enumerate(backbones)]
    assert runs[0].signature() == runs[1].signature() != runs[2].signature()


@pytest.mark.parametrize("sets", [False, True])
@pytest.mark.parametrize(
    "fusion", ["missing-aware", {"name": "dropout", "rate": 0.3, "base": {"name": "missing-aware", "base": "score"}}]
)
def test_runs_with_prompts_end_together_where_each_ends_alone(fusion: Any, sets: bool, digits: Any) -> None:
    finishers, _, stored, _ = tiny(digits)
    nothing = {m: torch.full((v.shape[1],), 0.1, dtype=torch.double) for m, v in stored.items()}

    def split(seed: int) -> Split:
        random = np.random.default_rng(seed)
        labels, sources = random.integers(0, CLASSES, 24), {}
        for m, values in stored.items():
            index = np.where(random.random(24) < 0.7, random.integers(0, 8, 24), -1)
            pool = Pool.constant(Features(values[:3].numpy().astype(np.float32)), 24)
            sources[m] = Source(values, index, values[:3], pool, nothing[m])
        return Split(np.eye(CLASSES, dtype=bool)[labels] if sets else labels, sources)

    def run(seed: int, lr: float) -> Run:
        options = TrainOptions(epochs=2, lr=lr, batch_size=10, fill_weight=0.5)
        return Run(registry("fusion").create(fusion), CLASSES, split(seed), split(seed + 9), options, seed, finishers)

    kinds = [(seed, lr) for seed in range(2) for lr in (0.02, 0.005)]
    together = [run(*kind) for kind in kinds]
    assert len({one.signature() for one in together}) == 1
    train(together)
    for found, kind in zip(together, kinds, strict=True):
        alone = run(*kind)
        train([alone])
        assert found.head is not None
        assert alone.head is not None
        torch.testing.assert_close(found.head.state_dict(), alone.head.state_dict(), atol=1e-9, rtol=0)
        assert (found.history, found.best_epoch) == (alone.history, alone.best_epoch)


def test_clip_with_text(folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = [np.full((32, 32, 3), 200 * c, np.uint8) + random.integers(0, 50, (32, 32, 3)).astype(np.uint8) for c in (0, 1) * 12]
    data = MultimodalDataset.from_arrays({"image": images, "text": ["dark", "bright"] * 12}, [0, 1] * 12, classes=["a", "b"])
    pipe = Pipeline(
        {"name": "clip", "model": f"local-dir:{folder}"}, "hot-deck", "missing-aware", train={"lr": 0.01}, device="cpu"
    )
    pipe.fit(data, data, Missing(image=0.5))
    expected = pipe.predict_proba(data.with_missing(Missing(image=0.5)))
    assert pipe.evaluate(data)["accuracy"] == 1
    pipe.save(tmp_path / "model")
    assert np.array_equal(Pipeline.load(tmp_path / "model").predict_proba(data.with_missing(Missing(image=0.5))), expected)


def test_zero_without_a_level_is_that_of_the_payload() -> None:
    pipe = Pipeline("imagebind-tiny", fusion="missing-aware")
    for option in ("imputer", "eval_imputer"):
        assert pipe.config()[option] == {"name": "zero", "level": "payload"}
    assert Pipeline("imagebind-tiny", fusion="late").config()["imputer"] == {"name": "zero"}


@pytest.mark.parametrize("imputer", [{"name": "zero", "level": "embedding"}, "mean", "class-mean", "regression", "retrieval"])
def test_vectors_that_stand_for_no_payload_are_refused(imputer: Any) -> None:
    with pytest.raises(IncompatibleError, match=r"'last_block' features, and .* no zero vector, mean .* 'level': 'payload'"):
        Pipeline("imagebind-tiny", {"image": imputer, "audio": "hot-deck"}, "missing-aware")
    with pytest.raises(IncompatibleError, match="no zero vector"):
        Pipeline("imagebind-tiny", imputer, {"name": "dropout", "base": "missing-aware"})


def test_what_does_not_fit_is_refused(digits: Any, folder: Path) -> None:
    with pytest.raises(ConfigError, match="dropout stands around"):
        MissingAwareFusion(base="dropout")
    with pytest.raises(ConfigError, match="a base takes embeddings"):
        MissingAwareFusion(base="missing-aware")
    with pytest.raises(ConfigError, match="tokens"):
        MissingAwareFusion(tokens=0)
    with pytest.raises(IncompatibleError, match="Precomputed gives only"):
        Pipeline({"name": "precomputed", "dim": 4}, fusion="missing-aware")
    with pytest.raises(IncompatibleError, match="give encoder="):
        MissingAwareFusion().build({"image": 132}, CLASSES, None)
    for fusion in (MissingAwareFusion(), DropoutFusion(base="missing-aware", modalities=("a",))):
        fusion.check(("a", "b", "c", "d"))
        with pytest.raises(ConfigError, match=r"each of the 2\^5 sets"):
            fusion.check(("a", "b", "c", "d", "e"))


def test_rows_without_a_candidate_get_an_empty_payload(digits: Any) -> None:
    data = some(digits.train, 40)
    pipe = Pipeline("imagebind-tiny", "hot-deck", {"name": "dropout", "base": "missing-aware"}, device="cpu")
    with pytest.warns(RuntimeWarning, match="filled with an empty payload"):
        run = pipe.prepare(data, None, Missing(image=0.4, on="label", seed=0))  # whole classes, and a part of one
    black = pipe.workspace.embed(ImageBindTiny(), "image", [np.zeros((32, 32, 3), np.uint8)], "last_block")[0]
    source = run.train.sources["image"]
    assert source.pool is not None
    assert source.fills is not None
    there = source.index >= 0
    holes = np.flatnonzero(~there & ~np.isin(data.labels, data.labels[there]))
    assert len(holes) > 5
    np.testing.assert_array_equal(source.fills[source.pool.nth(holes, 0)], np.broadcast_to(black, (len(holes), len(black))))
    assert source.hidden is not None
    np.testing.assert_array_equal(source.hidden, black)  # modality dropout puts the very same


def test_it_is_listed() -> None:
    fusion = registry("fusion").create("missing-aware")
    assert fusion == MissingAwareFusion(tokens=5, base="late")
    info = MissingAwareFusion(base="score").capabilities()
    assert (info.depths, info.stackable, info.accepts_absent) == (("last_block",), True, True)


def test_nothing_of_a_video_is_a_black_frame() -> None:
    found = ImageBindTiny().embed({"video": [empty_payload("video")], "image": [np.zeros((8, 8, 3), np.uint8)]})
    torch.testing.assert_close(found["video"], found["image"])
