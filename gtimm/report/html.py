"""What every page of gtimm shares: templates, colours, and a policy that lets it load nothing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.core.files import whole_file
from gtimm.report.colours import COLOURS, GROUND

if TYPE_CHECKING:
    from jinja2 import Environment

_POLICY = "default-src 'none'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"


def templates() -> Environment:
    """Return the templates; what they print is escaped, and what they are not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(loader=PackageLoader("gtimm.report", "templates"), autoescape=True, undefined=StrictUndefined)


def render(name: str, values: dict[str, Any], *, styles: tuple[str, ...] = (), script: str = "", extra_style: str = "") -> str:
    """Return a page.

    Args:
        name: its template, which prints `policy`, `style` and `script`.
        values: for the template.
        styles: templates of style after the shared one.
        script: template of the script.
        extra_style: style that is no template.
    """
    from markupsafe import Markup

    found = templates()
    style = "".join(found.get_template(sheet).render(colours=COLOURS, ground=GROUND) for sheet in ("style.css.j2", *styles))
    style += extra_style
    code = found.get_template(script).render() if script else ""
    policy = f"{_POLICY}; style-src '{_hash(style)}'" + (f"; script-src '{_hash(code)}'" if code else "")
    # Both are files of this package, without results in them.
    return found.get_template(name).render(**values, policy=policy, style=Markup(style), script=Markup(code))  # noqa: S704


def write_text(path: Path, text: str) -> Path:
    """Write a text file, whole or not at all, with line ends as they are.

    Raises:
        StoreError: the folder cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
