"""The licence that the metadata of an installed package states: what a plug-in is under whose class says nothing.

Metadata is text that anyone writes. What is read here is an SPDX expression, or a spelling that means one licence and no other; anything
else is unknown, so that a remark such as "MIT, for research only" allows nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_ID = r"\(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*"
_EXPRESSION = re.compile(rf"{_ID}(?: (?:AND|OR|WITH) {_ID})*")
_FIELDS = ("License-Expression", "License", "Classifier")
_SPELT = {
    "Apache-2.0": ("apache 2", "apache 2.0", "apache license 2.0", "apache license, version 2.0", "apache software license 2.0"),
    "MIT": ("mit license", "the mit license"),
    "BSD-2-Clause": ("bsd 2-clause", "bsd 2-clause license", "simplified bsd license"),
    "BSD-3-Clause": ("bsd 3-clause", "bsd 3-clause license", "new bsd license", "modified bsd license"),
    "ISC": ("isc license", "isc license (iscl)"),
    "MPL-2.0": ("mpl 2.0", "mozilla public license 2.0", "mozilla public license 2.0 (mpl 2.0)"),
    "GPL-3.0-only": ("gplv3", "gnu general public license v3 (gplv3)"),
    "GPL-3.0-or-later": ("gplv3+", "gnu general public license v3 or later (gplv3+)"),
    "LGPL-3.0-or-later": ("lgplv3+", "gnu lesser general public license v3 or later (lgplv3+)"),
}
"""How `License` and the classifiers of PyPI spell the licences known to gtimm; "BSD" alone may be any of four and is not here."""
_NAMES = {spelling: name for name, spellings in _SPELT.items() for spelling in (name.lower(), *spellings)}
_NAMES["apache software license"] = "Apache-2.0"  # the only classifier of Apache's licences


def package_licence(package: Distribution) -> str:
    """Return the licence of a package as an SPDX expression, empty where its metadata states none that is clear.

    `License-Expression` is taken as it is. Before it there were `License` and classifiers: all that they state must be clear, and all of
    it holds (`AND`); the text of a licence in `License` counts only where no classifier says which it is.
    """
    try:
        metadata = package.metadata
        fields = {name: [str(one) for one in metadata.get_all(name) or ()] for name in _FIELDS}
    except Exception:  # metadata that is damaged states nothing
        return ""
    expressions, texts, classifiers = fields.values()
    if expressions:
        return expressions[0] if _EXPRESSION.fullmatch(expressions[0]) else ""
    topics = [one.rsplit(" :: ", 1)[1].strip() for one in classifiers if one.startswith("License :: ")]
    stated = [one for one in topics if one != "OSI Approved"]
    stated += [text for text in texts if text.strip() not in ("", "UNKNOWN") and not (stated and "\n" in text.strip())]
    names = dict.fromkeys(_NAMES.get(" ".join(one.lower().split()), "") for one in stated)
    return "" if "" in names else " AND ".join(names)
