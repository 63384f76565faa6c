"""Numbers in words read alike wherever they stand."""

from __future__ import annotations

import doctest

import pytest

from gtimm.report import wording


def test_examples_are_true():
    found = doctest.testmod(wording)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"), (0, "0 s"), (0.01, "0.01 s"), (5, "5 s"), (59.9, "59.9 s"), (59.96, "1 min"), (60, "1 min"), (61, "1 min 1 s"),
        (3599.6, "1 h"), (7260, "2 h 1 min"), (240_000, "67 h"), (3.6e6, "1,000 h"),
    ],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds, expected):
    assert wording.duration(seconds) == expected
