"""Fetching structures from data bases into a folder of CIF files, with a manifest of what came from where."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.errors import CrystalError, FileError
from friedel.crystal.atoms import chemical_formula, unit_cell_atoms
from friedel.crystal.cif import read_cif
from friedel.crystal.cif_text import cif_text
from friedel.crystal.fetch_sources import RemoteStructure
from friedel.crystal.library import is_shipped_name
from friedel.crystal.structure import Crystal
from friedel.crystal.symmetrise import SYMMETRY_TOLERANCE_A, crystal_of_atoms

MANIFEST = "fetched.jsonl"
#: The tolerance with which the Materials Project finds its space groups.
_LOOSE_TOLERANCE_A = 0.1
#: No two atoms are nearer; H2 has 0.74 Å.
_CLOSEST_A = 0.6


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one structure: the path of its CIF file, or why it was left out."""

    id: str
    path: Path | None
    formula: str = ""
    space_group: str = ""
    problem: str = ""
    was_there: bool = False


def fetch_structures(
    structures: Iterable[RemoteStructure], folder: Path, *, report: Callable[[Fetched], None] | None = None
) -> tuple[Fetched, ...]:
    """Write each structure as a CIF file in the conventional cell of its space group.

    Files that are there are kept, so that an interrupted fetch goes on where it stopped. Each new file, and each
    structure that is left out, gets a line in ``fetched.jsonl``: id, address, versions, times, symmetry, SHA-256.

    Parameters
    ----------
    folder
        Folder to write to; made if need be.
    report
        Called with the fate of each structure at once.

    Raises
    ------
    FileError
        If the folder cannot be written to.
    FetchError
        From the iterator of structures.
    """
    fates = []
    for structure in structures:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            fate = _store(structure, folder)
        except OSError as error:
            raise FileError(folder, f"cannot be written to: {error.strerror}", "Pass another --out.") from None
        fates.append(fate)
        if report is not None:
            report(fate)
    return tuple(fates)


def crystal_of_structure(structure: RemoteStructure) -> tuple[Crystal, float]:
    """Make a crystal of a server's structure, and say within which tolerance in Å it has its symmetry.

    The symmetry is sought within 0.01 Å. Where the server names another space group, 0.1 Å is tried, and a structure
    that has the named one in neither is refused.

    Raises
    ------
    CrystalError
        If the structure is incomplete, impossible, or contradicts what the server says about it.
    """
    cell, wanted = structure.cell(), structure.facts.get("space_group")
    found: list[str] = []
    for tolerance_a in (SYMMETRY_TOLERANCE_A, _LOOSE_TOLERANCE_A):
        crystal = crystal_of_atoms(_name_of(structure.id), cell.basis_a, cell.fract, cell.contents,
                                   source=_source(structure), tolerance_a=tolerance_a)  # fmt: skip
        if wanted is None or crystal.space_group.number == wanted:
            _check_distances(crystal)
            return crystal, tolerance_a
        found.append(str(crystal.space_group.number))
    raise CrystalError(f"its atoms have space group {' or '.join(found)}, and the server says {wanted}.")


def _store(structure: RemoteStructure, folder: Path) -> Fetched:
    name = _name_of(structure.id)
    path = folder / f"{name}.cif"
    line: dict[str, Any] = {"id": structure.id, "url": structure.url, **structure.facts,
                            "fetched_utc": datetime.now(UTC).isoformat(timespec="seconds")}  # fmt: skip
    if path.exists():
        return Fetched(structure.id, path, was_there=True)
    try:
        if is_shipped_name(name):
            raise CrystalError(f"the library has a phase named {name} already.")
        crystal, tolerance_a = crystal_of_structure(structure)
        crystal, text = _written(crystal, folder)
    except CrystalError as error:
        problem = str(error)
        _append(folder, line | {"file": None, "problem": problem})
        return Fetched(structure.id, None, problem=problem)
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)
    symmetry = {"space_group": crystal.space_group.number, "symbol": crystal.space_group.symbol}
    formula, digest = chemical_formula(crystal), hashlib.sha256(text.encode()).hexdigest()
    _append(folder, line | {"file": path.name, "formula": formula, **symmetry, "tolerance_a": tolerance_a,
                            "sha256": digest})  # fmt: skip
    return Fetched(structure.id, path, formula, crystal.space_group.symbol)


def _written(crystal: Crystal, folder: Path) -> tuple[Crystal, str]:
    """Text of the CIF file, and the crystal as friedel reads it back: what is stored is known to be readable."""
    text = cif_text(crystal)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        path = Path(scratch) / f"{crystal.name}.cif"
        path.write_text(text, encoding="utf-8")
        again = read_cif(path)
    if len(unit_cell_atoms(again)) != len(unit_cell_atoms(crystal)):
        raise CrystalError("it is not the same after it was written and read. Please report this.")
    return again, text


def _append(folder: Path, line: dict[str, Any]) -> None:
    with (folder / MANIFEST).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def _name_of(structure_id: str) -> str:
    """Name of the phase: the identifier in lower case, with nothing that a file name or ``--phases`` minds."""
    return re.sub(r"[^a-z0-9._+-]+", "-", structure_id.lower()).strip("-.")[:64]


def _source(structure: RemoteStructure) -> str:
    facts = structure.facts
    version = facts.get("database_version") or facts.get("api_version")
    changed = f", last changed {facts['last_modified']}" if facts.get("last_modified") else ""
    return f"{structure.id} of the data base {facts.get('provider')} ({structure.url}), version {version}{changed}"


def _check_distances(crystal: Crystal) -> None:
    """Raise CrystalError where two atoms that are surely there are nearer than any bond."""
    atoms = unit_cell_atoms(crystal)
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    for i in range(len(atoms)):
        offset = atoms.fract - atoms.fract[i]
        offset -= np.rint(offset)
        distance = np.linalg.norm((offset[:, None] + steps) @ crystal.direct_basis_a, axis=-1)
        together = (atoms.occupancy + atoms.occupancy[i] > 1.001)[:, None]
        near = float(distance[together & (distance > 1e-6)].min(initial=np.inf))
        if near < _CLOSEST_A:
            raise CrystalError(f"two of its atoms are {near:.2f} Å apart, nearer than any bond.")
