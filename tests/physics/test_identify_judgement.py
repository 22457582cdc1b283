"""From evidence to presence: light that two phases share, lattices learned from a scan, and the decision itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import Crystal, load_phase, load_phases
from friedel.identify.counts.calibration import (
    learn_axial,
    learn_strains,
    likeliest_axial,
    likeliest_axial_spread,
    likeliest_strains,
)
from friedel.identify.counts.candidates import find_candidates
from friedel.identify.counts.hypotheses import FEATURES, SharedFacts, hypotheses_of, with_rings
from friedel.identify.counts.maps import CountMaps, map_counts
from friedel.identify.counts.matching import CountOptions, weigh_phases
from friedel.identify.counts.presence import kinds_of, shipped_judge, sum_over_phases
from friedel.identify.counts.stacked import compare_light
from friedel.identify.counts.template_bank import TemplateBank, build_bank
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient, overlap
from friedel.simulate.patterns.noise import Noise, expose
from friedel.simulate.patterns.render import SpotShape, render
from friedel.spots.dog import Dog, filter_stack, find_spots

PHASES = load_phases(["nmc811-o3", "nmc811-o1"])
O3, O1 = PHASES.crystals
BEAM, STEP, ANNULUS, SIGMA_PX = Beam(300.0, 0.8), 0.0165, (0.34, 1.03), 1.1
OPTIONS = CountOptions(spacing_deg=4.0, per_phase=8)


@pytest.fixture(scope="module")
def bank() -> TemplateBank:
    return build_bank(PHASES, BEAM, ANNULUS, spacing_deg=OPTIONS.spacing_deg, radial_step_inv_a=STEP)


def column(o3_nm: float, o1_nm: float, seed: int) -> SpotPattern:
    """O3 and O1 along [001] with parallel axes, a few mrad off."""
    rng = np.random.default_rng(seed)
    tilt = (float(rng.uniform(-5, 5)), float(rng.uniform(-5, 5)))
    layers = [
        diffract(orient(crystal, (0, 0, 1), 1.2), BEAM, thickness_a=10.0 * nm, rotation_rad=turn, tilt_mrad=tilt)
        for crystal, nm, turn in ((O3, o3_nm, 0.2), (O1, o1_nm, 0.2 + np.pi / 6))
        if nm
    ]
    return layers[0] if len(layers) == 1 else overlap(*layers)


def maps_of(columns: list[SpotPattern], dose: float, strain: float = 0.0) -> CountMaps:
    rng = np.random.default_rng(1)
    drawn_on = ReciprocalGrid((STEP / (1.0 + strain),) * 2, (63.5, 63.5))
    noise = Noise(dose, halo_share=0.15, halo_width_inv_a=0.15)
    counts = np.stack(
        [expose(render(c, drawn_on, (128, 128), SpotShape.of(BEAM, 0.8)), noise, drawn_on, rng) for c in columns]
    )
    grid, detector = ReciprocalGrid((STEP, STEP), (63.5, 63.5)), Dog(sigma_inv_a=SIGMA_PX * STEP, max_false_alarms=1.0)
    response = filter_stack(counts, detector, grid)
    spots = find_spots(response, detector, ANNULUS)
    return map_counts(response.electrons, spots, np.zeros((len(counts), 2)), grid, ANNULUS, sigma_px=SIGMA_PX)


def feature(features: FloatArray, name: str, explanation: tuple[int, ...]) -> FloatArray:
    return np.asarray(features[:, hypotheses_of(2).index(explanation), FEATURES.index(name)])


def test_light_of_a_ratio_is_compared_in_decades() -> None:
    """Ten times the share that all models expect, with a million electrons: one decade over the error of 0.1."""
    models = [np.full((3, 1), 0.1), np.full((3, 1), 0.1)]
    lit = [np.array([0.2]), np.array([0.02])]
    ratio, surprise = compare_light(lit, [np.array([2e5]), np.array([2e4])], models, np.array([1e6]))
    np.testing.assert_allclose(ratio, 1.0, atol=0.01)
    np.testing.assert_allclose(surprise, 10.0, rtol=0.05)


def test_few_electrons_surprise_less() -> None:
    models = [np.full((3, 1), 0.1), np.full((3, 1), 0.1)]
    lit = [np.array([0.2]), np.array([0.02])]
    _, surprise = compare_light(lit, [np.array([20.0]), np.array([2.0])], models, np.array([100.0]))
    assert 0.0 < surprise[0] < 4.0


def test_o3_over_o1_shows_in_the_ring_that_both_share(bank: TemplateBank) -> None:
    """{110} is common, {100} is O1's alone; O3 has no ring of its own, so that nothing else tells of it."""
    thick = (8.0, 12.0, 18.0, 25.0)
    pure = [column(0.0, nm, i) for i, nm in enumerate(thick)]
    stacked = [column(0.6 * nm, 0.4 * nm, i) for i, nm in enumerate(thick)]
    features = weigh_phases(maps_of([*pure, *stacked], 10_000), bank, PHASES, OPTIONS).features
    surprise = feature(features, "hidden surprise", (0, 1))
    assert np.median(surprise[4:]) > np.median(surprise[:4]) + 0.5


