"""What a crystal, a site and a space group accept and refuse."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from friedel.core.errors import CrystalError
from friedel.crystal import (
    Crystal,
    Site,
    load_phase,
    reflections,
    space_group,
    space_group_of_operations,
    unit_cell_atoms,
)

LITHIUM = (Site("Li1", "Li", (0, 0, 0)),)


@pytest.mark.parametrize(
    ("cell", "message"),
    [((4, 4, 4, 90, 90), "six finite numbers"), ((4, 4, float("nan"), 90, 90, 90), "six finite"),
     ((0, 4, 4, 90, 90, 90), "between 1 and 200 Å"), ((4, 4, 1e30, 90, 90, 90), "between 1 and 200 Å"),
     ((4, 4, 4, 90, 90, 180), "between 10 and 170"), ((4, 4, 4, 20, 100, 30), "no volume")],
)  # fmt: skip
def test_impossible_cell_is_refused(cell: Any, message: str) -> None:
    with pytest.raises(CrystalError, match=message):
        Crystal("x", cell, space_group("P 1"), LITHIUM)


@pytest.mark.parametrize(
    ("symbol", "cell"),
    [("F m -3 m", (4, 4, 4.2, 90, 90, 90)), ("P 63/m m c", (3, 3, 5, 90, 90, 90)),
     ("P 1 21/c 1", (5, 6, 7, 92, 100, 90)), ("R -3 m:R", (4, 4, 4, 60, 60, 62))],
)  # fmt: skip
def test_cell_must_have_the_symmetry_of_its_space_group(symbol: str, cell: Any) -> None:
    with pytest.raises(CrystalError, match="does not have the symmetry"):
        Crystal("x", cell, space_group(symbol), LITHIUM)


def test_crystal_without_sites_is_refused() -> None:
    with pytest.raises(CrystalError, match="at least one"):
        Crystal("x", (4, 4, 4, 90, 90, 90), space_group("P 1"), ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"element": "Xx"}, "not an element"), ({"element": "Og"}, "not an element"), ({"element": ""}, "not an element"),
     ({"occupancy": 0.0}, "occupancy"), ({"occupancy": 1.2}, "occupancy"), ({"occupancy": float("nan")}, "occupancy"),
     ({"b_iso_a2": -1.0}, "B must"), ({"b_iso_a2": float("inf")}, "B must"),
     ({"fract_xyz": (0, 0, float("nan"))}, "position"), ({"fract_xyz": (0, 0, 1e9)}, "position")],
)  # fmt: skip
def test_impossible_site_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CrystalError, match=message):
        Site(**({"label": "Li1", "element": "Li", "fract_xyz": (0, 0, 0)} | changes))


def test_deuterium_scatters_electrons_like_hydrogen() -> None:
    assert Site("D1", "D", (0, 0, 0)).element == "H"


def test_all_atoms_listed_beside_a_high_symmetry_are_refused() -> None:
    sites = tuple(Site(f"Al{i}", "Al", x) for i, x in enumerate([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5)]))
    crystal = Crystal("x", (4, 4, 4, 90, 90, 90), space_group("F m -3 m"), sites)
    with pytest.raises(CrystalError, match="share the place"):
        unit_cell_atoms(crystal)


@pytest.mark.parametrize(
    ("symbol", "number", "order"),
    [("Fm-3m", 225, 192), ("F d -3 m", 227, 192), ("225", 225, 192), ("R -3 m :H", 166, 36), ("P21/c", 14, 4)],
)
def test_space_group_by_symbol(symbol: str, number: int, order: int) -> None:
    group = space_group(symbol, gamma_deg=120.0 if number == 166 else 90.0)
    assert (group.number, len(group.rotations)) == (number, order)


def test_origin_of_an_unqualified_symbol_is_at_the_inversion() -> None:
    assert space_group("F d -3 m").symbol == "F d -3 m:2"


def test_unknown_space_group_is_refused() -> None:
    for symbol in ("", "Q 1", "231", "0"):
        with pytest.raises(CrystalError, match="not a space group"):
            space_group(symbol)


def test_setting_outside_the_tables_is_named_by_spglib() -> None:
    """P -1 with every axis doubled and centred is still of type P -1."""
    translations = [
        f"{s}x+{i}/2,{s}y+{j}/2,{s}z+{k}/2" for s in ("", "-") for i in (0, 1) for j in (0, 1) for k in (0, 1)
    ]
    group = space_group_of_operations(translations)
    assert group.number == 2
    assert len(group.rotations) == 16


@pytest.mark.parametrize(
    "operations",
    [["x,y,z", "-x,y,z", "x,-y,z"], ["x,y,z"] * 2, ["x,y"], ["x,y,z+1/5"], [], ["x,y,z", "-x,-y,z+1/4"],
     ["x,y,z", "-x,-y,-z", "-x,-y,-z+1/4"], ["x,y,z", "x,x,z"]],
)  # fmt: skip
def test_operations_that_are_no_group_are_refused(operations: list[str]) -> None:
    with pytest.raises(CrystalError):
        space_group_of_operations(operations)


def test_hexagonal_axes_are_recognised() -> None:
    assert [load_phase(n).is_hexagonal for n in ("nmc811-o3", "graphite", "lif", "li2co3")] == [
        True,
        True,
        False,
        False,
    ]


def test_crystals_cross_process_borders() -> None:
    crystal = pickle.loads(pickle.dumps(load_phase("li2co3")))
    assert reflections(crystal, 2.0).d_a.tolist() == reflections(load_phase("li2co3"), 2.0).d_a.tolist()


def test_tables_cannot_be_written_to() -> None:
    table = reflections(load_phase("lif"), 1.0)
    with pytest.raises(ValueError, match="read-only"):
        table.f2[0] = 1.0


@pytest.mark.parametrize("d_min_a", [0.0, -1.0, float("nan"), 1e-3])
def test_absurd_smallest_d_is_refused(d_min_a: float) -> None:
    with pytest.raises(CrystalError):
        reflections(load_phase("lif"), d_min_a)


def test_reflections_of_a_giant_cell_are_refused_before_memory_is_gone() -> None:
    giant = Crystal("giant", (200, 200, 200, 90, 90, 90), space_group("P 1"), LITHIUM)
    with pytest.raises(CrystalError, match="larger d-spacing"):
        reflections(giant, 0.5)


def test_importing_the_package_loads_no_crystallography() -> None:
    code = "import sys, friedel.crystal; sys.exit(bool({'gemmi', 'spglib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_basis_of_a_triclinic_cell_has_its_lengths_and_angles() -> None:
    cell = (5.0, 6.0, 7.0, 80.0, 95.0, 110.0)
    rows = Crystal("x", cell, space_group("P 1"), LITHIUM).direct_basis_a
    lengths = np.linalg.norm(rows, axis=1)
    cosines = [rows[i] @ rows[j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    assert lengths == pytest.approx(cell[:3])
    assert np.degrees(np.arccos(cosines)) == pytest.approx(cell[3:])
