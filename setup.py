"""What pyproject.toml cannot say: the README as an index page shows it.

The README's links are relative, as a checkout needs them; on an index page they would lead nowhere. Where `[project.urls]` states a
`Source`, links lead to the files of this version there and images come from there; otherwise links are text and images are left out.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
FENCED = re.compile(r"(^```.*?^```$)", flags=re.MULTILINE | re.DOTALL)
RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")


def index_page(readme: str, source: str | None, version: str) -> str:
    """Return a README whose links lead somewhere outside a checkout; fenced code stays as it is.

    Args:
        readme: Markdown.
        source: address of the repository at a code host, `None` where there is none.
        version: whose tag, `v<version>`, holds the files.
    """

    def mend(link: re.Match[str]) -> str:
        image, text, path = link.groups()
        if source is None:
            return "" if image else text
        return f"{image}[{text}]({source.rstrip('/')}/{'raw' if image else 'blob'}/v{version}/{path})"

    parts = FENCED.split(readme)  # code stands at the odd places
    return "".join(part if place % 2 else RELATIVE.sub(mend, part) for place, part in enumerate(parts))


if __name__ == "__main__":
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    setup(
        long_description=index_page(readme, project.get("urls", {}).get("Source"), project["version"]),
        long_description_content_type="text/markdown",
    )
