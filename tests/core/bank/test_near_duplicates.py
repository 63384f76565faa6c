"""Near-duplicates: the hash is that of the literature, and what is kept is what one after another would have been."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bank_program import requests
from gate_toys import Motifs, items, make, one_after_another
from PIL import Image
from scipy.fft import dctn
from toys import ToyBackbone

from gtimm.core.bank import Bank
from gtimm.core.bank.gate import Gate
from gtimm.core.bank.near_duplicates import perceptual_hash, repeats
from gtimm.core.errors import ConfigError, GenerationError
from gtimm.core.pool import Request
from gtimm.engines.local import LocalEngine


def picture(seed: int, side: int = 48) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def bits(one: Image.Image, two: Image.Image) -> int:
    return (perceptual_hash(one) ^ perceptual_hash(two)).bit_count()


def test_the_hash_is_the_signs_of_scipys_transform() -> None:
    for seed in range(10):
        grey = np.asarray(picture(seed).convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
        low = dctn(grey, norm="ortho")[1:9, 1:9]
        expected = int("".join("1" if value > np.median(low) else "0" for value in low.ravel()), 2)
        assert perceptual_hash(picture(seed)) == expected
        assert expected.bit_count() == 32


def test_what_looks_alike_hashes_alike_and_what_does_not_does_not() -> None:
    image = picture(0)
    noise = np.random.default_rng(0).normal(0, 5, (48, 48, 3))
    noisy = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
    brighter = image.point(lambda value: value * 0.8 + 30)
    assert max(bits(image, other) for other in (noisy, brighter, picture(0, 96))) <= 6
    assert min(bits(image, picture(seed)) for seed in range(1, 20)) >= 16


def test_nothing_is_decided_by_what_is_not_settled() -> None:
    a, b, c = np.eye(3, dtype=np.float32)

    def found(looks: list[Any], there: str) -> list[tuple[int, int]]:
        here = [letter == "t" for letter in there]
        lost = [letter == "g" for letter in there]
        return [(r.item, r.of) for r in repeats(here, lost, None, None, np.stack(looks), 0.99)]

    assert found([a, b, c], "ttt") == []
    assert found([a, b, a, b], "tttt") == [(2, 0), (3, 1)]
    assert found([a, a, b, b, a], "ttttt") == [(1, 0), (4, 0)]  # place 1 may come out like b, then place 3 would stay
    assert found([a, b, c, c, a], "t.ttt") == [(4, 0)]  # what is still to come may look like c
    assert found([a, b, c, c, a], "tgttt") == [(3, 2), (4, 0)]  # what never comes does not matter


def test_either_measure_finds_a_duplicate() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 0]]
    hashes = np.array([0, 0b11, 2**64 - 1], np.uint64)
    here, gone = [True] * 3, [False] * 3
    assert [r[:3] for r in repeats(here, gone, hashes, 2, None, None)] == [(1, 0, 2)]
    assert [r[:2] for r in repeats(here, gone, hashes, 1, vectors, 0.9)] == [(2, 0)]
    assert [r.item for r in repeats(here, gone, hashes, 2, vectors, 0.9)] == [1, 2]


@pytest.mark.parametrize(("retries", "motifs"), [(2, 12), (40, 10), (40, 12), (40, 17)])
def test_what_is_kept_is_what_one_after_another_would_be(tmp_path: Path, retries: int, motifs: int) -> None:
    generator = Motifs(motifs=motifs, gate=Gate(retries=retries, duplicates={"hamming": 10}))
    expected = one_after_another(generator, 9, duplicates=True)
    expectation = (
        pytest.raises(GenerationError, match=f"{expected.count(None)} of 27 items") if None in expected else nullcontext()
    )
    with expectation:
        make(tmp_path, 9, generator)
    plan = Bank(tmp_path).plan(generator, requests(9))
    assert [a if a <= retries else None for a in plan.attempts] == expected
    assert len(items(tmp_path)) == 27 - expected.count(None)
    assert max(a for a in expected if a is not None) > 1 or retries == 2


def test_a_smaller_budget_is_part_of_a_larger_one(tmp_path: Path) -> None:
    generator = Motifs(gate=Gate(retries=40, duplicates={"hamming": 10}))
    make(tmp_path / "few", 4, generator)
    few = items(tmp_path / "few")
    make(tmp_path / "few", 9, generator)
    make(tmp_path / "many", 9, generator)
    assert len(few) == 12
    assert few.items() <= items(tmp_path / "many").items()
    assert items(tmp_path / "few") == items(tmp_path / "many")


def test_shards_leave_duplicates_to_the_run_that_ends_them(tmp_path: Path) -> None:
    generator = Motifs(gate=Gate(retries=40, duplicates={"hamming": 10}))
    make(tmp_path / "whole", 9, generator)
    for part in (2, 1):
        make(tmp_path / "parts", 9, generator, shard=(part, 2))
    make(tmp_path / "parts", 9, generator)
    assert items(tmp_path / "parts") == items(tmp_path / "whole")


def test_a_duplicate_is_kept_aside_with_what_it_repeats(tmp_path: Path) -> None:
    plan = make(tmp_path, 6, Motifs(gate=Gate(retries=40, duplicates={"hamming": 10})))
    lines = [json.loads(line) for line in (plan.folder / "rejected" / "rejected.jsonl").read_text().splitlines()]
    found = [line for line in lines if "near" in line]
    assert found
    names = {json.loads(line)["file_name"] for line in (plan.folder / "metadata.jsonl").read_text().splitlines()}
    assert names == {plan.name(i) for i in range(18)}
    for line in found:
        assert (plan.folder / "rejected" / line["file_name"]).is_file()
        assert not (plan.folder / line["file_name"]).exists()
        assert line["reason"].removeprefix("near-duplicate of ") in names
        assert line["near"] in plan.keys
        assert line["scores"]["hamming"] <= 10


def test_duplicates_found_but_not_yet_put_aside_go_with_the_next_run(tmp_path: Path) -> None:
    generator = Motifs(gate=Gate(retries=40, duplicates={"hamming": 10}))
    plan = make(tmp_path, 6, generator)
    whole = items(tmp_path)
    line = next(
        json.loads(line) for line in (plan.folder / "rejected" / "rejected.jsonl").read_text().splitlines() if '"near"' in line
    )
    aside, back = plan.folder / "rejected" / line["file_name"], plan.folder / line["file_name"]
    back.parent.mkdir(exist_ok=True)
    aside.rename(back)
    log = plan.folder / "metadata.jsonl"
    log.write_text(log.read_text() + json.dumps({"file_name": line["file_name"]}) + "\n")
    make(tmp_path, 6, generator)
    assert items(tmp_path) == whole
    assert aside.is_file()
    assert line["file_name"] not in log.read_text()


def test_a_line_without_a_hash_is_no_obstacle(tmp_path: Path) -> None:
    generator = Motifs(gate=Gate(retries=40, duplicates={"hamming": 10}))
    make(tmp_path / "few", 4, generator)
    next((tmp_path / "few").rglob("metadata.jsonl")).unlink()
    make(tmp_path / "few", 9, generator)
    make(tmp_path / "many", 9, generator)
    assert items(tmp_path / "few") == items(tmp_path / "many")


def test_embeddings_find_duplicates_of_sounds_too_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sounds(Motifs):
        def _one(self, batch: Any, place: int) -> Any:
            state = batch[place].seed % 3  # ToyBackbone embeds a sound by its digest: equal or not
            return np.random.default_rng(state).uniform(-0.5, 0.5, (1, 400)).astype(np.float32), 8000

    generator = Sounds(gate=Gate(retries=40, duplicates={"cosine": 0.9999, "backbone": "toy"}))
    asked = [Request("audio", "a bell", seed, 1.0, label="bell") for seed in range(3)]
    bank = Bank(tmp_path)
    again = [Request("audio", "a bell", 3 * seed, 1.0, label="bell") for seed in range(3)]
    for wanted in (asked, again):
        bank.make(generator, bank.plan(generator, wanted), LocalEngine(), "cpu", True)
    plan = bank.plan(generator, again)
    assert plan.attempts[0] == 0
    assert {request.seed % 3 for request in plan.requests} == {0, 1, 2}
    stored = next(tmp_path.rglob("embeddings"))
    assert list(stored.glob("*.shard"))
    monkeypatch.setattr(ToyBackbone, "open", lambda self, *rest: pytest.fail("an encoder was loaded"))
    bank.make(generator, bank.plan(generator, again), LocalEngine(), "cpu", True)


def test_of_equal_requests_the_first_keeps_the_item(tmp_path: Path) -> None:
    generator = Motifs(black=10**9, unsafe=10**9, gate=Gate(retries=40, duplicates={"hamming": 10}))
    asked = [Request("image", "a cat", 7, 1.0, label="cat")] * 3
    bank = Bank(tmp_path)
    bank.make(generator, bank.plan(generator, asked), LocalEngine(), "cpu", True)
    bank.make(generator, bank.plan(generator, asked), LocalEngine(), "cpu", False)
    plan = bank.plan(generator, asked)
    assert plan.attempts[0] == 0
    assert len(set(plan.keys)) == len(items(tmp_path)) == 3


def test_hashes_are_for_images_and_something_must_be_asked_for(tmp_path: Path) -> None:
    generator = Motifs(gate=Gate(duplicates={"hamming": 4}))
    with pytest.raises(ConfigError, match=r"hamming compares images; found audio"):
        Bank(tmp_path).plan(generator, [Request("audio", "a bell", 0, 1.0)])
    with pytest.raises(ConfigError, match="give hamming"):
        Motifs(gate={"duplicates": {}})
    with pytest.raises(ConfigError, match=r"Unknown name 'clop'.*Did you mean 'clip'"):
        Motifs(gate={"duplicates": {"cosine": 0.9, "backbone": "clop"}})


def test_a_batch_of_which_nothing_is_left_to_embed_is_no_obstacle(tmp_path: Path) -> None:
    gate = Gate(retries=1, duplicates={"cosine": 0.99, "backbone": "toy"})
    with pytest.raises(GenerationError, match="rejected by the gate with 2 seeds; the last: unsafe: withheld"):
        make(tmp_path / "unsafe", 2, Motifs(unsafe=1, gate=gate))
    with pytest.raises(GenerationError, match="the last: flat: one colour"):
        make(tmp_path / "black", 2, Motifs(unsafe=10**9, black=1, gate=gate))
