"""Writing crystal structures as CIF."""

from __future__ import annotations

import textwrap
from fractions import Fraction

import gemmi

from friedel.crystal.atoms import chemical_formula
from friedel.crystal.spacegroup import SpaceGroup
from friedel.crystal.structure import DEFAULT_B_ISO_A2, Crystal

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


def cif_text(crystal: Crystal) -> str:
    """Text of a CIF file that ``read_cif`` reads back as the same crystal.

    All operations of the space group are written out, so that no setting is left to the reader. B is written where it
    is not the one that friedel takes for sites without.
    """
    lines = [f"data_{crystal.name.replace(' ', '_')}", "", f"_chemical_formula_sum  '{chemical_formula(crystal)}'"]
    if crystal.formula_units is not None:
        lines.append(f"_cell_formula_units_Z  {crystal.formula_units}")
    lines += [f"_cell_{name}  {value:.8g}" for name, value in zip(_CELL, crystal.cell, strict=True)]
    group = crystal.space_group
    lines += ["", f"_space_group_name_H-M_alt  '{group.symbol}'", f"_space_group_IT_number  {group.number}"]
    lines += ["", "loop_", "_space_group_symop_operation_xyz", *(f"'{t}'" for t in operation_triplets(group)), ""]
    columns = ["label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy"]
    has_b = any(site.b_iso_a2 != DEFAULT_B_ISO_A2 for site in crystal.sites)
    lines += ["loop_", *(f"_atom_site_{c}" for c in [*columns, *(["B_iso_or_equiv"] if has_b else [])])]
    for site in crystal.sites:
        numbers = [*site.fract_xyz, site.occupancy, *([site.b_iso_a2] if has_b else [])]
        lines.append(" ".join([site.label, site.element, *(f"{x:.9g}" for x in numbers)]))
    if crystal.source:
        lines += ["", "_publ_section_references", ";", *textwrap.wrap(crystal.source, 78), ";"]
    return "\n".join(lines) + "\n"


def operation_triplets(group: SpaceGroup) -> list[str]:
    """Operations of a space group as texts such as "-x,y,-z+1/2"."""
    triplets = []
    for rotation, translation in zip(group.rotations, group.translations, strict=True):
        op = gemmi.Op()
        op.rot = (rotation * gemmi.Op.DEN).tolist()
        op.tran = [int(Fraction(float(t)).limit_denominator(gemmi.Op.DEN) * gemmi.Op.DEN) for t in translation]
        triplets.append(op.wrap().triplet())
    return triplets
