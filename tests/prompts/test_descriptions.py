"""Descriptions come from a file, a language model or a function, and are balanced."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from gtimm.core.errors import ConfigError, WeightsError
from gtimm.core.prompts import plan_requests
from gtimm.core.registry import registry
from gtimm.prompts import language
from gtimm.prompts.descriptions import DescriptionPrompts
from gtimm.prompts.language import sentences


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A GPT-2 of random weights that writes words of one letter."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("gpt2")
    vocabulary = {token: i for i, token in enumerate(["<end>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>").save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=len(vocabulary), n_embd=8, n_layer=1, n_head=1, n_positions=64, eos_token_id=0, bos_token_id=0
        )
        GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)


def ask(model: str, **options: object) -> DescriptionPrompts:
    return DescriptionPrompts(model=model, max_new_tokens=8, **options)


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_a_files_descriptions_are_the_prompts_each_as_often(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"file.{ending}"
    path.write_text('{"YoYo": ["one", "two", "three"], "other": ["x"]}')
    strategy = registry("prompts").create({"name": "descriptions", "file": str(path)})
    found = [r.prompt for r in plan_requests(strategy, ["YoYo"], "image", 7, 1.0, 0)[0]]
    assert sorted(Counter(found).values()) == [2, 2, 3]
    assert found[:4] == strategy.prompts("YoYo", "image", 4, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Yoyo: [x]", "class 'YoYo' has no description. Did you mean 'Yoyo'?"),
        ("YoYo: []", "class 'YoYo' needs a list"),
        ("YoYo: x", "class 'YoYo' needs a list"),
        ("YoYo: [x, ' ']", "class 'YoYo' needs a list"),
        ("YoYo: [7]", "class 'YoYo' needs a list"),
        ("!!python/name:os.system", "not JSON or plain YAML"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_file_and_class(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        plan_requests(DescriptionPrompts(file=str(path)), ["YoYo"], "image", 1, 1.0, 0)
    assert "file.yaml" in str(error.value)


def test_a_model_writes_as_many_as_asked_alike_each_time(model: str) -> None:
    first = ask(model, count=3).prompts("YoYo", "image", 3, 0)
    language._describe.cache_clear()
    torch.manual_seed(99)
    assert ask(model, count=3).prompts("YoYo", "image", 3, 0) == first
    assert len(set(first)) == 3
    assert set(ask(model, count=3, seed=1).prompts("YoYo", "image", 3, 0)) != set(first)


def test_a_class_is_described_alike_whatever_the_others(model: str) -> None:
    alone = plan_requests(ask(model), ["b"], "image", 5, 1.0, 0)[0]
    language._describe.cache_clear()
    both = plan_requests(ask(model), ["a", "b"], "image", 5, 1.0, 0)[0]
    assert both[1::2] == alone


def test_saved_descriptions_can_be_edited_and_are_not_asked_again(model: str, tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    strategy = ask(model, save=str(path))
    plan_requests(strategy, ["a"], "image", 1, 1.0, 0)
    assert [len(texts) for texts in json.loads(path.read_text()).values()] == [5]
    path.write_text('{"a": ["my own words"]}')
    found, _ = plan_requests(strategy, ["a", "b"], "image", 1, 1.0, 0)
    assert found[0].prompt == "my own words"
    saved = json.loads(path.read_text())
    assert saved["a"] == ["my own words"]
    assert len(saved["b"]) == 5


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"config\.json"):
        ask(str(tmp_path)).prepare(["a"])


def test_a_function_is_asked_once_a_class_and_what_it_says_can_be_saved() -> None:
    asked: list[str] = []
    strategy = DescriptionPrompts.from_callable(lambda c: asked.append(c) or [f"{c} one", f"{c} two"], ["a", "b"])
    assert sorted(strategy.prompts("a", "audio", 2, 0)) == ["a one", "a two"]
    assert asked == ["a", "b"]
    assert DescriptionPrompts(**json.loads(json.dumps(strategy.options()))) == strategy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "found none"),
        ({"file": "a", "model": "b"}, "found file, model"),
        ({"file": "a", "save": "b.json"}, "nothing to save"),
        ({"model": "a", "save": "b.yaml"}, "end in .json"),
        ({"given": {"a": []}}, "'a' has no description"),
        ({"given": {"a": [" "]}}, "'a' must not be blank"),
        ({"file": "a", "question": "Define it."}, "lacks {action}"),
        ({"file": "a", "templates": ["{action}"]}, "lacks {description}"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        DescriptionPrompts(**options)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("1. a\n2. b", ["a", "b"]),
        ("(1) a\n(2) b", ["a", "b"]),
        ("- a\n* b\n• c", ["a", "b", "c"]),
        ("Here are five:\n1) a\nstill a\n\nHope this helps!", ["a still a"]),
        ("a\n\n b ", ["a", "b"]),
        ("Definitions:\na", ["a"]),
        ('1. "a"', ["a"]),
        ("3D glasses are worn.", ["3D glasses are worn."]),
        ("", []),
    ],
)
def test_answers_are_taken_apart(answer: str, expected: list[str]) -> None:
    assert sentences(answer) == expected
