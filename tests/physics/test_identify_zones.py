"""Zone axes are named from spots with clutter, in a wrong scale and through an ellipse, and not where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.core.errors import DataError
from friedel.core.grids import ReciprocalGrid
from friedel.core.spots import Spots
from friedel.crystal import PhaseSet, load_phases, zone_net
from friedel.identify.lattices.zone_map import Distortion, ZoneEvidence, fit_distortion, fitted_grid, match_scan
from friedel.identify.lattices.zone_match import match_pattern
from friedel.identify.lattices.zones import ZoneOptions, build_templates

ANNULUS = (0.2, 1.0)
SIGMA = 0.002
OPTIONS = ZoneOptions()
PHASES = load_phases(["si", "au", "mg", "mgo"])
TEMPLATES = build_templates(PHASES, OPTIONS, ANNULUS)
GRAINS = [(0, (0, 1, 1)), (1, (0, 0, 1)), (1, (0, 1, 1)), (2, (0, 0, 1)), (3, (0, 1, 1)), (3, (1, 1, 1))]


def grain(phase: int, uvw: tuple[int, int, int], rng: np.random.Generator, seen: float = 0.8) -> FloatArray:
    """Return 80 % of the allowed reflections of a grain (m, 2) at a random rotation."""
    net = zone_net(PHASES.crystals[phase], uvw, ANNULUS[1])
    k = net.k_inv_a[~net.is_extinct & (net.f2 >= 0.05 * net.f2.max()) & (net.radius_inv_a >= ANNULUS[0])]
    k = k[rng.random(len(k)) < seen]
    return turned(k, rng.uniform(0, 2 * np.pi))


def turned(k: FloatArray, angle_rad: float) -> FloatArray:
    """Positions (m, 2), order (ky, kx), turned from +kx towards +ky."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.stack([c * k[:, 0] + s * k[:, 1], c * k[:, 1] - s * k[:, 0]], axis=1)


def clutter(n: int, rng: np.random.Generator) -> FloatArray:
    radius = np.sqrt(rng.uniform(ANNULUS[0] ** 2, ANNULUS[1] ** 2, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def table(patterns: list[FloatArray], rng: np.random.Generator) -> Spots:
    """Spots of patterns, measured with an error of 0.002 1/Å, of about equal brightness."""
    k = np.concatenate(patterns)
    intensity = rng.uniform(80.0, 120.0, len(k))
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in patterns])])
    measured = k + rng.normal(0, SIGMA, k.shape)
    return Spots(measured, np.full(k.shape, SIGMA), intensity, intensity / 9, offsets, (len(patterns), 1))


