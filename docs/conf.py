"""The site of the documentation: `make docs` builds it into build/docs, without a network."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import gtimm  # noqa: E402 - of this checkout

project, author, copyright = "gtimm", "The gtimm developers", "the gtimm developers"
release = gtimm.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "pages"]
exclude_patterns = ["_ext"]
suppress_warnings = ["myst.header"]  # options of a class are a list under a heading of level 3, whatever stands above
html_theme = "furo"
html_title = f"gtimm {release}"
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
highlight_language = "text"  # of fences without a language: commands
smartquotes = False  # "--dry-run" stays what it is
default_role = "name"  # single backticks in docstrings; see _ext/pages.py
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!gtimm\.).*"),  # of Python, NumPy, torch and others: no inventory is fetched
    ("py:.*", r"gtimm\.(core|experiments)\.(?!pool|imputer|errors|plugin|missing|dataset|pipeline).*"),  # inner parts
    ("py:.*", r"gtimm\.core\.errors\.AnyError"),  # a type variable
]
