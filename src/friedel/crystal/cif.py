"""Reading crystal structures from CIF files that nobody has checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import gemmi

from friedel.core.errors import CorruptFileError, CrystalError, FileError, FileTooLargeError, UnsupportedFileError
from friedel.crystal.atoms import unit_cell_atoms
from friedel.crystal.spacegroup import SpaceGroup, space_group, space_group_of_hall, space_group_of_operations
from friedel.crystal.structure import DEFAULT_B_ISO_A2, MAX_ATOMIC_NUMBER, MAX_B_ISO_A2, Cell, Crystal, Site

MAX_BYTES = 4 * 2**20
MAX_BLOCKS = 100
MAX_LOOPS = 1000
MAX_SITES = 5000

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_SYMBOL = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M", "_space_group_name_H-M_full")
_NUMBER = ("_space_group_IT_number", "_symmetry_Int_Tables_number")
_SITE = ("label", "fract_x", "fract_y", "fract_z", "?type_symbol", "?occupancy", "?B_iso_or_equiv", "?U_iso_or_equiv")


def read_cif(path: str | Path) -> Crystal:
    """Read the one crystal structure that a CIF file holds; its name is the file's, without ".cif".

    The space group comes from the operations of symmetry, else from the Hall symbol, else from the Hermann-Mauguin
    symbol, else from the number. B is 0.5 Å² for a site that states neither B_iso nor U_iso.

    Raises
    ------
    FileError
        If the file is missing, above 4 MiB, binary, or not CIF.
    CrystalError
        If it holds no structure or more than one, or an impossible one.
    """
    path = Path(path)
    block = _structure_block(path, _parse(path, _read_text(path)))
    try:
        cell = _cell(block)
        group = _space_group(block, cell)
        crystal = Crystal(path.stem, cell, group, _sites(block), _source(block), _formula_units(block))
        unit_cell_atoms(crystal)
    except CrystalError as error:
        raise CrystalError(f"{path}: {error}") from None
    return crystal


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise FileError(path, "there is no such file", "Check the path of the CIF file.")
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}", "Check its permissions.") from None
    if len(raw) > MAX_BYTES:
        raise FileTooLargeError(path, f"is larger than {MAX_BYTES} bytes", "A CIF of one crystal is far smaller.")
    if b"\0" in raw:
        raise UnsupportedFileError(path, "is binary, not CIF text", "Export the structure as CIF.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _parse(path: Path, text: str) -> gemmi.cif.Document:
    n_blocks = len(re.findall(r"^data_", text, re.MULTILINE | re.IGNORECASE))
    n_loops = len(re.findall(r"^\s*loop_", text, re.MULTILINE | re.IGNORECASE))
    if n_blocks > MAX_BLOCKS or n_loops > MAX_LOOPS:
        problem = f"holds {n_blocks} blocks and {n_loops} loops, more than {MAX_BLOCKS} and {MAX_LOOPS}"
        raise UnsupportedFileError(path, problem, "Save the one structure that you need in a file of its own.")
    try:
        return gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        raise CorruptFileError(path, f"is not CIF: {error}", "Export the structure again.") from None


def _structure_block(path: Path, document: gemmi.cif.Document) -> gemmi.cif.Block:
    blocks = [b for b in document if b.find_value("_cell_length_a") and b.find_values("_atom_site_fract_x")]
    if len(blocks) == 1:
        return blocks[0]
    if blocks:
        names = ", ".join(b.name for b in blocks[:5])
        raise CrystalError(f"{path}: holds {len(blocks)} structures ({names}). Save the one that you mean in a file.")
    raise CrystalError(
        f"{path}: no block holds both a cell (_cell_length_a) and atomic sites (_atom_site_fract_x). "
        "A CIF of a diffraction experiment without its result? Export the structure itself."
    )


def _cell(block: gemmi.cif.Block) -> Cell:
    values = tuple(gemmi.cif.as_number(block.find_value(f"_cell_{name}") or "?") for name in _CELL)
    if missing := [f"_cell_{name}" for name, x in zip(_CELL, values, strict=True) if not math.isfinite(x)]:
        raise CrystalError(f"the cell lacks a number for {', '.join(missing)}.")
    return values  # type: ignore[return-value]


def _text(block: gemmi.cif.Block, *tags: str) -> str:
    """First value among the tags that is neither absent nor ``?`` nor ``.``, on one line; empty if there is none."""
    for tag in tags:
        column = block.find_values(tag)
        values = [gemmi.cif.as_string(x) for x in column if not gemmi.cif.is_null(x)]
        if values:
            return " ".join(", ".join(values).split())
    return ""


def _space_group(block: gemmi.cif.Block, cell: Cell) -> SpaceGroup:
    number = _text(block, *_NUMBER)
    finders: tuple[tuple[object, Callable[[], SpaceGroup]], ...] = (
        (triplets := _operations(block), lambda: space_group_of_operations(triplets)),
        (hall := _text(block, *_HALL), lambda: space_group_of_hall(hall)),
        (symbol := _text(block, *_SYMBOL), lambda: space_group(symbol, alpha_deg=cell[3], gamma_deg=cell[5])),
        (number, lambda: space_group(number, alpha_deg=cell[3], gamma_deg=cell[5])),
    )
    find = next((finder for given, finder in finders if given), None)
    if find is None:
        raise CrystalError("no space group: add _space_group_name_H-M_alt or the operations of symmetry.")
    group = find()
    if number.isdigit() and int(number) != group.number:
        raise CrystalError(
            f"the file calls its space group number {number}, but its operations or symbol are those of number "
            f"{group.number} ({group}). Correct one of the two."
        )
    return group


def _operations(block: gemmi.cif.Block) -> list[str]:
    for tag in _OPERATIONS:
        if column := list(block.find_values(tag)):
            return [gemmi.cif.as_string(x) for x in column]
    return []


def _sites(block: gemmi.cif.Block) -> tuple[Site, ...]:
    table = block.find("_atom_site_", list(_SITE))
    if not 1 <= len(table) <= MAX_SITES:
        raise CrystalError(f"the loop of atomic sites must hold 1 to {MAX_SITES} rows, got {len(table)}.")
    return tuple(_site([row.get(i) for i in range(len(_SITE))]) for row in table)


def _site(row: list[str | None]) -> Site:
    label = gemmi.cif.as_string(row[0] or "?")
    x, y, z = (gemmi.cif.as_number(value or "?") for value in row[1:4])
    symbol = gemmi.cif.as_string(row[4]) if row[4] else ""
    occupancy = _number_or(row[5], 1.0, label, "occupancy")
    u_iso = _number_or(row[7], DEFAULT_B_ISO_A2 / (8 * math.pi**2), label, "U_iso")
    b_iso = _number_or(row[6], 8 * math.pi**2 * u_iso, label, "B_iso")
    if b_iso > MAX_B_ISO_A2:
        # Drawing programs write U = 1 Å^2, that is B = 79 Å^2, for "not known"; no atom of a crystal moves that far.
        b_iso = DEFAULT_B_ISO_A2
    return Site(label, _element(symbol) if symbol else _element_of_label(label), (x, y, z), occupancy, b_iso)


def _number_or(value: str | None, default: float, label: str, name: str) -> float:
    if value is None or gemmi.cif.is_null(value):
        return default
    number = float(gemmi.cif.as_number(value))
    if not math.isfinite(number):
        raise CrystalError(f"site {label}: {name} is {value!r}, not a number.")
    return number


def _element(symbol: str) -> str:
    """Element of a type symbol such as "Li", "Li+1", "FE3+" or "O2-"."""
    letters = re.match(r"[A-Za-z]{0,2}", symbol.strip())
    name = letters.group().capitalize() if letters else ""
    for candidate in (name, name[:1]):
        if _is_element(candidate):
            return candidate
    raise CrystalError(f"{symbol!r} is not an element. Name one in _atom_site_type_symbol, such as Ni or O2-.")


def _element_of_label(label: str) -> str:
    """Element of a label such as "Li1"; "CO1" may be cobalt or carbon and is refused."""
    letters = re.match(r"[A-Za-z]{0,2}", label)
    name = letters.group() if letters else ""
    if name.isupper() and len(name) == 2 and _is_element(name.capitalize()) and _is_element(name[0]):
        raise CrystalError(f"site {label}: {name.capitalize()} or {name[0]}? Add a column _atom_site_type_symbol.")
    return _element(name)


def _is_element(name: str) -> bool:
    element = gemmi.Element(name)
    return bool(name) and element.name == name and 1 <= element.atomic_number <= MAX_ATOMIC_NUMBER


def _formula_units(block: gemmi.cif.Block) -> int | None:
    text = _text(block, "_cell_formula_units_Z")
    return int(text) if text.isdecimal() and 1 <= int(text) <= MAX_SITES else None


def _source(block: gemmi.cif.Block) -> str:
    if references := _text(block, "_publ_section_references"):
        return " ".join([references, _text(block, "_publ_section_comment")]).rstrip()
    authors = _text(block, "_publ_author_name", "_citation_author_name")
    journal = _text(block, "_journal_name_full", "_citation_journal_full")
    volume = _text(block, "_journal_volume", "_citation_journal_volume")
    page = _text(block, "_journal_page_first", "_citation_page_first")
    year = _text(block, "_journal_year", "_citation_year")
    return ", ".join(part for part in (authors, journal, volume, page, year) if part)
