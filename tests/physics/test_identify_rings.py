"""Rings tell O3 from O1 and from its mimics: by the share of the beam, and by the radius."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import load_phases
from friedel.identify.hexagons.halves import light_at_halves
from friedel.identify.hexagons.lattice import HexagonOptions, Hexagons, fit_hexagons
from friedel.identify.hexagons.presence import (
    RING_TOLERANCE,
    RingEvidence,
    known_by_zone,
    measure_rings,
    presence_from_rings,
)
from friedel.identify.hexagons.rings import HexagonalZone, LearnedRings, hexagonal_zones, learn_rings
from friedel.spots.dog import Dog, filter_stack, find_spots

ANNULUS = (0.33, 0.82)
STEP, SIGMA_PX, SHAPE = 0.0165, 1.4, (110, 114)
GRID = ReciprocalGrid((STEP, STEP), (54.0, 57.0), relative_sigma=0.005)
O3_110, O1_100, O1_110 = 2 / 2.872, 2 / (np.sqrt(3) * 2.82), 2 / 2.82

Ring = tuple[float, float, float]  # radius in 1/Å, share of the beam in its six spots, azimuth in degrees


def expose(rings: list[Ring], dose: float, n: int, seed: int = 0) -> AnyArray:
    """Poisson counts (n, ky, kx) of a direct beam, rings of six spots and a faint halo, of ``dose`` electrons each."""
    y, x = np.indices(SHAPE)
    radius = np.hypot(y - 54.0, x - 57.0) * STEP
    halo = 1.0 / (1.0 + (radius / 0.15) ** 2) ** 1.5
    mean = 0.1 * halo / halo.sum()
    for r, share, azimuth in [(0.0, 0.9 - sum(s for _, s, _ in rings), 0.0), *rings]:
        angle = np.deg2rad(azimuth) + np.arange(6) * np.pi / 3
        for py, px in GRID.px_of(r * np.stack([np.sin(angle), np.cos(angle)], axis=1)):
            spot = np.exp(-0.5 * ((y - py) ** 2 + (x - px) ** 2) / SIGMA_PX**2)
            mean += share / 6 * spot / (2 * np.pi * SIGMA_PX**2)
    return np.random.default_rng(seed).poisson(dose * mean, (n, *SHAPE))


def judge(counts: AnyArray, names: tuple[str, ...], valid: BoolArray | None = None) -> FloatArray:
    """Presence (n, phases) by the steps of the hexagon road, which takes the patterns for one scan."""
    return judge_and_learn(counts, names, valid)[0]


def judge_and_learn(
    counts: AnyArray, names: tuple[str, ...], valid: BoolArray | None = None
) -> tuple[FloatArray, LearnedRings]:
    phases = load_phases(names)
    zones = hexagonal_zones(phases, ANNULUS)
    detector = Dog(sigma_inv_a=SIGMA_PX * STEP)
    response = filter_stack(counts, detector, GRID)
    hexagons = fit_hexagons(find_spots(response, detector, ANNULUS), HexagonOptions(), ANNULUS)
    shift = np.zeros((len(counts), 2))
    evidence = measure_rings(response, shift, hexagons, zones, max_scale_error=0.035, valid=valid)
    rings = learn_rings(
        hexagons, zones, evidence.half_log_ratio, relative_sigma=GRID.relative_sigma, tolerance=RING_TOLERANCE
    )
    known = known_by_zone(evidence, hexagons, rings.known)
    return presence_from_rings(evidence, zones, len(names), scale=rings.scale, known=known), rings


CATHODE = ("nmc811-o3", "nmc811-o1")


def test_o3_has_one_ring_and_o1_two_at_001() -> None:
    o3, o1 = hexagonal_zones(load_phases(CATHODE), ANNULUS)
    assert (o3.phase, o3.uvw, o1.phase, o1.uvw) == (0, (0, 0, 1), 1, (0, 0, 1))
    np.testing.assert_allclose(o3.radius_inv_a, [O3_110], rtol=1e-4)
    np.testing.assert_allclose(o1.radius_inv_a[:2], [O1_100, O1_110], rtol=1e-4)
    np.testing.assert_allclose(np.rad2deg(o1.azimuth_rad[:2]), [0.0, 30.0], atol=1e-3)


def test_rock_salt_111_is_a_mimic_of_o3() -> None:
    o3, rock_salt = (hexagonal_zones(load_phases([name]), ANNULUS)[0] for name in ("nmc811-o3", "nio"))
    assert rock_salt.uvw == (1, 1, 1)
    assert rock_salt.radius_inv_a[0] / o3.radius_inv_a[0] == pytest.approx(1 - 0.028, abs=0.003)


def test_tetragonal_and_monoclinic_phases_have_no_hexagonal_zone() -> None:
    assert hexagonal_zones(load_phases(["lioh", "li2co3"]), (0.1, 1.0)) == ()


@pytest.mark.parametrize("dose", [1e3, 1e4, 1e5])
def test_pure_o1_with_both_hexagons_is_o1_only(dose: float) -> None:
    presence = judge(expose([(O1_100, 0.15, 0.0), (O1_110, 0.10, 30.0)], dose, 20), CATHODE)
    assert (presence[:, 1] > 0.9).mean() > 0.95
    assert (presence[:, 0] < 0.5).mean() > 0.95


@pytest.mark.parametrize("dose", [1e3, 1e4, 1e5, 1e6, 1e7])
def test_residue_of_o3_does_not_become_o1_at_any_dose(dose: float) -> None:
    presence = judge(expose([(O1_100, 0.001, 0.0), (O3_110, 0.12, 30.0)], dose, 20), CATHODE)
    assert (presence[:, 0] > 0.5).mean() > 0.95
    assert presence[:, 1].max() < 0.2


@pytest.mark.parametrize("share", [0.03, 0.1, 0.4])
def test_o1_is_present_from_three_percent_of_the_beam(share: float) -> None:
    presence = judge(expose([(O1_100, share, 0.0)], 1e4, 20), CATHODE)
    assert (presence[:, 1] > 0.9).mean() > 0.95


def test_both_phases_along_the_beam_are_both_present() -> None:
    presence = judge(expose([(O1_100, 0.02, 10.0), (O3_110, 0.35, 40.0)], 1e4, 20), CATHODE)
    assert (presence > 0.5).all(axis=1).mean() > 0.9


def test_grains_turned_against_each_other_are_both_present() -> None:
    presence = judge(expose([(O1_100, 0.15, 10.0), (O1_110, 0.08, 40.0), (O3_110, 0.15, 5.0)], 1e4, 20), CATHODE)
    assert (presence[:, 1] > 0.9).mean() > 0.9


def test_nothing_is_nothing() -> None:
    assert judge(expose([], 1e4, 20), CATHODE).max() < 0.05


@pytest.mark.parametrize("radius", [0.50, 0.60, 0.77])
def test_hexagon_off_all_rings_is_none_of_the_candidates(radius: float) -> None:
    assert judge(expose([(radius, 0.15, 0.0)], 1e4, 20), CATHODE).max() < 0.1


@pytest.mark.parametrize(("radius", "right"), [(O3_110, 0), (O3_110 * 0.972, 1)])
def test_radius_tells_o3_from_rock_salt_where_both_are_candidates(radius: float, right: int) -> None:
    presence = judge(expose([(radius, 0.15, 0.0)], 1e4, 20), ("nmc811-o3", "nio"))
    assert (presence[:, right] > 0.5).mean() > 0.95
    assert (presence[:, 1 - right] < 0.5).mean() > 0.95


ROCK_SALT_220, SPINEL_440 = 0.972 * O3_110, O3_110  # spinel of the very lattice of O3: only its {220} tells


@pytest.mark.parametrize("dose", [500.0, 1e4, 1e6])
def test_rock_salt_that_nobody_named_is_none(dose: float) -> None:
    """Where O3 is there too, and where it is not: 2.8 % are more than the scale may be off."""
    salt, o3 = expose([(ROCK_SALT_220, 0.2, 5.0)], dose, 20, seed=1), expose([(O3_110, 0.2, 9.0)], dose, 20, seed=2)
    assert (judge(salt, CATHODE) < 0.5).all()
    presence = judge(np.concatenate([salt, o3]), CATHODE)
    assert (presence[:20] < 0.5).all()
    assert (presence[20:, 0] > 0.5).mean() > 0.9


@pytest.mark.parametrize("dose", [1e3, 1e4, 1e6])
def test_light_at_half_the_radius_is_of_another_crystal(dose: float) -> None:
    """{220} of spinel with 1.5 % of the beam, aligned with {440}, which has the radius of {110} of O3."""
    spinel = expose([(SPINEL_440, 0.2, 5.0), (SPINEL_440 / 2, 0.015, 5.0)], dose, 10, seed=1)
    presence = judge(np.concatenate([spinel, expose([(O3_110, 0.2, 9.0)], dose, 30, seed=2)]), CATHODE)
    assert (presence[:10] < 0.5).all()
    assert (presence[10:, 0] > 0.5).mean() > 0.9


@pytest.mark.parametrize("dose", [1e3, 1e5, 1e7])
def test_residue_at_half_the_radius_takes_nothing_from_o3(dose: float) -> None:
    presence = judge(expose([(O3_110, 0.2, 9.0), (O3_110 / 2, 0.0004, 9.0)], dose, 20), CATHODE)
    assert (presence[:, 0] > 0.5).mean() > 0.9


def test_other_light_at_half_the_radius_takes_nothing_from_o3() -> None:
    """A grain of something else, turned by 20 degrees: both may lie along the beam."""
    presence = judge(expose([(O3_110, 0.2, 9.0), (O3_110 / 2, 0.02, 29.0)], 1e4, 20), CATHODE)
    assert (presence[:, 0] > 0.5).mean() > 0.9


def test_spinel_is_named_where_it_is_a_candidate() -> None:
    spinel = hexagonal_zones(load_phases(["limn2o4"]), ANNULUS)[0].radius_inv_a
    counts = expose([(float(spinel[0]), 0.05, 5.0), (float(spinel[-1]), 0.2, 5.0)], 1e4, 20)
    assert (judge(counts, ("nmc811-o3", "limn2o4"))[:, 1] > 0.5).all()
    assert judge(counts, CATHODE).max() < 0.5


def halves(counts: AnyArray, valid: BoolArray | None = None) -> FloatArray:
    """Light at the halves of the hexagons on the ring of O3."""
    detector = Dog(sigma_inv_a=SIGMA_PX * STEP)
    response = filter_stack(counts, detector, GRID)
    hexagons = fit_hexagons(find_spots(response, detector, (0.6, 0.82)), HexagonOptions(), (0.6, 0.82))
    assert len(hexagons) == len(counts)
    return light_at_halves(response, np.zeros((len(counts), 2)), hexagons, np.array([O3_110]), valid)


@pytest.mark.parametrize("ring", [(0.5, 0.0), (np.sqrt(0.75), 30.0)])
def test_light_and_darkness_at_halves_tell(ring: tuple[float, float]) -> None:
    factor, turn = ring
    lit = halves(expose([(O3_110, 0.2, 5.0), (O3_110 / 2, 0.01, 5.0), (factor * O3_110, 0.02, 5.0 + turn)], 3e3, 10))
    assert lit.min() > 8.0
    dark = halves(expose([(O3_110, 0.2, 5.0)], 3e3, 10))
    assert dark.max() < 0.0
    assert np.median(dark) < -4.0


def test_nothing_is_told_by_halves_that_cannot_be_seen() -> None:
    counts, valid = expose([(O3_110, 0.2, 5.0)], 3e3, 10), np.ones(SHAPE, dtype=bool)
    y, x = np.indices(SHAPE)
    radius = np.hypot(y - 54.0, x - 57.0) * STEP
    valid[(radius > 0.31) & (radius < 0.39)] = False
    valid[(radius > 0.56) & (radius < 0.645)] = False
    np.testing.assert_allclose(halves(counts, valid), 0.0, atol=1e-6)


@pytest.mark.parametrize(("factor", "light"), [(0.972, -3.0), (0.985, 6.0)], ids=["rock salt", "spinel"])
def test_a_scan_that_is_mostly_of_another_crystal_does_not_teach_the_scale(factor: float, light: float) -> None:
    """A hundred hexagons of rock salt, or of spinel with light at its halves, and thirty of O3."""
    rng = np.random.default_rng(3)
    foreign = np.arange(130) < 100
    radii = np.where(foreign, factor, 1.0) * O3_110 * rng.normal(1.0, 0.002, 130)
    zones, told = hexagonal_zones(load_phases(CATHODE), ANNULUS), np.where(foreign, light, -3.0)
    rings = learn_rings(measured(radii), zones, told, relative_sigma=0.005, tolerance=RING_TOLERANCE)
    assert rings.scale == pytest.approx(1.0, abs=0.004)
    assert (rings.known[100:] > 0.5).mean() > 0.9
    assert (rings.known[:100] < 0.5).mean() > 0.9
    assert rings.learned_inv_a[0] == pytest.approx(O3_110, rel=0.003)


@pytest.mark.parametrize("share_of_o3", [0.0, 0.35, 0.65, 0.9, 1.0])
@pytest.mark.parametrize("relative_sigma", [0.005, 0.015])
def test_candidates_are_known_in_any_mixture(share_of_o3: float, relative_sigma: float) -> None:
    rng = np.random.default_rng(3)
    o3 = np.arange(150) < 150 * share_of_o3
    radii = np.where(o3, O3_110, rng.choice([O1_100, O1_110], 150)) * rng.normal(1.0, 0.003, 150)
    zones = hexagonal_zones(load_phases(CATHODE), ANNULUS)
    rings = learn_rings(
        measured(radii), zones, np.full(150, -3.0), relative_sigma=relative_sigma, tolerance=RING_TOLERANCE
    )
    assert (rings.known > 0.5).mean() > 0.97


def test_o3_of_any_charge_between_the_candidates_is_known() -> None:
    """Its lattice shrinks by 1.8 % to that of O1 while it is charged."""
    rng = np.random.default_rng(3)
    radii = rng.uniform(O3_110, O1_110, 60) * rng.normal(1.0, 0.002, 60)
    zones = hexagonal_zones(load_phases(CATHODE), ANNULUS)
    rings = learn_rings(measured(radii), zones, np.full(60, -3.0), relative_sigma=0.005, tolerance=RING_TOLERANCE)
    assert (rings.known > 0.5).mean() > 0.95


def measured(radii: FloatArray) -> Hexagons:
    n = len(radii)
    one = np.ones(n)
    return Hexagons(radii, 0.002 * one, 0.1 * one, np.full(n, 6), one, -4.0 * one, np.arange(n + 1))


@pytest.mark.parametrize("scale", [0.98, 1.0, 1.013])
def test_scale_is_learned_from_both_rings_together(scale: float) -> None:
    rng = np.random.default_rng(1)
    true = rng.choice([O3_110, O1_100, O1_110], 200)
    radii = np.concatenate([scale * true * rng.normal(1.0, 0.003, 200), rng.uniform(0.35, 0.8, 20)])
    zones = hexagonal_zones(load_phases(CATHODE), ANNULUS)
    rings = learn_rings(
        measured(radii), zones, np.full(len(radii), -3.0), relative_sigma=0.015, tolerance=RING_TOLERANCE
    )
    assert rings.scale == pytest.approx(scale, abs=max(0.006, 3 * rings.scale_sigma))
    assert rings.learned_inv_a[1] == pytest.approx(scale * O1_100, rel=0.004)
    assert rings.n_hexagons[1] > 50


def test_the_error_of_the_scale_holds_though_scales_are_tried_on_a_grid() -> None:
    rng, zones, pulls = np.random.default_rng(0), hexagonal_zones(load_phases(CATHODE), ANNULUS), []
    for scale in rng.normal(1.0, 0.01, 40):
        radii = scale * rng.choice([O3_110, O1_100], 200) * rng.normal(1.0, 0.003, 200)
        rings = learn_rings(measured(radii), zones, np.full(200, -3.0), relative_sigma=0.015, tolerance=RING_TOLERANCE)
        pulls.append((rings.scale - scale) / rings.scale_sigma)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.3)


def test_scale_stays_where_few_hexagons_or_none_tell() -> None:
    zones = hexagonal_zones(load_phases(CATHODE), ANNULUS)
    rings = learn_rings(measured(np.zeros(0)), zones, np.zeros(0), relative_sigma=0.015, tolerance=RING_TOLERANCE)
    assert rings.scale == pytest.approx(1.0, abs=1e-3)
    assert rings.scale_sigma == pytest.approx(0.015, rel=0.1)
    assert np.isnan(rings.learned_inv_a).all()
    assert (rings.n_hexagons == 0).all()


def test_evidence_of_blocks_is_that_of_the_whole() -> None:
    counts = np.concatenate([expose([(O1_100, 0.1, 3.0 * i), (O1_110, 0.1, 30.0 + 3.0 * i)], 3e3, 1) for i in range(6)])
    zones = hexagonal_zones(load_phases(CATHODE), ANNULUS)
    detector = Dog(sigma_inv_a=SIGMA_PX * STEP)

    def evidence(part: AnyArray, first: int) -> RingEvidence:
        response = filter_stack(part, detector, GRID)
        spots = find_spots(response, detector, ANNULUS)
        hexagons = fit_hexagons(spots, HexagonOptions(), ANNULUS, first_index=first)
        return measure_rings(response, np.zeros((len(part), 2)), hexagons, zones, max_scale_error=0.035)

    whole = evidence(counts, 0)
    joined = RingEvidence.join([evidence(counts[:2], 0), evidence(counts[2:], 2)])
    np.testing.assert_array_equal(joined.hexagon, whole.hexagon)
    np.testing.assert_array_equal(joined.share, whole.share)


def test_shares_of_the_beam_are_measured() -> None:
    counts = expose([(O1_100, 0.15, 7.0), (O1_110, 0.05, 37.0)], 1e5, 10)
    zones: tuple[HexagonalZone, ...] = hexagonal_zones(load_phases(CATHODE), ANNULUS)
    detector = Dog(sigma_inv_a=SIGMA_PX * STEP)
    response = filter_stack(counts, detector, GRID)
    hexagons = fit_hexagons(find_spots(response, detector, ANNULUS), HexagonOptions(), ANNULUS)
    share = measure_rings(response, np.zeros((10, 2)), hexagons, zones, max_scale_error=0.035).share[:, 1]
    # A fifth of a spot's light lies in the wide Gaussian that measures its surroundings.
    np.testing.assert_allclose(share[:, :2].mean(axis=0), [0.15, 0.05], rtol=0.25)
