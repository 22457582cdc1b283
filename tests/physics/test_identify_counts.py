"""Phases named from counts: what is there is found, what is not is not named, and the orientation is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from friedel.core.arrays import FloatArray
from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import Crystal, PhaseSet, load_phase, load_phases, zone_axes, zone_frame
from friedel.identify.counts.candidates import _polar, find_candidates
from friedel.identify.counts.free_lattice import free_lattice_evidence
from friedel.identify.counts.hypotheses import hypotheses_of
from friedel.identify.counts.maps import CountMaps, map_counts
from friedel.identify.counts.matching import CountOptions, PhaseEvidence, refine, weigh_phases
from friedel.identify.counts.presence import presence_of, shipped_judge
from friedel.identify.counts.template_bank import AZIMUTHS, FREQUENCIES, TemplateBank, build_bank
from friedel.identify.zone_names import name_orientations
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient, overlap
from friedel.simulate.patterns.noise import Noise, expose
from friedel.simulate.patterns.render import SpotShape, render
from friedel.spots.dog import Dog, filter_stack, find_spots

PHASES = load_phases(["nmc811-o3", "nmc811-o1"])
O3, O1 = PHASES.crystals
BEAM = Beam(300.0, 0.8)
GRID = ReciprocalGrid((0.0165, 0.0165), (63.5, 63.5))
ANNULUS = (0.34, 1.03)
OPTIONS = CountOptions(spacing_deg=4.0, per_phase=8)
SIGMA_PX = 1.1


@pytest.fixture(scope="module")
def bank() -> TemplateBank:
    return build_bank(PHASES, BEAM, ANNULUS, spacing_deg=OPTIONS.spacing_deg, radial_step_inv_a=0.0165)


def spots_of(
    crystal: Crystal, uvw: tuple[int, int, int] = (0, 0, 1), turn: float = 0.3, tilt: tuple[float, float] = (3.0, -2.0)
) -> SpotPattern:
    return diffract(orient(crystal, uvw, 1.2), BEAM, thickness_a=120.0, rotation_rad=turn, tilt_mrad=tilt)


def exposed(spots: SpotPattern | None, dose: float, n: int, seed: int = 0) -> NDArray[np.uint16]:
    """Several exposures of one pattern with a halo; of the film alone where there are no spots."""
    rng = np.random.default_rng(seed)
    nothing = SpotPattern(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), np.zeros(0), 1.0)
    noise = Noise(dose, halo_share=0.2, halo_width_inv_a=0.15, amorphous_share=0.0 if spots else 0.2)
    share = render(spots or nothing, GRID, (128, 128), SpotShape.of(BEAM, 0.8))
    return np.stack([expose(share, noise, GRID, rng) for _ in range(n)])


def maps_of(counts: NDArray[np.uint16]) -> CountMaps:
    detector = Dog(sigma_inv_a=SIGMA_PX * 0.0165, max_false_alarms=1.0)
    response = filter_stack(counts, detector, GRID)
    spots = find_spots(response, detector, ANNULUS)
    return map_counts(response.electrons, spots, np.zeros((len(counts), 2)), GRID, ANNULUS, sigma_px=SIGMA_PX)


def weigh(counts: NDArray[np.uint16], bank: TemplateBank, phases: PhaseSet = PHASES) -> PhaseEvidence:
    return weigh_phases(maps_of(counts), bank, phases, OPTIONS)


@pytest.mark.parametrize(("crystal", "own"), [(O3, 0), (O1, 1)], ids=["O3", "O1"])
@pytest.mark.parametrize("dose", [1000, 10_000])
def test_layered_phase_is_named_and_not_the_other(bank: TemplateBank, crystal: Crystal, own: int, dose: int) -> None:
    """O1 shows the ring of O3 as well, and O3 has no ring of its own within the pattern: absence tells it."""
    evidence = weigh(exposed(spots_of(crystal), dose, 6), bank)
    assert (evidence.single[:, own] > evidence.single[:, 1 - own] + 3.0).mean() > 0.8
    presence = presence_of(evidence)
    assert (presence[:, own] > 0.5).all()


def test_two_hundred_electrons_are_enough_for_a_hexagon(bank: TemplateBank) -> None:
    """Spots of a few electrons each, of which hardly any stands out on its own."""
    counts = exposed(spots_of(O1), 200, 10)
    assert (weigh(counts, bank).single[:, 1] > 5.0).mean() > 0.8


def test_amorphous_film_and_vacuum_are_nothing(bank: TemplateBank) -> None:
    for dose in (200, 10_000):
        evidence = weigh(exposed(None, dose, 8), bank)
        assert (evidence.single < 0.0).all()
        assert (presence_of(evidence) < 0.5).all()
    assert (weigh(np.zeros((2, 128, 128), dtype=np.uint16), bank).single < 0.0).all()


def test_silicon_is_more_like_a_lattice_than_like_either_phase(bank: TemplateBank) -> None:
    """Si [110] has spots at 0.319, 0.521 and 0.611 1/Å, which no zone of O3 or O1 has together.

    Five of the six exposures are taken for both phases along the beam, none of them surely.
    """
    evidence = weigh(exposed(spots_of(load_phase("si"), (0, 1, 1)), 10_000, 6), bank)
    assert (evidence.foreign > evidence.single.max(axis=1)).all()
    presence = presence_of(evidence)
    assert (presence < 0.9).all()
    assert (presence >= 0.5).any(axis=1).sum() <= 5
    assert (shipped_judge().posterior(evidence.features)[:, 1:3] < 0.2).all()


def test_orientation_is_found(bank: TemplateBank) -> None:
    turn, tilt = 0.4, (8.0, -5.0)
    evidence = weigh(exposed(spots_of(O1, turn=turn, tilt=tilt), 10_000, 4), bank)
    uvw, rotation_deg, off_deg = name_orientations(O1, evidence.frame[:, 1])
    assert (uvw == (0, 0, 1)).all()
    # A hexagonal net repeats every 60 degrees.
    np.testing.assert_allclose((rotation_deg - np.rad2deg(turn) + 30.0) % 60.0 - 30.0, 0.0, atol=0.6)
    np.testing.assert_allclose(off_deg, np.rad2deg(np.hypot(*tilt) * 1e-3), atol=0.5)


@pytest.mark.parametrize("uvw", [(0, 0, 1), (0, 1, 0), (1, 1, 1), (1, 2, 0)])
@pytest.mark.parametrize("degrees", [0.0, 25.0, 140.0])
def test_orientation_is_named_as_the_simulation_lays_it(uvw: tuple[int, int, int], degrees: float) -> None:
    """Where the family has another member as its name, the rotation is that member's, so compare the patterns."""
    frame = np.array(zone_frame(O3, uvw))
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    turned = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ frame
    names, rotation_deg, off_deg = name_orientations(O3, turned[None])
    assert off_deg[0] == pytest.approx(0.0, abs=1e-3)
    here = spots_of(O3, uvw, angle, (0.0, 0.0))
    axis = (int(names[0, 0]), int(names[0, 1]), int(names[0, 2]))
    named = spots_of(O3, axis, float(np.deg2rad(rotation_deg[0])), (0.0, 0.0))
    strong = here.k_inv_a[here.share > 0.05 * here.share.max()]
    nearest = np.linalg.norm(strong[:, None] - named.k_inv_a[None], axis=2).min(axis=1)
    assert nearest.max() < 0.01


