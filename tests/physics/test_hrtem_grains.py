"""Naming grains from the positions of their spots alone: distances, angles, zones, absences, one scale error."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friedel.crystal import load_phase, zone_net
from friedel.identify.grains.distortion import fit_stretch
from friedel.identify.grains.evidence import hypotheses
from friedel.identify.grains.joint import Candidates, JointMatch, _of_spots, match_grains
from friedel.identify.grains.phase_model import cubic_models, in_plane, phase_model, zone_of
from friedel.identify.grains.plane_fit import EvidenceOptions, GrainSpots

ANNULUS = (0.2, 0.85)
LOG_RANGE = math.log(ANNULUS[1] / ANNULUS[0])
LISTED = ("li", "lif", "li2o", "li2co3", "lih", "nacl", "li3n")
MODELS = {name: phase_model(load_phase(name), (0.19, 0.9)) for name in LISTED}
CUBIC = cubic_models((0.19, 0.9))


def even(k: np.ndarray) -> np.ndarray:
    return np.zeros(len(k))


def spots_of(k: np.ndarray, log_snr: np.ndarray | None = None, sigma: float = 0.002) -> GrainSpots:
    n = len(k)
    snr = np.full(n, 6.0) if log_snr is None else log_snr
    return GrainSpots(k, np.full(n, sigma), np.full(n, sigma), snr, 3.0, ANNULUS[0])


def grain(name: str, uvw: tuple[int, int, int], *, azimuth_deg: float = 17.0, scale: float = 1.0,
          d_min_a: float = 1.3) -> np.ndarray:  # fmt: skip
    net = zone_net(load_phase(name), uvw, 1 / d_min_a)
    shown = (net.f2 > 0.05 * net.f2.max()) & ((net.k_inv_a[:, 0] > 1e-9) | (net.k_inv_a[:, 1] > 1e-9))
    shown &= (net.k_inv_a[:, 0] > 1e-9) | (np.abs(net.k_inv_a[:, 0]) <= 1e-9)
    c, s = math.cos(math.radians(azimuth_deg)), math.sin(math.radians(azimuth_deg))
    return scale * net.k_inv_a[shown] @ np.array([[c, -s], [s, c]])


def name(grains: list[np.ndarray], phases: list[str], scale_sigma: float = 0.015, **kwargs) -> JointMatch:
    candidates = Candidates(tuple(MODELS[p] for p in phases), np.ones(len(phases)), CUBIC, LOG_RANGE, scale_sigma, even)
    numbers = np.repeat(np.arange(len(grains)), [len(g) for g in grains])
    return match_grains(spots_of(np.concatenate(grains), **kwargs), numbers, candidates)


FOUR = ["li", "lif", "li2o", "li2co3"]


@pytest.mark.parametrize(
    ("phase", "uvw"), [("li", (0, 0, 1)), ("lif", (0, 1, 1)), ("li2o", (0, 1, 1)), ("li2co3", (0, 0, 1))]
)
def test_grain_along_a_zone_is_named(phase, uvw):
    found = name([grain(phase, uvw)], FOUR)
    assert found.grain_posterior[0, FOUR.index(phase)] > 0.8
    assert found.posterior[:, FOUR.index(phase)].min() > 0.8


def test_distances_that_fit_at_angles_that_do_not_are_worth_little():
    pair = grain("lif", (0, 1, 1))[:2]
    c, s = math.cos(math.radians(9)), math.sin(math.radians(9))
    turned = np.stack([pair[0], pair[1] @ np.array([[c, -s], [s, c]])])

    def best(k: np.ndarray) -> float:
        return hypotheses(spots_of(k), MODELS["lif"], LOG_RANGE, 0.05, even, EvidenceOptions())[0].log_weight

    assert best(pair) > best(turned) + 3
    assert name([turned], FOUR).grain_posterior[0, 1] < 0.5 < name([pair], FOUR).grain_posterior[0, 1]


@settings(max_examples=20, deadline=None)
@given(turn=st.floats(0, 360), mirror=st.booleans())
def test_names_do_not_depend_on_rotation_or_handedness(turn, mirror):
    still = name([grain("li2co3", (0, 0, 1), azimuth_deg=0.0)], FOUR)
    k = grain("li2co3", (0, 0, 1), azimuth_deg=turn) * ([1, -1] if mirror else [1, 1])
    np.testing.assert_allclose(name([k], FOUR).grain_posterior, still.grain_posterior, atol=1e-6)


def test_one_scale_error_of_three_percent_is_found_by_the_grains_together():
    grains = [grain("lif", (0, 1, 1), scale=1.03), grain("li2o", (0, 1, 1), scale=1.03),
              grain("li2co3", (0, 0, 1), scale=1.03)]  # fmt: skip
    found = name(grains, FOUR)
    assert found.scale == pytest.approx(1.03, abs=0.004)
    assert found.grain_posterior.argmax(axis=1).tolist() == [1, 2, 3]
    assert found.grain_posterior.max(axis=1).min() > 0.95


def test_pure_change_of_scale_between_lif_and_lih_is_decided_by_the_other_grain():
    alone = name([grain("lih", (0, 0, 1))], ["li", "lif", "lih"])
    with_li = name([grain("lih", (0, 0, 1)), grain("li", (1, 1, 1)), grain("li", (0, 0, 1))], ["li", "lif", "lih"])
    assert alone.grain_posterior[0, 2] < 0.7
    assert with_li.grain_posterior[0, 2] > 0.85


def test_extinct_002_of_li2o_is_twice_diffracted_and_no_lif():
    k = grain("li2o", (0, 1, 1))
    short = k[np.argsort(np.hypot(*k.T))[:2]]
    twice = short[0] - short[1] if np.hypot(*(short[0] - short[1])) < 0.5 else short[0] + short[1]
    assert 1 / np.hypot(*twice) == pytest.approx(2.307, abs=0.01)  # 0.8 % from LiF 111
    found = name([np.concatenate([k, twice[None]])], FOUR)
    assert found.posterior[-1, 2] > 0.8
    assert found.posterior[-1, 1] < 0.05
    row = found.rows[-1, 2]
    assert MODELS["li2o"].relative_f2[row] < 0.01


def test_double_diffraction_lights_up_002_of_silicon_along_110_and_200_along_no_other_zone():
    silicon = phase_model(load_phase("si"), (0.19, 0.9))

    def shown(uvw: tuple[int, int, int]) -> dict[tuple[int, ...], bool]:
        rows, vanishes = in_plane(silicon, uvw)
        return {tuple(np.abs(h)): bool(v) for h, v in zip(silicon.hkl[rows].tolist(), vanishes, strict=True)}

    assert shown((1, -1, 0))[0, 0, 2]
    assert not shown((1, -1, 0))[1, 1, 1]
    assert (0, 2, 0) not in shown((0, 0, 1))
    rows, _ = in_plane(MODELS["lif"], (0, 0, 1))
    assert all((hkl % 2 == 0).all() for hkl in MODELS["lif"].hkl[rows])  # centring is no matter of double diffraction


def test_strong_reflection_that_is_missing_speaks_against_a_phase_unless_the_lens_hides_it():
    k = grain("lif", (0, 1, 1))
    d = 1 / np.hypot(*k.T)
    without = spots_of(k[np.abs(d - 2.014) > 0.05])

    def hides(at: np.ndarray) -> np.ndarray:
        return np.where(np.abs(1 / np.hypot(*at.T) - 2.014) < 0.05, -6.0, 0.0)

    def best(gain) -> float:
        return max(h.log_weight for h in hypotheses(without, MODELS["lif"], LOG_RANGE, 0.05, gain, EvidenceOptions()))

    assert best(hides) > best(even) + 0.5


@pytest.mark.parametrize("orders", [(1, 2), (2, 1), (1, 2, 3)])
def test_single_row_of_a_tilted_grain_is_named(orders):
    """00l of Li3N, c = 3.875 Å, with another grain that sets the scale."""
    row = np.outer(orders, [0.6, 0.8]) / 3.875
    match = name([grain("li", (0, 0, 1)), row, grain("lif", (0, 0, 1))], [*FOUR, "li3n"])
    assert (match.posterior[match.grains == match.grains[4]][:, 4] > 0.8).all()
    assert match.posterior[match.grains == match.grains[4], 4].size == len(orders)


def test_single_row_that_no_phase_has_is_unknown():
    row = np.outer([1, 2], [0.6, 0.8]) / 3.45
    match = name([grain("li", (0, 0, 1)), row, grain("lif", (0, 0, 1))], [*FOUR, "li3n"])
    assert (match.posterior[match.grains == match.grains[4]][:, -1] > 0.9).all()


def test_crystal_that_is_not_listed_is_unknown():
    found = name([grain("nacl", (0, 1, 1)), grain("nacl", (1, 1, 1))], FOUR)
    assert found.grain_posterior[:, -1].min() > 0.8
    assert found.unknown_share > 0.4


def test_cubic_net_that_only_an_odd_scale_would_explain_is_not_named_surely():
    right, odd = (name([grain("lif", (0, 0, 1), scale=s)], FOUR).grain_posterior[0, 1] for s in (1.0, 1.05))
    assert right > 0.95 > odd


def test_lone_spot_that_phases_share_is_not_given_to_one():
    found = name([np.array([[0.33, 0.2305]])], FOUR)  # 2.484 Å: Li 011 or Li2CO3 020
    assert found.posterior[0, 0] < 0.9
    assert found.posterior[0, 3] > 0.03


def test_lone_match_is_not_believed_where_all_else_is_unknown():
    rng = np.random.default_rng(4)
    match = np.array([[0.0, 1 / 2.014]])
    far = np.array([3.9, 3.7, 3.4, 3.2, 2.2, 1.9, 1.85, 1.5])
    angle = rng.uniform(0, np.pi, len(far))
    others = [np.array([[np.sin(a), np.cos(a)]]) / d for a, d in zip(angle, far, strict=True)]
    alone, among = name([match], ["lif"], 0.003), name([match, *others], ["lif"], 0.003)
    assert among.posterior[0, 0] < alone.posterior[0, 0] - 0.05
    assert among.unknown_share > 0.6


def test_spot_of_another_phase_in_a_grain_is_set_apart():
    k = np.concatenate([grain("li2o", (0, 1, 1)), [[0.11, 0.2175]]])  # 4.10 Å: none of the plane
    found = name([k], FOUR)
    assert found.posterior[-1, 2] < 0.1
    assert found.grains[-1] != found.grains[0]


def test_probabilities_of_spots_and_grains_add_up_to_one():
    found = name([grain("li", (1, 1, 1)), grain("lif", (0, 0, 1)), np.array([[0.1, 0.24]])], FOUR)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(found.grain_posterior.sum(axis=1), 1, atol=1e-9)


def test_family_shares_and_zone_of_two_reflections():
    for model in MODELS.values():
        assert model.first_share.sum() == pytest.approx(1)
    assert zone_of(np.array([2, 0, 0]), np.array([0, 2, 0])) == (0, 0, 1)


def test_stretch_of_pixels_is_fitted_from_known_reflections():
    k = np.concatenate([grain("lif", (0, 1, 1), azimuth_deg=a) for a in (0.0, 40.0)])
    matrix = np.array([[1.008, 0.004], [0.004, 0.992]])
    fitted = fit_stretch(
        1.01 * k @ matrix.T, np.hypot(*k.T), np.full(len(k), 0.001), scale_sigma=0.02, stretch_sigma=0.02
    )
    np.testing.assert_allclose(fitted.matrix, matrix, atol=5e-4)
    assert fitted.sigma < 0.001
    np.testing.assert_allclose(fitted.undo(k @ fitted.matrix.T), k, atol=1e-12)
    none = fit_stretch(np.zeros((0, 2)), np.zeros(0), np.zeros(0), scale_sigma=0.02, stretch_sigma=0.02)
    np.testing.assert_allclose(none.matrix, np.eye(2))
    assert none.sigma == pytest.approx(0.02)


def test_error_of_a_grains_lattice_is_shared_by_its_spots():
    k = grain("li2o", (0, 1, 1), scale=1.006)
    few = hypotheses(spots_of(k[:3]), MODELS["li2o"], LOG_RANGE, 0.05, even, EvidenceOptions())[0]
    stiff = replace(EvidenceOptions(), lattice_tolerance=1e-6)
    exact = hypotheses(spots_of(k[:3]), MODELS["li2o"], LOG_RANGE, 0.05, even, stiff)[0]
    assert few.centre == pytest.approx(-0.006, abs=1e-3)
    assert 1 / few.curvature == pytest.approx(1 / exact.curvature + 0.003**2, rel=1e-4)


def test_probability_of_a_spot_never_exceeds_one_by_rounding():
    ways = [SimpleNamespace(rows=np.array([0, 1, 2]))] * 18
    found, _ = _of_spots(ways, np.full(18, 1 / 18))
    assert np.all(found <= 1)
    np.testing.assert_allclose(found, 1)
