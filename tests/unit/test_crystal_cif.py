"""Reading CIF files: the usual spellings, and files that nobody should trust."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from friedel.core.errors import CrystalError, FileError, FileTooLargeError, FriedelError, UnsupportedFileError
from friedel.crystal import DEFAULT_B_ISO_A2, chemical_formula, read_cif, reflections, unit_cell_atoms

LIF = """data_lif
_cell_length_a 4.0270(5)
_cell_length_b 4.0270(5)
_cell_length_c 4.0270(5)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Li1 Li+1 0 0 0
F1 F1- 0.5 0.5 0.5
"""


def write(folder: Path, text: str, name: str = "lif.cif") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_cell_sites_and_name_are_read(tmp_path: Path) -> None:
    crystal = read_cif(write(tmp_path, LIF))
    assert crystal.name == "lif"
    assert crystal.cell == (4.027, 4.027, 4.027, 90, 90, 90)
    assert crystal.space_group.number == 225
    assert [site.element for site in crystal.sites] == ["Li", "F"]
    assert chemical_formula(crystal) == "LiF"
    assert crystal.sites[0].b_iso_a2 == pytest.approx(DEFAULT_B_ISO_A2)


@pytest.mark.parametrize(
    "declaration",
    ["_symmetry_space_group_name_H-M 'Fm-3m'", "_space_group_IT_number 225", "_space_group_name_Hall '-F 4 2 3'",
     "_symmetry_Int_Tables_number 225", "_space_group_name_H-M_alt ?\n_symmetry_space_group_name_H-M 'F m -3 m'"],
)  # fmt: skip
def test_space_group_is_found_however_it_is_spelt(tmp_path: Path, declaration: str) -> None:
    crystal = read_cif(write(tmp_path, LIF.replace("_space_group_name_H-M_alt 'F m -3 m'", declaration)))
    assert crystal.space_group.number == 225


def test_operations_alone_are_enough(tmp_path: Path) -> None:
    loop = "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-x,-y,-z'\n"
    crystal = read_cif(write(tmp_path, LIF.replace("_space_group_name_H-M_alt 'F m -3 m'\n", loop)))
    assert crystal.space_group.symbol == "P -1"


def test_number_that_contradicts_the_symbol_is_refused(tmp_path: Path) -> None:
    text = LIF.replace("'F m -3 m'", "'F m -3 m'\n_space_group_IT_number 216")
    with pytest.raises(CrystalError, match="number 216"):
        read_cif(write(tmp_path, text))


def test_displacements_are_read_as_b(tmp_path: Path) -> None:
    text = LIF.replace("fract_z\n", "fract_z\n_atom_site_U_iso_or_equiv\n_atom_site_B_iso_or_equiv\n")
    text = text.replace("0 0 0\n", "0 0 0 0.01 ?\n").replace("0.5 0.5 0.5\n", "0.5 0.5 0.5 . 0.9(1)\n")
    lithium, fluorine = read_cif(write(tmp_path, text)).sites
    assert lithium.b_iso_a2 == pytest.approx(0.7896, abs=1e-4)
    assert fluorine.b_iso_a2 == pytest.approx(0.9)


def test_elements_come_from_labels_where_there_is_no_type(tmp_path: Path) -> None:
    text = LIF.replace("_atom_site_type_symbol\n", "").replace("Li1 Li+1", "Li1").replace("F1 F1-", "F1")
    assert [site.element for site in read_cif(write(tmp_path, text)).sites] == ["Li", "F"]


def test_label_that_may_be_two_elements_is_refused(tmp_path: Path) -> None:
    text = LIF.replace("_atom_site_type_symbol\n", "").replace("Li1 Li+1", "CO1").replace("F1 F1-", "F1")
    with pytest.raises(CrystalError, match="Co or C"):
        read_cif(write(tmp_path, text))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "lif.cif"
    path.write_bytes(("# Å\n" + LIF).encode(encoding))
    assert len(unit_cell_atoms(read_cif(path))) == 8


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("_cell_length_a 4.0270(5)", "_cell_length_a nan", "_cell_length_a"),
     ("_cell_length_a 4.0270(5)", "_cell_length_a 0", "between 1 and 200"),
     ("_cell_length_a 4.0270(5)", "_cell_length_a 1e30", "between 1 and 200"),
     ("_cell_length_b 4.0270(5)", "_cell_length_b 4.3", "does not have the symmetry"),
     ("_cell_length_b 4.0270(5)\n", "", "_cell_length_b"),
     ("_cell_length_a 4.0270(5)\n", "", "no block holds both"),
     ("_space_group_name_H-M_alt 'F m -3 m'\n", "", "no space group"),
     ("'F m -3 m'", "'Q m'", "not a space group"),
     ("0 0 0\n", "0 ? 0\n", "three fractions"),
     ("Li+1", "Qq", "not an element. Name one in _atom_site_type_symbol"),
     ("0.5 0.5 0.5\n", "0 0 0\n", "share the place"),
     ("_atom_site_fract_y\n", "_atom_site_fract_q\n", "1 to 5000 rows")],
)  # fmt: skip
def test_broken_structure_says_what_is_wrong_and_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in LIF
    with pytest.raises(CrystalError, match=message) as caught:
        read_cif(write(tmp_path, LIF.replace(old, new)))
    assert "lif.cif" in str(caught.value)


def test_two_structures_in_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CrystalError, match="2 structures"):
        read_cif(write(tmp_path, LIF + LIF.replace("data_lif", "data_other")))


def test_block_without_structure_is_passed_over(tmp_path: Path) -> None:
    assert read_cif(write(tmp_path, "data_global\n_journal_year 1999\n" + LIF)).name == "lif"


def test_one_structure_among_very_many_blocks_is_refused(tmp_path: Path) -> None:
    blocks = "".join(f"data_{i}\n_journal_year 1999\n" for i in range(200))
    with pytest.raises(UnsupportedFileError, match="201 blocks"):
        read_cif(write(tmp_path, blocks + LIF))


def test_journal_items_become_the_source(tmp_path: Path) -> None:
    head = "data_lif\n_journal_name_full 'Acta Cryst.'\n_journal_volume 8\n_journal_year 1955\n"
    assert read_cif(write(tmp_path, LIF.replace("data_lif\n", head))).source == "Acta Cryst., 8, 1955"


OPERATIONS = "loop_\n_space_group_symop_operation_xyz\n"
HOSTILE = {
    "empty": b"",
    "binary": bytes(range(256)) * 100,
    "random text": b"hello\nworld\n" * 1000,
    "a million loops": b"data_x\n" + b"loop_\n_a\n1\n" * 300_000,
    "many blocks": b"".join(b"data_%d\n_a 1\n" % i for i in range(5000)),
    "endless quote": b"data_x\n_a '" + b"x" * 1_000_000,
    "endless text": b"data_x\n_a\n;" + b"x\n" * 1_000_000,
    "million operations": LIF.replace(
        "'F m -3 m'", "?\nloop_\n_space_group_symop_operation_xyz\n" + "x,y,z\n" * 200_000
    ).encode(),
    "million sites": (LIF + "Li2 Li 0.1 0.2 0.3\n" * 150_000).encode(),
    "thousands of sites": (LIF + "".join(f"Li2 Li 0.{i:05d} 0.2 0.3\n" for i in range(1, 4900))).encode(),
    "too large": b"#" * (5 * 2**20),
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_ends_in_a_typed_error_quickly(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hostile.cif"
    path.write_bytes(HOSTILE[kind])
    start = time.perf_counter()
    with pytest.raises(FriedelError, match=r"hostile\.cif"):
        read_cif(path)
    assert time.perf_counter() - start < 5.0


def test_missing_large_and_binary_files_have_their_own_errors(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_cif(tmp_path / "absent.cif")
    with pytest.raises(FileError, match="no such file"):
        read_cif(tmp_path)
    for content, error in ((b"#" * (5 * 2**20), FileTooLargeError), (b"\0" * 10, UnsupportedFileError)):
        (tmp_path / "x.cif").write_bytes(content)
        with pytest.raises(error):
            read_cif(tmp_path / "x.cif")


@given(st.integers(0, len(LIF) - 1), st.integers(0, 60), st.text(max_size=12))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_file_gives_a_crystal_or_a_typed_error(tmp_path: Path, start: int, length: int, patch: str) -> None:
    text = LIF[:start] + patch + LIF[start + length :]
    path = tmp_path / "damaged.cif"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        crystal = read_cif(path)
    except FriedelError:
        return
    assert crystal.volume_a3 > 0


def test_structures_of_other_programs_are_read(shared_data: Path) -> None:
    crystal = read_cif(shared_data / "real" / "sped_fe_gphase" / "austeniteLP.cif")
    assert reflections(crystal, 1.0).d_a[0] == pytest.approx(3.59 / 3**0.5, abs=0.01)