def test_lattice_of_a_phase_is_learned_from_the_scan(bank: TemplateBank) -> None:
    maps = maps_of([column(0.0, 15.0, i) for i in range(5)], 20_000, strain=0.008)
    orientations = find_candidates(maps, bank, 2, per_phase=OPTIONS.per_phase)
    strains, spread, axial_sigma = learn_strains(maps, bank, 2, OPTIONS, orientations)
    assert strains[1] == pytest.approx(0.008, abs=0.001)
    assert strains[0] == 0.0
    assert spread <= 0.002
    assert axial_sigma[0] == 0.01, "no pattern shows it"
    np.testing.assert_allclose(
        bank.strained(strains, np.zeros(2)).g_inv_a[bank.members(1)], bank.g_inv_a[bank.members(1)] * (1 + strains[1])
    )


def stretched(crystal: Crystal, axial: float) -> Crystal:
    """Lengthen the reciprocal lattice along c."""
    a, b, c, *angles = crystal.cell
    return replace(crystal, cell=(a, b, c / (1.0 + axial), angles[0], angles[1], angles[2]))


def test_strained_templates_are_those_of_a_strained_cell(bank: TemplateBank) -> None:
    """Miller indices, whole numbers with the cell of the file, are the same with the strained cell."""
    strained = bank.strained(np.array([0.0, 0.01]), np.array([0.03, -0.05]))
    for p, (crystal, iso, axial) in enumerate(((O3, 0.0, 0.03), (O1, 0.01, -0.05))):
        cells = (crystal, stretched(crystal, axial))
        hkl = []
        for templates, cell, scale in ((bank, cells[0], 1.0), (strained, cells[1], 1.0 + iso)):
            g = np.einsum("tjk,tki->tji", templates.g_inv_a[templates.members(p)], templates.frame[bank.members(p)])
            hkl.append(g / scale @ cell.direct_basis_a.T)
        np.testing.assert_allclose(hkl[0], np.rint(hkl[0]), atol=1e-6)
        np.testing.assert_allclose(hkl[1], hkl[0], atol=1e-6)


