"""Crystal structures, their reflections and zone nets, and the phase library; imports gemmi and spglib when used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from friedel.crystal.atoms import UnitCellAtoms, chemical_formula, density_g_cm3, unit_cell_atoms
    from friedel.crystal.cif import read_cif
    from friedel.crystal.cif_text import cif_text
    from friedel.crystal.factors import scattering_factor_a, structure_factors
    from friedel.crystal.hkl import Reflections, all_reflections, reflections
    from friedel.crystal.isotypes import load_isotypes
    from friedel.crystal.library import (
        PhaseSet,
        add_phase,
        is_cif_path,
        load_phase,
        load_phases,
        load_shipped_phases,
        phase_names,
    )
    from friedel.crystal.lookalikes import lookalikes_of, restacked_of
    from friedel.crystal.prototypes import load_prototypes
    from friedel.crystal.spacegroup import SpaceGroup, space_group, space_group_of_operations
    from friedel.crystal.structure import DEFAULT_B_ISO_A2, Crystal, Site
    from friedel.crystal.symmetrise import crystal_of_atoms
    from friedel.crystal.zones import ZoneNet, is_hexagonal_net, ring_radii_inv_a, zone_axes, zone_frame, zone_net

__all__ = [
    "DEFAULT_B_ISO_A2",
    "Crystal",
    "PhaseSet",
    "Reflections",
    "Site",
    "SpaceGroup",
    "UnitCellAtoms",
    "ZoneNet",
    "add_phase",
    "all_reflections",
    "chemical_formula",
    "cif_text",
    "crystal_of_atoms",
    "density_g_cm3",
    "is_cif_path",
    "is_hexagonal_net",
    "load_isotypes",
    "load_phase",
    "load_phases",
    "load_prototypes",
    "load_shipped_phases",
    "lookalikes_of",
    "phase_names",
    "read_cif",
    "reflections",
    "restacked_of",
    "ring_radii_inv_a",
    "scattering_factor_a",
    "space_group",
    "space_group_of_operations",
    "structure_factors",
    "unit_cell_atoms",
    "zone_axes",
    "zone_frame",
    "zone_net",
]

_HOMES = {
    "atoms": ("UnitCellAtoms", "chemical_formula", "density_g_cm3", "unit_cell_atoms"),
    "cif": ("read_cif",),
    "cif_text": ("cif_text",),
    "factors": ("scattering_factor_a", "structure_factors"),
    "hkl": ("Reflections", "all_reflections", "reflections"),
    "isotypes": ("load_isotypes",),
    "library": (
        "PhaseSet",
        "add_phase",
        "is_cif_path",
        "load_phase",
        "load_phases",
        "load_shipped_phases",
        "phase_names",
    ),
    "lookalikes": ("lookalikes_of", "restacked_of"),
    "prototypes": ("load_prototypes",),
    "spacegroup": ("SpaceGroup", "space_group", "space_group_of_operations"),
    "structure": ("DEFAULT_B_ISO_A2", "Crystal", "Site"),
    "symmetrise": ("crystal_of_atoms",),
    "zones": ("ZoneNet", "is_hexagonal_net", "ring_radii_inv_a", "zone_axes", "zone_frame", "zone_net"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
