"""What the site adds to its Markdown pages: files of the repository's root, parts written from the code, and names in docstrings.

A page says where such a part goes by a comment, so that it reads well where nobody builds it:

    <!-- file: ../CHANGELOG.md -->     the file takes the place of the whole page, its links as from here
    <!-- generated: commands -->       what `GENERATED` says
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import generated

if TYPE_CHECKING:
    from docutils.nodes import Node, system_message
    from docutils.parsers.rst.states import Inliner
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2`*\s*?$", re.DOTALL | re.MULTILINE)
GENERATED: dict[str, Callable[[], str]] = {
    "commands": generated.commands,
    "configuration": generated.configuration,
    "methods": generated.methods,
    "gate": generated.gate,
    "exhibits": generated.exhibits,
    **{f"strategies {group}": lambda group=group: generated.strategies(group) for group in generated.GROUPS},
}


def rewritten(text: str, source: Path, page: Path) -> str:
    """Return Markdown with its relative links as from a page of the site.

    Folders and files that are not part of the site become plain text: the site stands alone. Those in `docs` stay links.

    Args:
        text: Markdown.
        source: the file that it is from.
        page: the page that it stands on.
    """
    homes = {path.resolve(): page for page in sorted(DOCS.rglob("*.md")) if (path := included(page)) is not None}

    def link(found: re.Match[str]) -> str:
        image, words, target = found.groups()
        path, mark, anchor = target.partition("#")
        if not path or ":" in path:
            return found[0]
        place = (source.parent / path).resolve()
        place = homes.get(place, place / "index.md" if (place / "index.md").is_file() else place)
        if not place.exists():
            raise FileNotFoundError(f"{source}: the link to {target} leads nowhere")
        if not place.is_relative_to(DOCS) or place.is_dir():
            return words
        return f"{image}[{words}]({Path(os.path.relpath(place, page.parent)).as_posix()}{mark}{anchor})"

    parts, at = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(link, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, LINK.sub(link, text[at:])])


def included(page: Path) -> Path | None:
    """Return the file that takes the place of a page, if there is one."""
    found = re.search(r"^<!-- file: (\S+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return None if found is None else page.parent / found[1]


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put files and generated parts in their places, before a page is parsed."""
    page = app.env.doc2path(docname)
    if Path(page).suffix != ".md":
        return
    path = included(Path(page))
    if path is not None:
        app.env.note_dependency(path.resolve())
    text = source[0] if path is None else path.read_text(encoding="utf-8")
    text = rewritten(text, Path(page) if path is None else path, Path(page))
    source[0] = re.sub(r"^<!-- generated: (.*?) -->$", lambda found: GENERATED[found[1]](), text, flags=re.MULTILINE)


def name_role(
    role: str, rawtext: str, text: str, lineno: int, inliner: Inliner, options: Any = None, content: Any = None
) -> tuple[list[Node], list[system_message]]:
    """Single backticks in a docstring: a name links to its entry where there is one; anything else is code."""
    from docutils import nodes
    from sphinx.domains.python import PyXRefRole

    if re.fullmatch(r"[A-Za-z_][\w.]*", text):
        return PyXRefRole()("py:obj", rawtext, text, lineno, inliner)
    return [nodes.literal(rawtext, text)], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all of it."""
    from docutils.parsers.rst import roles

    roles.register_local_role("name", name_role)
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