def test_cubic_crystals_have_no_unique_axis() -> None:
    assert not load_phase("nio").unique_axis.any()
    np.testing.assert_allclose(O3.unique_axis, [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(load_phase("tio2-rutile").unique_axis, [0.0, 0.0, 1.0], atol=1e-12)


def test_rhombohedral_axes_have_the_unique_axis_along_their_sum(tmp_path: Path) -> None:
    """The three-fold axis meets the three edges at one angle; between them lies alpha."""
    file = tmp_path / "bismuth.cif"
    file.write_text(
        "data_bi\n_cell_length_a 4.746\n_cell_length_b 4.746\n_cell_length_c 4.746\n_cell_angle_alpha 57.23\n"
        "_cell_angle_beta 57.23\n_cell_angle_gamma 57.23\n_space_group_name_H-M_alt 'R -3 m :R'\nloop_\n"
        "_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nBi 0.234 0.234 0.234\n"
    )
    crystal = load_phase(file)
    assert not crystal.is_hexagonal
    cosines = crystal.direct_basis_a @ crystal.unique_axis / 4.746
    np.testing.assert_allclose(cosines, np.sqrt((1.0 + 2.0 * np.cos(np.deg2rad(57.23))) / 3.0), rtol=1e-9)


def axial_of(maps: CountMaps, bank: TemplateBank) -> FloatArray:
    return learn_axial(maps, bank, 2, OPTIONS, find_candidates(maps, bank, 2, per_phase=OPTIONS.per_phase))


@pytest.mark.parametrize("axial", [0.0, -0.03, 0.045])
def test_distance_of_the_layers_is_learned_from_the_scan(bank: TemplateBank, axial: float) -> None:
    """Zones that hold c tell of its length; O3, of which there is no pattern, is left as it is."""
    crystal, zones = stretched(O1, axial), [(1, 0, 0), (1, 1, 0), (2, 1, 0), (1, 0, 1), (1, 1, 1), (2, 1, 1)]
    shown = [
        diffract(orient(crystal, uvw, 1.2), BEAM, thickness_a=120.0, rotation_rad=0.3 * i, tilt_mrad=(3.0, -2.0))
        for i, uvw in enumerate(zones)
    ]
    found = axial_of(maps_of(shown, 20_000), bank)
    # What least squares find where there is nothing explains no more than none, and is dropped.
    assert found[1] == (pytest.approx(axial, abs=0.006) if axial else 0.0)
    assert found[0] == 0.0


def test_distance_of_the_layers_stays_where_no_zone_tells_of_it(bank: TemplateBank) -> None:
    found = axial_of(maps_of([column(0.0, 15.0, i) for i in range(5)], 20_000), bank)
    assert found.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("spread", [0.0025, 0.01])
def test_spread_of_axial_strain_is_found_where_zones_tell_of_it(spread: float) -> None:
    """Half the patterns see c well, half along c not at all, and one in seven is of a mistaken crystal."""
    rng = np.random.default_rng(6)
    sigma = np.where(np.arange(80) % 2, 0.002, 1.0)
    strain = rng.normal(0.0, np.hypot(spread, sigma))
    strain[::7] += rng.normal(0.0, 0.04, len(strain[::7]))
    assert likeliest_axial_spread(strain, sigma) == pytest.approx(spread, rel=0.5)


def test_axial_spread_is_the_usual_one_where_nothing_tells_of_it() -> None:
    assert likeliest_axial_spread(np.zeros(0), np.zeros(0)) == 0.01
    assert likeliest_axial_spread(np.zeros(50), np.full(50, 1.0)) == 0.01


def test_six_spots_of_o3_are_named_by_the_zone_that_needs_no_strain(bank: TemplateBank) -> None:
    """{110} of [001] lie as those 19° off it if layers may move apart; the freedom to do so must pay."""
    maps = maps_of([column(15.0, 0.0, i) for i in range(4)], 20_000)
    evidence = weigh_phases(maps, bank, PHASES, OPTIONS)
    off_deg = np.rad2deg(np.arccos(np.abs(evidence.frame[:, 0, 2] @ O3.unique_axis)))
    assert (off_deg < 3.0).all()


def test_axial_strain_that_a_rival_explains_as_well_is_not_taken() -> None:
    """Ten patterns that the first phase explains; with a strain the second reaches the same, or beats it in few."""
    values = np.full((9, 10, 2), -5.0)
    values[:, :, 0] = 40.0
    values[6, :, 1] = 40.0
    assert likeliest_axial(values, np.zeros(10)).tolist() == [0.0, 0.0]
    values[6, :2, 1] = 60.0
    assert likeliest_axial(values, np.zeros(10)).tolist() == [0.0, 0.0]
    values[6, 2, 1] = 60.0
    assert likeliest_axial(values, np.zeros(10)).tolist() == [0.0, pytest.approx(0.04)]
    values[8, :, 1] = 80.0
    assert likeliest_axial(values, np.zeros(10)).tolist() == [0.0, 0.0]


def test_wrong_lattice_constant_speaks_against_a_phase(bank: TemplateBank) -> None:
    """A hexagon 2 % too large, where the scale is known: of another phase, as the scan has not told of a strain."""
    right, wrong = (
        feature(weigh_phases(maps_of([column(12.0, 0.0, i) for i in range(4)], 10_000, strain), bank, PHASES, OPTIONS)
                .features, "strain evidence", (0,))
        for strain in (0.0, 0.02)
    )  # fmt: skip
    assert np.median(right) > 1.0
    assert np.median(wrong) < -3.0


@pytest.mark.parametrize("spread", [0.001, 0.003])
def test_strain_and_its_spread_are_found_beside_a_mimic(spread: float) -> None:
    """A quarter of the patterns is of a mimic 1.5 % off; two patterns of the other phase tell nothing of it."""
    rng = np.random.default_rng(4)
    sigma = np.full(62, 0.001)
    strain = 0.006 + rng.normal(0.0, np.hypot(spread, sigma))
    strain[:15] -= 0.015
    strain[60:] = 0.02
    phase = np.where(np.arange(62) < 60, 1, 0)
    strains, found = likeliest_strains(strain, sigma, phase, 2)
    assert strains[1] == pytest.approx(0.006, abs=0.5 * spread + 0.0005)
    assert strains[0] == 0.0
    assert found == pytest.approx(spread, rel=0.6)


def test_nothing_is_learned_of_lattices_where_no_pattern_is_sure() -> None:
    strains, spread = likeliest_strains(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64), 2)
    assert strains.tolist() == [0.0, 0.0]
    assert spread == 0.002


def test_wrong_lattice_says_less_where_lattices_are_uneven(bank: TemplateBank) -> None:
    """A lattice 1.2 % off is another phase in an even sample, and may be an uneven charge in another."""
    maps = maps_of([column(12.0, 0.0, i) for i in range(4)], 10_000, strain=0.012)
    even, uneven = (
        np.median(
            feature(
                weigh_phases(maps, bank, PHASES, OPTIONS, replace(SharedFacts.nothing(2), spread=spread)).features,
                "strain evidence",
                (0,),
            )
        )
        for spread in (0.001, 0.008)
    )
    assert even < -3.0
    assert uneven > even + 3.0


def test_decision_is_a_probability_and_does_not_depend_on_the_order_of_phases() -> None:
    judge, rng = shipped_judge(), np.random.default_rng(2)
    kind, _ = kinds_of(7)
    features = judge.mean[kind] + 0.7 * judge.spread[kind] * rng.standard_normal((20, 7, len(FEATURES)))
    posterior = judge.posterior(features)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0)
    names = hypotheses_of(3)
    other = [names.index(tuple(sorted(2 - p for p in name))) for name in names]
    np.testing.assert_allclose(
        sum_over_phases(judge.posterior(features[:, other])), sum_over_phases(posterior)[:, ::-1]
    )


