"""Numbers of the page of claims are those of the other pages."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

import claims

PAGE = """# A page

| electrons per pattern | 100 | 300 |
| --- | --- | --- |
| none | 0.11 | 0.22 |
| Gaussian | 0.33 | 0.44 |

Text | with a bar.

| electrons per pattern | 100 | 300 |
| --- | --- | --- |
| none | 9.0 / 0.1 | 8.0 / 0.2 |
"""


def test_a_cell_is_found_by_page_row_column_and_number_of_its_table(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "FOLDER", tmp_path)
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    assert claims.cell("page", "electrons", "none", "300") == "0.22"
    assert claims.cell("page", "electrons", "Gaussian", "100") == "0.33"
    assert claims.cell("page", "electrons", "none", "300", which=1) == "8.0 / 0.2"
    with pytest.raises(IndexError):
        claims.cell("page", "electrons", "Gaussian", "300", which=1)


def test_tables_are_read_without_the_line_below_their_head():
    first, second = claims.tables_of(PAGE)
    assert [len(first), len(second)] == [3, 2]
    assert first[0] == ["electrons per pattern", "100", "300"]
