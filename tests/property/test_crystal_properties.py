"""Invariances of crystals under scaling, permutation and change of axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friedel.core.errors import FriedelError
from friedel.crystal import Crystal, Site, all_reflections, load_phase, reflections, space_group, structure_factors

NAMES = st.sampled_from(["lif", "li2co3", "nmc811-o3", "sio2-quartz", "lifepo4"])
INDICES = st.tuples(*[st.integers(-4, 4)] * 3)


@given(NAMES, st.floats(0.7, 1.5))
@settings(max_examples=25, deadline=None)
def test_scaling_the_cell_scales_every_d(name: str, scale: float) -> None:
    crystal = load_phase(name)
    a, b, c, *angles = crystal.cell
    larger = replace(crystal, cell=(scale * a, scale * b, scale * c, *angles))
    here = reflections(crystal, 1.2, min_relative_f2=0.0)
    there = reflections(larger, 1.2 * scale * (1 - 1e-12), min_relative_f2=0.0)
    assert there.d_a == pytest.approx(scale * here.d_a)
    assert larger.volume_a3 == pytest.approx(scale**3 * crystal.volume_a3)


@given(NAMES, INDICES, st.tuples(*[st.floats(-0.5, 0.5)] * 3))
@settings(max_examples=50, deadline=None)
def test_moving_the_origin_changes_phases_but_no_amplitude(
    name: str, hkl: tuple[int, int, int], shift: tuple[float, float, float]
) -> None:
    """All atoms listed in P 1 and moved together diffract like the crystal."""
    from friedel.crystal import unit_cell_atoms

    crystal = load_phase(name)
    atoms = unit_cell_atoms(crystal)
    sites = tuple(
        Site(f"{e}{i}", e, tuple((xyz + shift).tolist()), float(o), float(b))
        for i, (e, xyz, o, b) in enumerate(
            zip(atoms.elements, atoms.fract, atoms.occupancy, atoms.b_iso_a2, strict=True)
        )
    )
    moved = Crystal("moved", crystal.cell, space_group("P 1"), sites)
    one, other = (structure_factors(x, [hkl])[0] for x in (crystal, moved))
    assert abs(one) == pytest.approx(abs(other), abs=1e-7)


@given(NAMES, st.floats(0.8, 2.0))
@settings(max_examples=20, deadline=None)
def test_both_halves_of_reciprocal_space_are_there(name: str, d_min_a: float) -> None:
    hkl = all_reflections(load_phase(name), 1 / d_min_a).hkl
    assert {tuple(x) for x in hkl.tolist()} == {tuple(x) for x in (-hkl).tolist()}


@given(st.tuples(*[st.floats() | st.integers(-5, 500)] * 6))
@settings(max_examples=300, deadline=None)
def test_any_six_numbers_make_a_cell_or_a_typed_error(cell: tuple[float, ...]) -> None:
    try:
        crystal = Crystal("x", cell, space_group("P 1"), (Site("Li1", "Li", (0, 0, 0)),))
    except FriedelError:
        return
    product = crystal.direct_basis_a @ crystal.reciprocal_basis_inv_a.T
    assert product == pytest.approx(np.eye(3), abs=1e-9)
    assert crystal.volume_a3 > 0
