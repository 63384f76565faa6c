"""Text of others on a terminal: names, messages and docstrings of plug-ins may hold codes that would steer it."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""Return a text in which what does not print stands as its code; line ends and tabs stay.

    Among these are escape codes, which colour, move and rename, and marks that turn the direction of writing.

    Example:
        >>> print(visible("red \x1b[31mname"))
        red \x1b[31mname
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
