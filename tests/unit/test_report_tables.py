from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from friedel.core.phase_map import PhaseMap
from friedel.report.files import write_atomic
from friedel.report.tables import Table, csv_cell, mixture_table, shares_of, write_csv


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["LiF", "-2 0 2", "1 1 1|-2 0 0", "-1.5", "", "Li2O (111)", "a=b"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert csv_cell(text) == text


def test_negative_numbers_stay_numbers_and_nan_is_empty() -> None:
    assert csv_cell(-2.5) == "-2.5"
    assert csv_cell(np.float32(-0.5)) == "-0.5"
    assert csv_cell(float("nan")) == csv_cell(None) == ""


def test_csv_comes_back_whatever_the_names_hold(tmp_path: Path) -> None:
    rows = [{"phase": 'a "b", c\nd', "d_a": 1 / 3}]
    write_csv(tmp_path / "t.csv", ("phase", "d_a"), rows)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        (back,) = csv.DictReader(file)
    assert back["phase"] == rows[0]["phase"]
    assert float(back["d_a"]) == rows[0]["d_a"]


def test_row_with_a_misspelt_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="phse"):
        write_csv(tmp_path / "t.csv", ("phase",), [{"phse": 1}])


def test_table_with_a_short_row_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        Table(("a", "b"), ((1,),))


def test_numbers_of_a_column_have_the_decimals_that_it_asks_for() -> None:
    table = Table(("d", "deviation", "n"), ((2.48816, -0.001, 3), (1.9, -12.3456, None)), decimals=(3, 2, None))
    assert [table.texts(row) for row in table.rows] == [("2.488", "0.00", "3"), ("1.900", "−12.35", "–")]
    assert Table(("d",), ((2.48816,),)).texts((-2.48816,)) == ("−2.488",)


def test_table_with_decimals_for_some_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="decimals"):
        Table(("a", "b"), ((1.0, 2.0),), decimals=(1,))


def three_kinds() -> PhaseMap:
    presence = np.zeros((1, 4, 2), np.float32)
    presence[0, 0] = (0.9, 0.1)
    presence[0, 1] = (0.7, 0.8)
    presence[0, 3] = (1.0, 1.0)
    return PhaseMap(("O3", "O1"), presence, np.array([[True, True, True, False]]))


def test_shares_count_valid_positions_only_and_tell_how_sure() -> None:
    o3, o1 = shares_of(three_kinds())
    assert (o3.share, o1.share) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert "0.80" in o3.certainty
    assert shares_of(three_kinds(), 0.95)[0].certainty == "not found"


def test_mixture_table_parts_the_positions_without_overlap() -> None:
    rows = mixture_table(three_kinds()).rows
    assert {row[0]: row[1] for row in rows} == {"O3": 1, "O3 + O1": 1, "none of them": 1}


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError("injected")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="injected"):
        write_atomic(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
