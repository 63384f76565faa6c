"""What a local language model says of a class, as a list of sentences."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from gtimm.core.errors import GenerationError, WeightsError
from gtimm.core.files import folder_digest
from gtimm.core.seeding import torch_seeded, torch_threads

MARK = re.compile(r"^\s*(?:\(?\d+[.):]|[-*•–])\s+")
ATTEMPTS = 3


class Asked(NamedTuple):
    """A class and the question about it."""

    label: str
    question: str


def sentences(answer: str) -> list[str]:
    r"""Return the items of a numbered, bulleted or plain answer; an introduction that ends in a colon is left out.

    Example:
        >>> sentences("Sure, here you go:\n\n1. **A man** runs.\n2) A dog runs\nfast.\n")
        ['A man runs.', 'A dog runs fast.']
        >>> sentences("A man runs.\nA dog runs.")
        ['A man runs.', 'A dog runs.']
    """
    lines = answer.replace("**", "").splitlines()
    marked = any(MARK.match(line) for line in lines)
    found: list[str] = []
    within = False
    for line in lines:
        text = " ".join(MARK.sub("", line).split()).strip('"“”')
        if MARK.match(line) or (not marked and not text.endswith(":")):
            within = bool(text)
            found += [text] * within
        elif within and text and not text.endswith(":"):
            found[-1] += f" {text}"
        else:
            within = False
    return found


def describe(model: str, asked: tuple[Asked, ...], count: int, seed: int, max_new_tokens: int) -> list[tuple[str, ...]]:
    """Return `count` different descriptions for each class, sampled from a seed of its own; asked once a process.

    Raises:
        WeightsError: the folder is not a text-generation model.
        GenerationError: the model did not give enough; the message names the class.
    """
    digest = folder_digest(model, (".safetensors", ".json", ".txt", ".model"))
    try:
        return [_describe(model, digest, one, count, seed, max_new_tokens) for one in asked]
    finally:
        _load.cache_clear()


@lru_cache(maxsize=4096)
def _describe(model: str, digest: str, asked: Asked, count: int, seed: int, max_new_tokens: int) -> tuple[str, ...]:
    import torch

    tokenizer, network = _load(model)
    text = asked.question
    if tokenizer.chat_template:
        message = [{"role": "user", "content": text}]
        text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    tokens = tokenizer(text, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
    size = tokens["input_ids"].shape[1]
    found: dict[str, None] = {}
    for attempt in range(ATTEMPTS + count):
        with torch_threads(1), torch_seeded(seed, "descriptions", asked.label, attempt), torch.inference_mode():
            answer = network.generate(
                **tokens,
                do_sample=True,
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
            )
        found |= dict.fromkeys(sentences(tokenizer.decode(answer[0, size:], skip_special_tokens=True)))
        if len(found) >= count:
            return tuple(found)[:count]
    raise GenerationError(
        f"{model} gave {len(found)} descriptions of class {asked.label!r}; {count} were asked for. "
        "Lower count, change the question, or write them into a file."
    )


@lru_cache(maxsize=1)
def _load(model: str) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (Path(model) / "config.json").is_file():
        raise WeightsError(f"{model} has no config.json, so it is no model's folder. Give a folder in transformers format.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        network = AutoModelForCausalLM.from_pretrained(model, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise WeightsError(f"The language model {model} cannot be loaded: {error}") from error
    return tokenizer, network.eval()
