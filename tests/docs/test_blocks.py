"""The reader of pages: what counts as printed, and what is refused without running."""

from __future__ import annotations

import pytest
from doc_blocks import Block, check, matches


@pytest.mark.parametrize(
    ("promised", "printed"),
    [
        ("a 0.843 b", "a 0.850\n b"),
        ("12 rows", "12 rows\n"),
        ("a\n...\nz", "a b c\nz"),
        ("... z", "a z"),
        ("a ...", "a"),
        ("+3.4 [−0.4, +7.0]", "+3.41 [−0.4, +7.02]"),
    ],
)
def test_what_was_printed_matches(promised: str, printed: str) -> None:
    assert matches(promised, printed)


@pytest.mark.parametrize(
    ("promised", "printed"),
    [("0.843", "0.9"), ("12 rows", "13 rows"), ("a", "a b"), ("b", "a b"), ("a ... z", "a b"), ("a ... a", "a")],
)
def test_what_was_not_printed_does_not_match(promised: str, printed: str) -> None:
    assert not matches(promised, printed)


@pytest.mark.parametrize(
    ("language", "text", "says"),
    [
        ("", "gtimm run experiment.yaml --outt runs", "No such option"),
        ("", "gtimm bank galery", "No such command"),
        ("", "gtimm demo --seeds many", "valid integer"),
        ("", "gtimm run -o runs", "config"),
        ("", "make nothing", "no target nothing"),
        ("", "python examples/nothing.py", "no file"),
        ("python", "from gtimm import Nothing", "no gtimm.Nothing"),
        ("python", "a =", "invalid syntax"),
        ("yaml", "data: digits\nmising: {image: 0.5}", "no option 'mising'"),
        ("yaml", "data: digits\npipeline: {imputer: hotdeck}", "hot-deck"),
        ("toml", "[a", "Expected"),
        ("fortran", "", "what is to be done"),
    ],
)
def test_a_block_that_does_not_run_is_still_read(language: str, text: str, says: str) -> None:
    with pytest.raises(Exception) as caught:  # of typer, pydantic, Python or gtimm; the message tells
        check(Block("page.md", 1, language, text, "no-run", "a reason"))
    assert says in getattr(caught.value, "format_message", caught.value.__str__)()


@pytest.mark.parametrize(
    "text", ["gtimm bank gallery some -o page.html", "gtimm run a.yaml -o runs", "make demo", "pip install x"]
)
def test_a_command_that_exists_is_let_through(text: str) -> None:
    check(Block("page.md", 1, "", text, "no-run", "a reason"))


def test_a_command_of_another_program_must_say_why_it_does_not_run() -> None:
    with pytest.raises(AssertionError, match="no-run: REASON"):
        check(Block("page.md", 1, "", "pip install gtimm"))