@pytest.mark.parametrize(("phase", "uvw"), GRAINS)
def test_grain_is_named_among_clutter(phase: int, uvw: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(1)
    spots = table([np.concatenate([grain(phase, uvw, rng), clutter(4, rng)]) for _ in range(8)], rng)
    evidence = match_scan(spots, TEMPLATES, OPTIONS, ANNULUS, 4)
    assert (evidence.presence[:, phase] > 0.5).mean() >= 0.85
    assert (evidence.uvw[:, phase] == uvw).all(axis=1).mean() >= 0.85
    others = np.delete(evidence.presence, phase, axis=1)
    assert (others < 0.5).all(axis=1).mean() >= 0.85


def test_rotation_and_spots_of_a_grain_are_told() -> None:
    rng = np.random.default_rng(2)
    net = zone_net(PHASES.crystals[0], (0, 1, 1), ANNULUS[1])
    k = net.k_inv_a[~net.is_extinct & (net.radius_inv_a >= ANNULUS[0])]
    turn = np.deg2rad(33.0)
    spots = table([np.concatenate([turned(k, turn), clutter(3, rng)])], rng)
    matches, _ = match_pattern(spots, TEMPLATES, OPTIONS, ANNULUS)
    assert np.rad2deg(matches[0].rotation_rad) % 180.0 == pytest.approx(33.0, abs=0.5)
    assert set(range(len(k))) <= set(matches[0].spots.tolist())
    assert matches[0].residual_inv_a < 3 * SIGMA


def test_forbidden_reflection_is_no_evidence() -> None:
    rng = np.random.default_rng(14)
    net = zone_net(PHASES.crystals[0], (0, 1, 1), ANNULUS[1])
    inside = net.radius_inv_a >= ANNULUS[0]
    by_glide = net.is_extinct & (net.hkl % 2 == 0).all(axis=1)  # {200}, which double diffraction lights up
    allowed, forbidden = (net.k_inv_a[mask & inside] for mask in (~net.is_extinct, by_glide))
    assert len(forbidden) >= 2
    spots = table([np.concatenate([allowed, forbidden])], rng)
    matches, _ = match_pattern(spots, TEMPLATES, OPTIONS, ANNULUS)
    assert sorted(matches[0].spots.tolist()) == list(range(len(allowed)))
    assert len(matches) == 1


def test_two_grains_of_two_phases_share_a_pattern() -> None:
    rng = np.random.default_rng(3)
    spots = table([np.concatenate([grain(0, (0, 1, 1), rng), grain(1, (0, 0, 1), rng)]) for _ in range(10)], rng)
    evidence = match_scan(spots, TEMPLATES, OPTIONS, ANNULUS, 4)
    assert (evidence.presence[:, :2] > 0.5).all(axis=1).mean() >= 0.7
    assert (evidence.presence[:, 2:] < 0.5).all(axis=1).mean() >= 0.9


@pytest.mark.parametrize("n_spots", [4, 8, 16, 40])
def test_random_spots_are_nothing(n_spots: int) -> None:
    rng = np.random.default_rng(4)
    n = 40
    spots = table([clutter(n_spots, rng) for _ in range(n)], rng)
    evidence = match_scan(spots, TEMPLATES, OPTIONS, ANNULUS, 4)
    allowed = OPTIONS.max_false_alarms * n
    assert (evidence.presence > 0.5).any(axis=1).sum() <= allowed + 3 * np.sqrt(allowed)


def test_phase_that_is_no_candidate_is_none_of_them() -> None:
    rng = np.random.default_rng(5)
    n = 20
    spots = table([grain(0, (0, 1, 1), rng) for _ in range(n)], rng)  # silicon
    others = load_phases(["au", "mg", "mgo"])
    evidence = match_scan(spots, build_templates(others, OPTIONS, ANNULUS), OPTIONS, ANNULUS, 3)
    assert (evidence.presence > 0.5).any(axis=1).mean() <= 0.1


def test_two_phases_that_explain_the_spots_equally_both_stay_below_one_half() -> None:
    rng = np.random.default_rng(6)
    twins = PhaseSet((PHASES.crystals[1], replace(PHASES.crystals[1], name="twin")))
    spots = table([grain(1, (0, 0, 1), rng) for _ in range(10)], rng)
    presence = match_scan(spots, build_templates(twins, OPTIONS, ANNULUS), OPTIONS, ANNULUS, 2).presence
    assert presence.max() < 0.5
    assert presence.min() > 0.4


def test_nets_that_differ_by_less_than_the_tolerance_are_not_named_wrongly() -> None:
    # Gold and iron along [001] show square nets of 0.4904 and 0.4934 1/Å.
    rng = np.random.default_rng(13)
    pair = PhaseSet((PHASES.crystals[1], *load_phases(["fe"]).crystals))
    spots = table([grain(1, (0, 0, 1), rng) for _ in range(20)], rng)
    presence = match_scan(spots, build_templates(pair, OPTIONS, ANNULUS), OPTIONS, ANNULUS, 2).presence
    assert (presence[:, 1] > 0.5).mean() <= 0.05
    assert (presence[:, 0] > 0.3).all()


def named(evidence: ZoneEvidence, truth: list[tuple[int, tuple[int, int, int]]]) -> float:
    """Share of patterns whose grain was named by phase and zone axis."""
    right = [evidence.presence[i, p] > 0.5 and tuple(evidence.uvw[i, p]) == uvw for i, (p, uvw) in enumerate(truth)]
    return float(np.mean(right))


@pytest.mark.parametrize("scale", [0.98, 1.02])
@pytest.mark.parametrize("ellipticity", [0.0, 0.03])
def test_wrong_scale_and_ellipse_are_fitted_and_undone(scale: float, ellipticity: float) -> None:
    rng = np.random.default_rng(7)
    truth = [GRAINS[i % len(GRAINS)] for i in range(12)]
    true = table([np.concatenate([grain(p, uvw, rng), clutter(3, rng)]) for p, uvw in truth], rng)
    axes = np.diag([1 + ellipticity / 2, 1 - ellipticity / 2])
    turn = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    matrix, offset = scale * turn @ axes @ turn.T, np.array([0.004, -0.003])
    spots = replace(true, k_inv_a=true.k_inv_a @ matrix.T + offset)
    fit = fit_distortion(spots, TEMPLATES, OPTIONS, ANNULUS, relative_sigma=0.015, centre_sigma_inv_a=0.01)
    assert fit.scale == pytest.approx(scale, abs=0.002)
    assert fit.anisotropy == pytest.approx(ellipticity / (1 - ellipticity / 2), abs=0.004)
    np.testing.assert_allclose(fit.offset_inv_a, offset, atol=0.001)
    assert named(match_scan(fit.correct(spots), TEMPLATES, OPTIONS, ANNULUS, 4), truth) >= 0.8


def test_without_any_match_nothing_is_fitted() -> None:
    rng = np.random.default_rng(8)
    fit = fit_distortion(table([clutter(6, rng)], rng), TEMPLATES, OPTIONS, ANNULUS, relative_sigma=0.015,
                         centre_sigma_inv_a=0.01)  # fmt: skip
    assert fit.n_spots == 0
    none = fit_distortion(Spots.empty(), TEMPLATES, OPTIONS, ANNULUS, relative_sigma=0.015, centre_sigma_inv_a=0.01)
    assert (none.n_spots, none.scale, none.scale_sigma) == (0, 1.0, 0.015)


@pytest.mark.parametrize(("phase", "uvw"), [(0, (0, 1, 1)), (1, (0, 0, 1)), (3, (0, 1, 1))])
def test_nothing_is_fitted_where_any_lattice_fits_as_well(phase: int, uvw: tuple[int, int, int]) -> None:
    """Patterns of silicon, gold and MgO, some spots of which austenite would explain in another scale."""
    rng = np.random.default_rng(10)
    spots = table([np.concatenate([grain(phase, uvw, rng), clutter(3, rng)]) for _ in range(8)], rng)
    nets = build_templates(load_phases(["austenite"]), OPTIONS, ANNULUS)
    fit = fit_distortion(spots, nets, OPTIONS, ANNULUS, relative_sigma=0.015, centre_sigma_inv_a=0.01)
    assert fit.n_spots == 0


def test_fitted_grid_gives_the_corrected_positions() -> None:
    grid = ReciprocalGrid((0.02, 0.021), (60.0, 64.0), np.array([[1.01, 0.004], [0.004, 0.99]]))
    fit = Distortion(np.array([[1.02, 0.01], [0.01, 0.97]]), np.array([0.01, -0.02]), 0.001, 50)
    px = np.random.default_rng(9).uniform(0, 128, (20, 2))
    measured = Spots(grid.k_of(px), np.ones((20, 2)), np.ones(20), np.ones(20), np.array([0, 20]))
    fitted = fitted_grid(grid, fit)
    np.testing.assert_allclose(fitted.k_of(px), fit.correct(measured).k_inv_a, atol=1e-12)
    assert (fitted.source, fitted.relative_sigma) == ("fitted", 0.001)


def test_grid_keeps_its_source_where_nothing_was_fitted() -> None:
    grid = ReciprocalGrid((0.02, 0.021), (60.0, 64.0))
    assert fitted_grid(grid, Distortion(np.eye(2), np.zeros(2), 0.015, 0)) is grid


def test_order_of_spots_and_of_patterns_does_not_matter() -> None:
    rng = np.random.default_rng(10)
    truth = GRAINS[:4]
    spots = table([np.concatenate([grain(p, uvw, rng), clutter(4, rng)]) for p, uvw in truth], rng)
    order = np.random.default_rng(11).permutation(len(spots.of(0)))
    first = spots.of(0)
    shuffled = Spots(first.k_inv_a[order], first.sigma_inv_a[order], first.intensity[order], first.snr[order],
                     first.offsets)  # fmt: skip
    backwards = Spots.join([spots.of(i) for i in (3, 2, 1)] + [shuffled], (4, 1))
    one, two = (match_scan(s, TEMPLATES, OPTIONS, ANNULUS, 4) for s in (spots, backwards))
    np.testing.assert_array_equal(two.presence[::-1], one.presence)
    np.testing.assert_array_equal(two.uvw[::-1], one.uvw)


def test_rotating_the_pattern_rotates_the_grain_and_nothing_else() -> None:
    rng = np.random.default_rng(12)
    spots = table([np.concatenate([grain(0, (0, 1, 1), rng), clutter(3, rng)])], rng)
    turn = np.deg2rad(50.0)
    rotated = replace(spots, k_inv_a=turned(spots.k_inv_a, turn))
    one, two = (match_scan(s, TEMPLATES, OPTIONS, ANNULUS, 4) for s in (spots, rotated))
    np.testing.assert_allclose(two.presence, one.presence, atol=0.01)
    assert (two.rotation_deg[0, 0] - one.rotation_deg[0, 0]) % 180.0 == pytest.approx(50.0, abs=0.01)


def test_impossible_settings_are_refused() -> None:
    for settings in ({"max_index": 0}, {"tolerance_inv_a": 0.0}, {"max_false_alarms": 0.0}, {"max_grains": 0}):
        with pytest.raises(DataError, match="ZoneOptions"):
            ZoneOptions(**settings)


def test_templates_hold_allowed_reflections_of_the_annulus_only() -> None:
    for template in TEMPLATES:
        radius = np.hypot(template.k_inv_a[:, 0], template.k_inv_a[:, 1])
        assert len(radius) >= 4
        assert (radius >= ANNULUS[0]).all()
        assert (radius <= ANNULUS[1]).all()
    gold = next(t for t in TEMPLATES if t.phase == 1 and t.uvw == (0, 0, 1))
    rings = np.hypot(gold.k_inv_a[:, 0], gold.k_inv_a[:, 1])
    assert rings.min() == pytest.approx(2 / 4.07825, rel=1e-5)
