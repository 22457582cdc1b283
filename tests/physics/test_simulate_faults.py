"""Faulted stacks: nothing changes where slabs look alike, and streaks appear where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from friedel.core.beam import Beam
from friedel.core.errors import CrystalError, DataError
from friedel.crystal import Crystal, load_phase, space_group, structure_factors, unit_cell_atoms
from friedel.simulate.patterns.bloch import extinction_inv_a
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient
from friedel.simulate.patterns.faults import Stack, diffract_stack, draw_stack, stack_factors

BEAM = Beam(300.0)
O3 = load_phase("nmc811-o3")
A, C = O3.cell[0], O3.cell[2]
PERFECT = Stack(O3, np.ones(35, dtype=bool))
EDGE_ON = (1, 0, 0)


def faulted(seed: int, share: float = 0.3, n_slabs: int = 36) -> Stack:
    return draw_stack(O3, n_slabs, share, np.random.default_rng(seed))


def ring_share(pattern: SpotPattern, radius_inv_a: float) -> float:
    return float(pattern.share[np.abs(np.hypot(*pattern.k_inv_a.T) - radius_inv_a) < 0.005].sum())


def test_perfect_stack_has_the_structure_factors_of_o3() -> None:
    hkl = np.array([[1, 1, 0], [1, 0, 4], [0, 1, 2], [0, 0, 3], [1, 0, 1], [3, 0, 0], [2, -1, 6], [0, 1, 1], [1, 0, 0]])
    per_cell = stack_factors(PERFECT, hkl.astype(float)) / 12
    phase_of_origin = np.exp(1j * np.pi * hkl[:, 2])
    np.testing.assert_allclose(per_cell * phase_of_origin, structure_factors(O3, hkl), atol=1e-9)


def o1_of_the_same_slabs() -> Crystal:
    """P-3m1 with one slab of O3 per cell, the alkali straight above the metal."""
    sites = []
    for site in O3.sites:
        images = unit_cell_atoms(replace(O3, sites=(site,))).fract
        x, y, z = images[np.argmin(np.abs(images[:, 2] - 0.5) + np.abs(images[:, :2]).sum(axis=1) / 10)]
        fract = (x, y, 0.5 + 3 * (z - 0.5)) if abs(z - 0.5) < 0.15 else (0.0, 0.0, 0.0)
        sites.append(replace(site, fract_xyz=tuple(float(v) for v in fract)))
    return Crystal("o1", (A, A, C / 3, 90.0, 90.0, 120.0), space_group("P -3 m 1"), tuple(sites))


def test_stack_without_shifts_has_the_structure_factors_of_o1() -> None:
    hkl = np.array([[1, 0, 0], [1, 1, 0], [2, 0, 0], [3, 0, 0], [1, 0, 1], [0, 0, 1], [2, 1, -2]])
    whole, less = (stack_factors(Stack(O3, np.zeros(n, dtype=bool)), hkl * [1.0, 1.0, 3.0]) for n in (35, 34))
    # One more slab.
    np.testing.assert_allclose(np.abs(whole - less), np.abs(structure_factors(o1_of_the_same_slabs(), hkl)), atol=1e-9)


@pytest.mark.parametrize("hkl", [(0, -1, 4), (0, 0, 3), (0, 1, 8)])
def test_reflection_of_a_perfect_stack_seen_edge_on_has_its_light(hkl: tuple[int, int, int]) -> None:
    whole = diffract(orient(O3, EDGE_ON, 1.2), BEAM, thickness_a=40.0)
    rods = diffract_stack(PERFECT, EDGE_ON, BEAM, thickness_a=40.0)
    at = int(np.flatnonzero((whole.hkl == hkl).all(axis=1))[0])
    near = np.hypot(*(rods.k_inv_a - whole.k_inv_a[at]).T) < 0.5 / C
    assert rods.share[near].sum() / rods.direct == pytest.approx(whole.share[at] / whole.direct, rel=0.03)


@pytest.mark.parametrize("n_slabs", [12, 36, 60])
def test_stacks_along_their_normal_are_o3_and_o1(n_slabs: int) -> None:
    o1 = o1_of_the_same_slabs()
    # Only O3's frame is that of the stack, so that only there a tilt means the same.
    for crystal, shifted, tilt in ((O3, True, (6.0, -3.0)), (o1, False, (0.0, 0.0))):
        stack = Stack(O3, np.full(n_slabs - 1, shifted))
        whole = diffract(orient(crystal, (0, 0, 1), 1.2), BEAM, thickness_a=stack.height_a, tilt_mrad=tilt,
                         scattering="bloch")  # fmt: skip
        slabs = diffract_stack(stack, (0, 0, 1), BEAM, thickness_a=stack.height_a, tilt_mrad=tilt)
        assert slabs.direct == pytest.approx(whole.direct, abs=0.02)
        for hkl, share in zip(whole.hkl.tolist(), whole.share, strict=True):
            found = float(slabs.share[(slabs.hkl == hkl).all(axis=1)].sum())
            assert found == pytest.approx(share, abs=0.01)


def test_weak_scattering_along_the_normal_is_the_kinematic_sum() -> None:
    # A thousandth of the atoms; each rod is met where the Ewald sphere cuts it, at g_z = -lambda g^2 / 2.
    faint = replace(O3, sites=tuple(replace(site, occupancy=1e-3 * site.occupancy) for site in O3.sites))
    stack = Stack(faint, faulted(3, n_slabs=20).is_shifted)
    pattern = diffract_stack(stack, (0, 0, 1), BEAM, thickness_a=stack.height_a)
    hkl = pattern.hkl + np.outer(-0.5 * BEAM.wavelength_a * (pattern.k_inv_a**2).sum(axis=1) * C, [0.0, 0.0, 1.0])
    factors = np.abs(stack_factors(stack, hkl))
    phase_rad = np.pi * stack.height_a * extinction_inv_a(faint, BEAM, 3.0 * factors / stack.n_slabs)
    # Slab and gap are projected into one plane, which the faintest rods notice: half a percent of the brightest.
    near = np.hypot(*pattern.k_inv_a.T) < 0.9
    assert pattern.share.max() < 1e-3
    np.testing.assert_allclose(pattern.share[near], phase_rad[near] ** 2, rtol=0.04, atol=4e-10)


def test_faults_streak_rods_except_those_with_h_minus_k_of_three() -> None:
    on_rods = np.linspace(0.5, 12.0, 47)
    for h, k, changes in ((1, 1, False), (3, 0, False), (0, 0, False), (1, 0, True), (0, 2, True)):
        hkl = np.column_stack([np.full(47, h), np.full(47, k), on_rods])
        perfect, broken = (np.abs(stack_factors(stack, hkl)) for stack in (PERFECT, faulted(1)))
        assert np.allclose(perfect, broken, rtol=0.05, atol=0.05 * perfect.max()) != changes


def test_streaks_run_along_c_star_between_the_reflections() -> None:
    def between(stack: Stack) -> float:
        pattern = diffract_stack(stack, EDGE_ON, BEAM, thickness_a=60.0)
        row = (pattern.hkl[:, 1] == 1) & (pattern.hkl[:, 0] == 0)
        # The rod (0 1 l) of O3 has reflections at l = 3n - 1; a streak lies at least one away from them.
        along = (pattern.k_inv_a - pattern.k_inv_a[row].mean(axis=0)) @ _c_star(pattern) * C
        far = np.abs((along - (3 - 1) + 1.5) % 3.0 - 1.5) > 0.8
        return float(pattern.share[row & far].sum() / pattern.share[row].sum())

    assert between(PERFECT) < 0.03
    assert between(faulted(2)) > 0.1


def _c_star(pattern: SpotPattern) -> np.ndarray:  # type: ignore[type-arg]
    """Unit vector (2,) of c* in the pattern: the way of the rod 00."""
    rod = pattern.k_inv_a[~pattern.hkl[:, :2].any(axis=1) & (pattern.hkl[:, 2] == 3)].mean(axis=0)
    return np.asarray(rod / np.hypot(*rod))


def test_faults_raise_100_along_001() -> None:
    first = 2 / (np.sqrt(3) * A)
    perfect = diffract_stack(PERFECT, (0, 0, 1), BEAM, thickness_a=PERFECT.height_a)
    assert ring_share(perfect, first) <= 0.0014
    broken = [diffract_stack(faulted(seed), (0, 0, 1), BEAM, thickness_a=PERFECT.height_a) for seed in range(12)]
    assert np.mean([ring_share(p, first) for p in broken]) > 0.01


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_share_of_faults_is_the_one_asked_for(share: float) -> None:
    stack = faulted(4, share, 20_000)
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[1], stack.is_shifted, [1]]))))[::2]
    # Runs of three correlate neighbours: the count of faults has about six times the variance of a binomial one.
    assert (~stack.is_shifted).mean() == pytest.approx(share, abs=4 * np.sqrt(6 * share * (1 - share) / 20_000))
    assert runs.mean() == pytest.approx(3.0, rel=0.12)


def test_other_structures_and_directions_are_refused() -> None:
    with pytest.raises(CrystalError, match="R-3m"):
        Stack(load_phase("au"), np.ones(3, dtype=bool))
    with pytest.raises(DataError, match=r"\[uv0\]"):
        diffract_stack(PERFECT, (1, 0, 1), BEAM, thickness_a=50.0)