def test_strain_is_measured(bank: TemplateBank) -> None:
    grid = ReciprocalGrid((0.0165 * 1.004, 0.0165 * 1.004), (63.5, 63.5))
    counts = exposed(spots_of(O1), 50_000, 4)
    detector = Dog(sigma_inv_a=SIGMA_PX * 0.0165, max_false_alarms=1.0)
    response = filter_stack(counts, detector, grid)
    spots = find_spots(response, detector, ANNULUS)
    maps = map_counts(response.electrons, spots, np.zeros((4, 2)), grid, ANNULUS, sigma_px=SIGMA_PX)
    free = replace(OPTIONS, strain_sigma=0.02)
    assert np.median(weigh_phases(maps, bank, PHASES, free).strain[:, 1]) == pytest.approx(0.004, abs=0.001)


def test_two_crystals_in_different_orientations_are_both_found(bank: TemplateBank) -> None:
    column = overlap(spots_of(O3, (0, 1, 0), 0.2, (0.0, 0.0)), spots_of(O1, (0, 0, 1), 1.1, (0.0, 0.0)))
    evidence = weigh(exposed(column, 10_000, 4), bank)
    assert (evidence.pair[:, 0] > evidence.single.max(axis=1)).mean() >= 0.75


def test_equal_candidates_share_what_neither_can_claim(bank: TemplateBank) -> None:
    """Two names for one structure: neither may be sure."""
    twin = Crystal("twin", O1.cell, O1.space_group, O1.sites)
    twins = PhaseSet((O1, twin))
    both = build_bank(twins, BEAM, ANNULUS, spacing_deg=OPTIONS.spacing_deg, radial_step_inv_a=0.0165)
    evidence = weigh(exposed(spots_of(O1), 3000, 3), both, twins)
    np.testing.assert_allclose(evidence.single[:, 0], evidence.single[:, 1], atol=1e-2)
    only_first = shipped_judge().posterior(evidence.features)[:, hypotheses_of(2).index((0,))]
    assert (only_first < 0.5).all()


