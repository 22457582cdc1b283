"""Every promise names a test or a bench that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CITED = re.compile(r"`((?:tests|bench)/[\w/]+\.py)(?:::(\w+))?`")
ROWS = [line for line in (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
PROMISES = [row for row in ROWS if not row.startswith("| promise")]


@pytest.mark.parametrize("row", PROMISES)
def test_what_holds_a_promise_exists(row: str) -> None:
    cited = CITED.findall(row)
    assert cited
    for file, name in cited:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not name or name in defined
        assert ("*slow*" in row) or not file.startswith("tests/slow/")


def test_the_page_is_found_from_the_readme() -> None:
    assert "(docs/promises.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
