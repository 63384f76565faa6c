"""The base of every strategy refuses what would fail later, or elsewhere, and says how to write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from gtimm.core.errors import PluginError
from gtimm.core.plugin import Info, Plugin


@pytest.mark.filterwarnings("ignore:Field name")
def test_an_info_that_would_be_an_option_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(PluginError, match=r"Wrong.info would be an option: write `info: ClassVar\[Info\]"):

        class Wrong(Plugin):
            info: Info = Info(kinds=("image",))


def test_an_info_that_is_none_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(PluginError, match=r"Wrong.info must be an Info, such as .* found 'images'"):

        class Wrong(Plugin):
            info = "images"  # type: ignore[assignment]


def test_an_info_with_or_without_annotation_is_one() -> None:
    class Annotated(Plugin):
        info: ClassVar[Info] = Info(kinds=("image",))

    class Bare(Plugin):
        info = Info(kinds=("image",))

    assert Annotated.info == Bare.info
    assert not Bare.model_fields


def test_an_option_that_json_cannot_hold_says_whose_it_is() -> None:
    class Calls(Plugin):
        function: Callable[[Any], Any] = len

    assert Calls().options() == {}
    with pytest.raises(PluginError, match="Calls has an option that cannot be written as JSON"):
        Calls(function=max).options()
