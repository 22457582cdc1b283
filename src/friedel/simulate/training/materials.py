"""Crystals to simulate training data from, and which of them a network may never see in training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from friedel.core.errors import CrystalError
from friedel.crystal import (
    Crystal,
    load_isotypes,
    load_phase,
    load_prototypes,
    load_shipped_phases,
    read_cif,
    unit_cell_atoms,
)

Split: TypeAlias = Literal["train", "validation", "test"]
Origin: TypeAlias = Literal["library", "prototype", "isotype", "folder"]

#: Phases of the library on which networks are judged, and the parents of NMC811 that diffract almost like it.
TEST_PHASES = ("li", "lif", "li2o", "li2co3", "licoo2", "linio2", "nmc811-h1", "nmc811-h2", "nmc811-h3", "nmc811-o1",
               "nmc811-o3")  # fmt: skip
#: Shares of the compositions that are kept from training.
TEST_SHARE, VALIDATION_SHARE = 0.15, 0.15
SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
#: Cells of one composition and space group whose lengths agree within this are one material.
_SAME_CELL = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A crystal, where its structure comes from, and the split of data that it belongs to.

    Parameters
    ----------
    crystal
        The structure; its name is unique among materials that were loaded together.
    origin
        The phase library, the AFLOW prototypes of pymatgen, the table of isotypes, or a folder of CIF files.
    composition
        Elements in alphabetical order with their share of the atoms, such as "F0.5 Li0.5".
    split
        The same for all materials of one composition.
    """

    crystal: Crystal
    origin: Origin
    composition: str
    split: Split

    @property
    def name(self) -> str:
        """Name of the crystal."""
        return self.crystal.name


def load_materials(folder: Path | None = None) -> tuple[Material, ...]:
    """Load the materials for training: the ones that come with friedel, or a folder of CIF files.

    Parameters
    ----------
    folder
        Folder whose .cif files are taken instead, in the order of their names.

    Returns
    -------
    tuple
        Library, prototypes and isotypes in this order; a structure that an earlier source has is left out.

    Raises
    ------
    CrystalError
        If pymatgen, which ships the prototypes, is not installed, or the folder holds no CIF file or a faulty one.

    Notes
    -----
    The split hangs on the composition alone, by its SHA-256, so that neither polymorphs nor copies of one substance
    lie on both sides, and adding a material moves no other. Substances of other composition may be isotypes.
    """
    sources: tuple[tuple[Origin, tuple[Crystal, ...]], ...]
    if folder is None:
        sources = (("library", load_shipped_phases()), ("prototype", load_prototypes()), ("isotype", load_isotypes()))
    else:
        sources = (("folder", _read_folder(folder)),)
    held_out = {composition(load_phase(name)) for name in TEST_PHASES}
    kept: dict[tuple[str, int], list[Material]] = {}
    for origin, crystals in sources:
        for crystal in crystals:
            key = composition(crystal)
            twins = kept.setdefault((key, crystal.space_group.number), [])
            if not any(_is_same_cell(crystal, twin.crystal) for twin in twins):
                twins.append(Material(crystal, origin, key, "test" if key in held_out else split_of(key)))
    order = {origin: i for i, (origin, _) in enumerate(sources)}
    return tuple(sorted((m for twins in kept.values() for m in twins), key=lambda m: order[m.origin]))


def select_materials(materials: tuple[Material, ...], count: int) -> tuple[Material, ...]:
    """Choose ``count`` materials, taking the seven crystal systems in turn, so that rare systems are not crowded out.

    Within a system the order is that of a hash of the name. More materials contain the choice of fewer.

    Raises
    ------
    CrystalError
        If there are fewer than ``count``.
    """
    if not 1 <= count <= len(materials):
        raise CrystalError(f"{count} materials are asked for, and there are 1 to {len(materials)}. Lower --materials.")
    ranked = sorted(materials, key=lambda m: _hash_share(m.name))
    rows = zip_longest(*([m for m in ranked if m.crystal.crystal_system == system] for system in SYSTEMS))
    return tuple([m for row in rows for m in row if m is not None][:count])


def composition(crystal: Crystal) -> str:
    """Elements in alphabetical order with their share of the atoms to three digits, such as "F0.5 Li0.5"."""
    atoms = unit_cell_atoms(crystal)
    total = float(atoms.occupancy.sum())
    shares = {
        element: float(atoms.occupancy[np.array(atoms.elements) == element].sum()) / total
        for element in sorted(set(atoms.elements))
    }
    return " ".join(f"{element}{share:.3g}" for element, share in shares.items())


def split_of(composition_text: str) -> Split:
    """Split of a composition that is not held out by name: 15 % test, 15 % validation, the rest train."""
    share = _hash_share(composition_text)
    return "test" if share < TEST_SHARE else "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def _hash_share(text: str) -> float:
    """Uniform number in [0, 1) that hangs on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _is_same_cell(first: Crystal, second: Crystal) -> bool:
    lengths = np.sort([first.cell[:3], second.cell[:3]], axis=1)
    same_size = len(unit_cell_atoms(first)) == len(unit_cell_atoms(second))
    return same_size and bool((np.abs(lengths[0] / lengths[1] - 1) < _SAME_CELL).all())


def _read_folder(folder: Path) -> tuple[Crystal, ...]:
    paths = sorted(folder.glob("*.cif")) if folder.is_dir() else []
    if not paths:
        raise CrystalError(f"{folder} is no folder with .cif files. Name one, or leave the materials to friedel.")
    return tuple(read_cif(path) for path in paths)
