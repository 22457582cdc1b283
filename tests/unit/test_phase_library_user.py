"""The user's own phases, and the command line of the library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from friedel.cli.phases import app
from friedel.core.errors import CrystalError, FileError
from friedel.crystal import add_phase, load_phase, phase_names

MINE = """data_mine
_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P m -3 m'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Po1 0 0 0
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "phases"
    monkeypatch.setenv("FRIEDEL_PHASES", str(folder))
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "My Phase.cif"
    path.write_text(MINE)
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_added_phase_is_known_by_its_name(library: Path, mine: Path) -> None:
    assert add_phase(mine).name == "my-phase"
    assert "my-phase" in phase_names()
    assert load_phase("My Phase").name == "my-phase"
    assert [path.name for path in library.iterdir()] == ["my-phase.cif"]


def test_adding_twice_never_overwrites(library: Path, mine: Path) -> None:
    add_phase(mine, "po")
    before = (library / "po.cif").read_bytes()
    mine.write_text(MINE.replace("4.0", "5.0"))
    with pytest.raises(CrystalError, match="in the library already"):
        add_phase(mine, "po")
    assert (library / "po.cif").read_bytes() == before


@pytest.mark.parametrize("name", ["lif", "LiF", "gold", "../evil", "", ".hidden", "a/b", "x.cif", "ä"])
def test_names_that_are_taken_or_malformed_are_refused(library: Path, mine: Path, name: str) -> None:
    with pytest.raises(CrystalError, match="--name"):
        add_phase(mine, name)
    assert not library.exists() or not list(library.iterdir())


def test_impossible_structure_is_not_added(library: Path, mine: Path) -> None:
    mine.write_text(MINE.replace("4.0", "nan"))
    with pytest.raises(CrystalError):
        add_phase(mine)
    assert not library.exists()


def test_folder_that_cannot_be_written_is_named(library: Path, mine: Path) -> None:
    library.write_text("a file where the folder should be")
    with pytest.raises(FileError, match="FRIEDEL_PHASES"):
        add_phase(mine)


def test_path_to_a_cif_is_loaded(mine: Path) -> None:
    assert load_phase(mine).name == "My Phase"


def test_list_finds_by_formula(library: Path) -> None:
    rows = json.loads(run("list", "--search", "LiFePO4", "--json"))
    assert [row["name"] for row in rows] == ["lifepo4"]
    assert "nmc811-o3" in run("list", "--search", "nmc811")


def test_show_prints_cell_density_and_source(library: Path) -> None:
    facts = json.loads(run("show", "LiF", "--json"))
    assert facts["cell"] == [4.027, 4.027, 4.027, 90, 90, 90]
    assert facts["density_g_cm3"] == pytest.approx(2.64, abs=0.01)
    assert len(facts["sites"]) == 2
    assert "Swanson" in run("show", "lif")


def test_reflections_are_listed_with_multiplicity(library: Path) -> None:
    rows = json.loads(run("reflections", "si", "--d-min-a", "1.5", "--json"))
    assert [row["hkl"] for row in rows] == [[1, 1, 1], [2, 2, 0], [3, 1, 1]]
    assert [row["multiplicity"] for row in rows] == [8, 12, 24]
    assert "3.1356" in run("reflections", "si")


def test_reflections_of_a_zone_tell_the_extinct_ones(library: Path) -> None:
    rows = json.loads(run("reflections", "nmc811-o3", "--zone", "0,0,1", "--d-min-a", "1.4", "--json"))
    assert [row["is_extinct"] for row in rows] == [True] * 6 + [False] * 6


@pytest.mark.parametrize("arguments", [["--zone", "0,0"], ["--zone", "a,b,c"], ["--zone", "0,0,0"], ["--d-min-a", "0"]])
def test_impossible_questions_are_refused(library: Path, arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["reflections", "si", *arguments], catch_exceptions=False)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_add_reports_what_was_read(library: Path, mine: Path) -> None:
    assert run("add", str(mine), "--name", "po") == "po: Po, P m -3 m\n"


def test_part_of_a_name_brings_up_the_names_that_hold_it() -> None:
    with pytest.raises(CrystalError, match=r"Close names: nmc811-o1"):
        load_phase("o1")
