"""Edits that turn a valid file into one that a careless, unlucky or hostile hand has written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

ODD_VALUES = st.sampled_from(
    [
        None, True, False, 0, -1, 3, 10**30, -(10**30), 1e308, float("inf"), float("nan"), 0.5, "", " ", "..", "../../etc/passwd",
        "/etc/passwd", "a\0b", "\ud800", "x" * 5000, "<script>alert(1)</script>", "\x1b[31m", "=1+1", [], {}, [[]], [None], {"": None},
        {"name": "zero"}, [1, "a", None], [0, 1], "2001-01-01", 2**63, "nan", [[[[[[]]]]]],
    ]
)  # fmt: skip
PIECES = st.sampled_from(
    [
        b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b"\r\n", b",", b"\t", b'"', b"'", b";", b"\\", b"/", b"../", b"..", b"{", b"}",
        b"[", b"]", b": ", b"- ", b"&a ", b"*a", b"<<: ", b"!!python/object/apply:os.system [id]", b"!!int x", b"2001-99-99", b"#",
        b"null", b"NaN", b"1e999", b"-1", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"x" * 200_000, b"\xf0\x9f\x98\x80",
        b"\xed\xa0\x80", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"%n", b"\x1b[2J", b"<script>", b"\xe2\x80\xae", b"\x0b",
        b"\x1c", b"\x85", b"\xe2\x80\xa8",
    ]
)  # fmt: skip


@st.composite
def damaged(draw: Any, content: bytes) -> bytes:
    """Return bytes that one to four edits make of a file's content, or bytes of no such file at all."""
    form = draw(st.sampled_from(["edit", "edit", "edit", "edit", "value", "value", "value", "value", "other"]))
    if form == "other":
        return bytes(
            draw(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(lambda t: t.encode("utf-8", "surrogatepass"))))
        )
    if form == "value" and (changed := draw(other_value(content))) is not None:
        return bytes(changed)
    for _ in range(draw(st.integers(1, 4))):
        content = draw(st.sampled_from(EDITS))(draw, content)
    return content


@st.composite
def other_value(draw: Any, content: bytes) -> bytes | None:
    """Put an odd value in the place of one of a JSON document, or of one of its lines; `None` where it is no JSON."""
    try:
        lines = content.decode().split("\n")
        whole = json.loads(content) if len(lines) == 1 or not lines[0].endswith("}") else None
        which = -1 if whole is not None else draw(st.integers(0, max(0, len([line for line in lines if line]) - 1)))
        value = whole if whole is not None else json.loads(lines[which])
    except ValueError:
        return None
    text = json.dumps(_replaced(draw, value)).encode()
    return (
        text
        if whole is not None
        else "\n".join(lines[:which]).encode() + b"\n" + text + b"\n" + "\n".join(lines[which + 1 :]).encode()
    )


def _replaced(draw: Any, value: Any) -> Any:
    """Return a value with something in it replaced, taken out, or added."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(value)))
        action = draw(st.integers(0, 5))
        if action == 0:
            return {key: one for key, one in value.items() if key != name}
        if action == 1:
            return {**value, str(draw(ODD_VALUES))[:50]: value[name]}
        return {**value, name: _replaced(draw, value[name])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _replaced(draw, value[place]), *value[place + draw(st.integers(0, 1)) :]]
    return draw(ODD_VALUES)


def _cut(draw: Any, content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


def _without(draw: Any, content: bytes) -> bytes:
    begin = draw(st.integers(0, len(content)))
    return content[:begin] + content[begin + draw(st.integers(1, 40)) :]


def _with(draw: Any, content: bytes) -> bytes:
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(PIECES) + content[place:]


def _over(draw: Any, content: bytes) -> bytes:
    place, piece = draw(st.integers(0, len(content))), draw(st.one_of(st.binary(min_size=1, max_size=8), PIECES))
    return content[:place] + piece + content[place + len(piece) :]


def _head(draw: Any, content: bytes) -> bytes:
    place, piece = draw(st.integers(0, min(len(content), 80))), draw(st.binary(min_size=1, max_size=4))
    return content[:place] + piece + content[place + len(piece) :]


def _flip(draw: Any, content: bytes) -> bytes:
    if not content:
        return content
    place, bit = draw(st.integers(0, len(content) - 1)), draw(st.integers(0, 7))
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def _twice(draw: Any, content: bytes) -> bytes:
    begin = draw(st.integers(0, len(content)))
    end = begin + draw(st.integers(1, 200))
    return content[:end] + content[begin:]


EDITS: list[Callable[[Any, bytes], bytes]] = [_cut, _without, _with, _with, _over, _head, _flip, _twice]
