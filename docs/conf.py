"""Settings of the documentation's site: ``make docs``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx
from sphinx_gallery.sorting import ExplicitOrder

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "make"))

from commands_page import page_of_commands  # noqa: E402
from recipe_page import page_of_recipes  # noqa: E402
from rooms_page import modules_of_room  # noqa: E402

project = "friedel"
author = "The friedel developers"
copyright = "the friedel developers; GPL-3.0-or-later"  # noqa: A001 - Sphinx asks for this name
version = release = version_of("friedel")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["make", "examples", "notebooks", "sg_execution_times.rst", "**/sg_execution_times.rst"]
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["config.cache"]

#: Options begin with two hyphens, not with a dash.
smartquotes = False

html_theme = "furo"
html_title = f"friedel {version}"
html_show_sphinx = False
html_copy_source = False

nitpicky = True
#: Types in signatures come from the program itself: those of other libraries, and of rooms within, have no entry.
nitpick_ignore_regex = [(r"py:.*", r"(?!friedel\b).*"), (r"py:.*", r"friedel\.\w+\..+")]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = False

sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "subsection_order": ExplicitOrder(["*"]),
    "capture_repr": ("_repr_html_", "__repr__"),
    "matplotlib_animations": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1,
    "abort_on_example_error": True,
    "parallel": 1,
    "download_all_examples": False,
}

#: Pages say ``<!-- written at the build: NAME -->`` where text made from the program belongs.
_MARK = re.compile(r"<!-- written at the build: (\w+)(?: (\w+))? -->")
_MADE: dict[str, Callable[..., str]] = {
    "commands": page_of_commands,
    "recipes": page_of_recipes,
    "modules": modules_of_room,
}


def fill_in(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Put the text made from the program into a page."""
    source[0] = _MARK.sub(lambda mark: _MADE[mark[1]](*filter(None, [mark[2]])), source[0])


def setup(app: Sphinx) -> None:
    """Register what this site adds to Sphinx."""
    app.connect("source-read", fill_in)