@pytest.mark.parametrize("dose", [300, 1000])
def test_a_layered_oxide_along_its_layers_normal_is_told_so(bank: TemplateBank, dose: int) -> None:
    """Its oxygen is almost cubic: another threefold axis, 71° off, shows six spots as well, within 0.6 % of theirs."""
    tilted = [exposed(spots_of(O3, turn=0.3 + 0.2 * i, tilt=(3.0 - i, i - 2.0)), dose, 2, seed=i) for i in range(8)]
    beam = weigh(np.concatenate(tilted), bank).frame[:, 0, 2]
    assert (np.abs(beam @ O3.unique_axis) > np.cos(np.deg2rad(5.0))).mean() > 0.8


def test_axes_of_low_index_are_likelier_before_looking_than_other_directions(bank: TemplateBank) -> None:
    axes = zone_axes(O3, 1) @ O3.direct_basis_a
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    own = bank.members(0)
    is_axis = np.abs(bank.frame[own, 2] @ axes.T) > 1.0 - 1e-9
    assert is_axis.any(axis=0).all()
    np.testing.assert_array_equal(bank.log_prior[own] > 0.0, is_axis.any(axis=1))


def test_orientations_are_ranked_as_by_a_correlation_in_double_precision(bank: TemplateBank) -> None:
    maps = maps_of(np.concatenate([exposed(spots_of(O3), 1000, 3), exposed(spots_of(O1, (1, 0, 0)), 300, 3)]))
    found = find_candidates(maps, bank, len(PHASES), per_phase=8).template[:, 0]
    own = bank.spectra[0]
    waves = np.fft.rfft(_polar(maps, bank, slice(0, 6), None).astype(np.float64), axis=2)[..., :FREQUENCIES]
    real, imag = np.split(own.coefficients.astype(np.float64), 2, axis=1)
    products = np.einsum("nrf,frt->ntf", waves[:, own.rows], real - 1j * imag)
    score = np.fft.irfft(products, AZIMUTHS, axis=2).max(axis=2)
    ranked = -np.sort(-score, axis=1)[:, :8]
    np.testing.assert_allclose(np.take_along_axis(score, found, axis=1), ranked, rtol=0.004)


def test_a_direction_that_is_likelier_before_looking_is_refined_to_the_end(bank: TemplateBank) -> None:
    maps = maps_of(exposed(spots_of(O3), 1000, 1))
    rough = find_candidates(maps, bank, len(PHASES), per_phase=20)
    last = int(rough.template[0, 0, -1])
    favoured = replace(bank, log_prior=np.where(np.arange(len(bank.phase)) == last, 1000.0, 0.0))
    assert last not in refine(maps, replace(bank, log_prior=0.0 * bank.log_prior), rough, OPTIONS).template
    assert last in refine(maps, favoured, rough, OPTIONS).template


def test_pattern_does_not_depend_on_its_neighbours(bank: TemplateBank) -> None:
    counts = np.concatenate([exposed(spots_of(O1), 800, 3), exposed(None, 800, 2), exposed(spots_of(O3), 5000, 2)])
    whole = weigh(counts, bank)
    for i in range(len(counts)):
        alone = weigh(counts[i : i + 1], bank)
        for name in ("foreign", "single", "pair", "features", "frame", "strain", "claimed"):
            assert getattr(alone, name)[0].tobytes() == getattr(whole, name)[i].tobytes()


def test_free_lattice_is_found_among_spots_and_not_among_random_ones() -> None:
    ordered = free_lattice_evidence(maps_of(exposed(spots_of(O1), 10_000, 2)), ANNULUS)
    assert (ordered > 20.0).all()
    rng = np.random.default_rng(3)
    angle, radius = rng.uniform(0, 2 * np.pi, 12), rng.uniform(0.4, 0.95, 12)
    k: FloatArray = radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    random = SpotPattern(np.zeros((12, 3), dtype=np.int64), k, np.full(12, 0.02), 0.76)
    assert (free_lattice_evidence(maps_of(exposed(random, 10_000, 4)), ANNULUS) < 12.0).all()
