"""Anchors of links lie on the pages that they name, and every page is reached from the site's index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
CODE = re.compile(r"^```.*?^```$", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s#]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
#: Written when the site is built.
AT_THE_BUILD = {"gallery/index"}


def slugs_of(page: Path) -> set[str]:
    """Anchors of the headings of a page, as forges and the site make them."""
    headings = HEADING.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_anchors_exist(page: Path) -> None:
    links = [m for m in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))) if "://" not in m[0]]
    assert [m for m in links if m[1] not in slugs_of((page.parent / m[0]) if m[0] else page)] == []


def test_the_check_sees_headings() -> None:
    assert "in-a-notebook" in slugs_of(DOCS / "howto" / "browser.md")
    assert "no-such-heading" not in slugs_of(DOCS / "howto" / "browser.md")


def children_of(page: Path) -> set[Path]:
    """Pages in the tables of contents of a page."""
    found: set[Path] = set()
    for block in TOCTREE.findall(page.read_text(encoding="utf-8")):
        names = [line for line in block.splitlines() if line and not line.startswith(":")]
        for name in names:
            if "*" in name:
                found |= set(page.parent.glob(f"{name}.md"))
            elif name not in AT_THE_BUILD:
                found.add(page.parent / f"{name}.md")
    return found


def test_every_page_is_in_a_table_of_contents() -> None:
    reached, waiting = set[Path](), {DOCS / "index.md"}
    while waiting:
        reached |= waiting
        waiting = {child for page in waiting for child in children_of(page)} - reached
    assert {page for page in reached if not page.exists()} == set()
    assert set(DOCS.rglob("*.md")) - reached == set()


def test_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert cited is not None
    assert cited[1] == version
    assert changes[0] == version


def test_licences_of_all_requirements_are_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (project["optional-dependencies"][name] for name in ("gui", "notebook", "cluster", "train"))
    lines = [*project["dependencies"], *(line for lines in extras for line in lines)]
    wanted = {re.split(r"[\[>=<]", line)[0].lower() for line in lines} - {"friedel"}
    page = (DOCS / "reference" / "licences.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| (\S+) \| [^|]+ \| ([^|]*) \|$", page, flags=re.MULTILINE))
    assert {name for name in wanted if not listed.get(name, "").strip()} == set()