def test_rings_tell_along_a_zone_and_only_where_they_name_a_phase() -> None:
    rings = np.array([[0.9, 0.2], [0.9, 0.2], [0.1, 0.2]])
    told = with_rings(np.zeros((3, 4, len(FEATURES))), rings, np.array([True, False, True]))
    log = [0.1 * 0.8, 0.9 * 0.8, 0.1 * 0.2, 0.9 * 0.2]
    np.testing.assert_allclose(told[:, :, FEATURES.index("rings")], [np.log(log), np.zeros(4), np.zeros(4)])
    assert np.count_nonzero(told) == 4


def test_rings_that_name_a_phase_make_it_more_probable() -> None:
    judge = shipped_judge()
    kind, _ = kinds_of(4)
    features, rings = judge.mean[kind][None].repeat(2, axis=0), FEATURES.index("rings")
    features[:, :, rings] = 0.0
    told = with_rings(features, np.array([[0.98, 0.02], [0.02, 0.98]]), np.array([True, True]))
    first = sum_over_phases(judge.posterior(told))[:, 0]
    assert first[0] > first[1] + 0.03


def test_judge_is_kept_as_it_was_learned(tmp_path: Path) -> None:
    judge = shipped_judge()
    path = tmp_path / "judge.json"
    judge.write(path, "a copy")
    again = type(judge).read(path.read_text(encoding="utf-8"))
    np.testing.assert_array_equal(again.hidden, judge.hidden)
