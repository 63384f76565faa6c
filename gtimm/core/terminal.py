"""What goes to a terminal: names of files, classes and plug-ins can come from anyone, and must not command it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType

# C0 but tab and line feed, DEL and C1: escape sequences, carriage returns that write over a line. And what turns the direction of text,
# which lets one name look like another (Unicode Standard Annex 9, section 2).
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    r"""Return text with its control characters written out.

    Example:
        >>> harmless("cat\x1b[2J.png")
        'cat\\x1b[2J.png'
    """
    return _COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)


def say(line: str, *, err: bool = False) -> None:
    """Print one line; line ends and tabs in it are written out too."""
    text = harmless(line).replace("\n", "\\n").replace("\t", "\\t")
    file = sys.stderr if err else sys.stdout
    print(text.encode(file.encoding or "utf-8", "backslashreplace").decode(file.encoding or "utf-8"), file=file)


def notes_of(error: BaseException) -> list[str]:
    """Return what was going on when an error, or the user's interruption, came up."""
    return list(getattr(error, "__notes__", []))


def terminal(**options: Any) -> Console:
    """Return a rich console that prints no control character but its own; options as of `rich.console.Console`."""
    from rich.console import Console

    found = Console(**options)
    found.push_render_hook(_Hook())  # type: ignore[arg-type]
    return found


class _Hook:
    """Wraps whatever is printed; see `rich.console.RenderHook`, which is imported with rich."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [_Harmless(one) for one in renderables]


class _Harmless:
    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Any]:
        from rich.segment import Segment

        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)
