"""The shipped network: the same answer however patterns are grouped, and denoised scans that are what they were."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from friedel.core.errors import DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import Pattern, PatternScan
from friedel.nets.cards import DEFAULT_WEIGHTS, WeightsError, find_card, shipped_names, verify_weights
from friedel.nets.denoise import ScanDenoiser, denoise_scan
from friedel.nets.detector import NetDetector, map_spots, sum_pixels
from friedel.nets.inference import Network, invert_about, load_network, stabilise, trust_at, unstabilise
from friedel.nets.spot_map import Trust, find_peaks
from friedel.patterns.survey import survey_scan
from friedel.spots.dog import Dog

CENTRE = (31.0, 39.5)


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network(DEFAULT_WEIGHTS)


def _mean_pattern(shape=(64, 80), centre=CENTRE, radius_px=18.0, turn=0.2):
    rows, columns = np.indices(shape)
    light = 0.6 * np.exp(-0.5 * ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 1.2) / (2 * np.pi * 1.2)
    light += 0.1 / light.size
    for angle in turn + np.arange(6) * np.pi / 3:
        dy, dx = rows - centre[0] - radius_px * np.sin(angle), columns - centre[1] - radius_px * np.cos(angle)
        light += 0.05 * np.exp(-0.5 * (dy**2 + dx**2) / 1.2) / (2 * np.pi * 1.2)
    return light


def _counts(n, dose=800.0, seed=0):
    return np.random.default_rng(seed).poisson(dose * _mean_pattern(), (n, 64, 80)).astype(np.float32)


def test_what_ships_is_what_its_cards_describe() -> None:
    assert DEFAULT_WEIGHTS in shipped_names()
    for name in shipped_names():
        card = verify_weights(find_card(name))
        assert card.metrics
        assert card.limits
        assert card.licence == "GPL-3.0-or-later"


def test_an_unknown_network_is_named_with_what_there_is() -> None:
    with pytest.raises(WeightsError, match=DEFAULT_WEIGHTS):
        load_network("no-such-network")


def test_the_answer_for_a_pattern_does_not_depend_on_what_stands_beside_it(network: Network) -> None:
    counts, centres = _counts(5), np.tile(CENTRE, (5, 1))
    together = network.run(counts, centres)
    alone = [network.run(counts[i : i + 1], centres[:1]) for i in range(5)]
    for k in range(2):
        np.testing.assert_array_equal(together[k], np.concatenate([a[k] for a in alone]))
    again = pickle.loads(pickle.dumps(network)).run(counts, centres)
    np.testing.assert_array_equal(together[0], again[0])


def test_sizes_that_are_no_multiples_of_the_stride_are_padded(network: Network) -> None:
    counts = _counts(1)
    for shape in ((63, 79), (50, 70)):
        denoised, probability = network.run(counts[:, : shape[0], : shape[1]], np.array([CENTRE]))
        assert denoised.shape == probability.shape == (1, *shape)
        assert np.isfinite(denoised).all()
    with pytest.raises(DataError, match="centres"):
        network.run(counts, np.zeros((2, 2)))


def test_electrons_are_kept_and_noise_is_not(network: Network) -> None:
    mean = 800.0 * _mean_pattern()
    counts = _counts(8)
    denoised, probability = network.run(counts, np.tile(CENTRE, (8, 1)))
    assert denoised.sum() == pytest.approx(counts.sum(), rel=0.1)
    before = np.mean((stabilise(counts) - stabilise(mean)) ** 2)
    after = np.mean((stabilise(denoised) - stabilise(mean)) ** 2)
    assert after < 0.3 * before
    assert ((probability >= 0) & (probability <= 1)).all()


def test_more_electrons_than_the_network_knows_are_scaled(network: Network) -> None:
    mean = (2.0e7 * _mean_pattern()).astype(np.float32)[None]
    denoised, probability = network.run(mean, np.array([CENTRE]))
    assert denoised.sum() == pytest.approx(mean.sum(), rel=0.1)
    quarter, same = network.run(mean / 4, np.array([CENTRE]))  # both are seen as of the most electrons that it knows
    np.testing.assert_allclose(4 * quarter, denoised, rtol=1e-4, atol=1.0)
    np.testing.assert_allclose(same, probability, atol=1e-4)


def test_transforms_undo_each_other_and_inversion_swaps_partners() -> None:
    n = np.array([0.0, 0.3, 1.0, 50.0, 1e5], dtype=np.float32)
    np.testing.assert_allclose(unstabilise(stabilise(n)), n, rtol=1e-3, atol=1e-6)
    assert stabilise(np.zeros(1)) == pytest.approx(0.0, abs=1e-6)
    image = np.zeros((20, 31), dtype=np.float32)
    image[4, 7] = 1.0
    assert np.argwhere(invert_about(image, (9.5, 15.0))).tolist() == [[15, 23]]


def test_the_network_finds_the_spots_where_they_are(network: Network) -> None:
    grid = ReciprocalGrid((0.02, 0.025), CENTRE)
    pattern = Pattern(_counts(1, dose=2000.0)[0], grid)
    detector = NetDetector(network, Dog(sigma_inv_a=1.2 * 0.022))
    spots = detector.find(pattern, (0.15, 0.6))
    found = grid.px_of(spots.k_inv_a)
    angle = 0.2 + np.arange(6) * np.pi / 3
    true = np.array(CENTRE) + 18.0 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    assert len(spots) == 6
    assert np.hypot(*(found[:, None] - true[None]).transpose(2, 0, 1)).min(axis=0).max() < 1.0
    assert (np.diff(spots.intensity) <= 0).all()
    assert spots.intensity.sum() == pytest.approx(2000.0 * 0.3, rel=0.4)
    assert (spots.sigma_inv_a > 0).all()
    assert (spots.sigma_inv_a[:, 1] > spots.sigma_inv_a[:, 0]).all()  # in the unit of each axis


def test_wide_spots_are_looked_at_in_summed_pixels(network: Network) -> None:
    wide = np.kron(_counts(1, dose=3000.0)[0] / 16.0, np.ones((4, 4), dtype=np.float32))[None]
    centre = np.array([[4 * CENTRE[0] + 1.5, 4 * CENTRE[1] + 1.5]])
    probability = map_spots(network, wide, centre, sigma_px=4.8)
    assert probability.shape == wide.shape
    _, px, _ = find_peaks(probability, Trust(0.3))
    radius = np.hypot(*(px - centre).T)
    assert np.count_nonzero(np.abs(radius - 72.0) < 4.0) == 6
    assert sum_pixels(wide, 2).sum() == pytest.approx(wide.sum(), rel=1e-5)


def test_a_lone_maximum_must_be_surer_than_one_of_many() -> None:
    image = np.zeros((2, 30, 30), dtype=np.float32)
    image[0, 5, 5] = 0.7
    image[1, [5, 10, 15, 20], [5, 10, 15, 20]] = 0.7
    pattern, _, height = find_peaks(image, Trust(0.5, sure=0.9))
    assert pattern.tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(height, 0.7)
    assert len(find_peaks(image, Trust(0.5))[0]) == 5
    assert len(find_peaks(image, Trust(0.8))[0]) == 0
    assert find_peaks(image, Trust(np.array([0.5, 0.8])))[0].tolist() == [0]


def test_a_faint_spot_counts_beside_a_sure_one_unless_that_one_is_the_beam() -> None:
    image = np.zeros((1, 30, 30), dtype=np.float32)
    image[0, 15, 15], image[0, 5, 5] = 0.95, 0.2
    trust = Trust(0.1, sure=0.6)
    assert find_peaks(image, trust)[1].tolist() == [[15, 15], [5, 5]]
    allowed = np.ones((30, 30), dtype=bool)
    allowed[12:18, 12:18] = False
    assert len(find_peaks(image, trust, allowed)[0]) == 0


def test_trust_follows_the_electrons_that_a_pattern_shows(network: Network) -> None:
    points = network.card.points
    assert [p.electrons for p in points] == sorted(p.electrons for p in points)
    levels = [1.0, points[0].electrons, np.sqrt(points[0].electrons * points[1].electrons), 1e9]
    trust = trust_at(points, np.array(levels))
    halfway = (points[0].threshold + points[1].threshold) / 2
    np.testing.assert_allclose(trust.threshold, [points[0].threshold] * 2 + [halfway, points[-1].threshold])
    np.testing.assert_allclose(trust.sure[[0, 3]], [points[0].sure, points[-1].sure])
    of_patterns = network.trust(np.full((1, 10, 10), points[1].electrons / 100.0))
    assert of_patterns.threshold == pytest.approx(points[1].threshold)


@pytest.mark.parametrize("electrons", [30.0, 100.0, 1000.0, 10000.0])
def test_few_spots_are_seen_where_there_is_no_crystal(network: Network, electrons: float) -> None:
    rows, columns = np.indices((64, 80))
    radius = np.hypot(rows - CENTRE[0], columns - CENTRE[1])
    film = np.exp(-0.5 * (radius / 9.0) ** 2) / 300.0 + np.exp(-0.5 * ((radius - 22.0) / 3.0) ** 2) / 900.0
    light = film + 0.6 * np.exp(-0.5 * (radius / 1.1) ** 2)
    counts = np.random.default_rng(5).poisson(electrons * light / light.sum(), (60, 64, 80)).astype(np.float32)
    probability = network.run(counts, np.tile(CENTRE, (60, 1)))[1]
    found, _, _ = find_peaks(probability, network.trust(counts), radius > 4.0)
    assert len(found) <= 6


@pytest.fixture(scope="module")
def scan() -> PatternScan:
    mean = np.empty((4, 5, 64, 80))
    mean[:, :3], mean[:, 3:] = _mean_pattern(), _mean_pattern(turn=0.2 + np.pi / 6, radius_px=24.0)
    data = np.random.default_rng(4).poisson(600.0 * mean).astype(np.uint16)
    return PatternScan(data, ReciprocalGrid((0.02, 0.02), CENTRE), RealGrid((10.0, 10.0)))


@pytest.mark.parametrize("neighbours", [True, False])
def test_a_denoised_scan_is_the_same_whatever_part_is_read(network: Network, scan: PatternScan, neighbours) -> None:
    survey = survey_scan(scan, annulus_inv_a=(0.15, 0.6))
    clean = denoise_scan(survey, network, neighbours=neighbours)
    assert clean.data.shape == scan.data.shape
    assert clean.data.dtype == np.float32
    whole = clean.rows(0, 4)
    assert whole.mean() == pytest.approx(np.asarray(scan.data).mean(), rel=0.15)
    for key in (np.s_[2], np.s_[1:3], np.s_[3, 4], np.s_[-1, 1:3], np.s_[:, 2, 10:20, 5], np.s_[::2]):
        np.testing.assert_array_equal(denoise_scan(survey, network, neighbours=neighbours).data[key], whole[key])


@pytest.mark.parametrize("shape", [(20, 1), (1, 20)])
def test_patterns_of_a_list_are_no_neighbours(network: Network, scan: PatternScan, shape: tuple[int, int]) -> None:
    listed = replace(scan, data=np.asarray(scan.data).reshape(*shape, 64, 80), scan_grid=None)
    survey = survey_scan(listed, annulus_inv_a=(0.15, 0.6))
    alone = denoise_scan(survey, network, neighbours=False).rows(0, shape[0])
    np.testing.assert_array_equal(denoise_scan(survey, network, neighbours=True).rows(0, shape[0]), alone)


def test_neighbours_bring_a_denoised_pattern_nearer_to_the_truth(network: Network, scan: PatternScan) -> None:
    survey = survey_scan(scan, annulus_inv_a=(0.15, 0.6))
    wanted = stabilise(600.0 * _mean_pattern())
    error = [
        np.mean((stabilise(denoise_scan(survey, network, neighbours=n).data[1, 1]) - wanted) ** 2)
        for n in (True, False)
    ]
    assert error[0] < 0.8 * error[1]


def test_units_of_the_detector_are_kept(network: Network, scan: PatternScan) -> None:
    survey = survey_scan(scan, annulus_inv_a=(0.15, 0.6))
    louder = replace(survey, scan=replace(survey.scan, data=7 * np.asarray(scan.data)), gain=7 * survey.gain)
    np.testing.assert_allclose(
        denoise_scan(louder, network).data[1, 1], 7 * denoise_scan(survey, network).data[1, 1], rtol=1e-3, atol=1e-3
    )


def test_masked_pixels_do_not_matter(network: Network, scan: PatternScan) -> None:
    valid = np.ones((64, 80), dtype=bool)
    valid[20, 30] = valid[50:60, 60:70] = False
    survey = survey_scan(replace(scan, valid=valid), annulus_inv_a=(0.15, 0.6))
    spoilt = np.asarray(scan.data).copy()
    spoilt[..., ~valid] = 60000
    denoiser = ScanDenoiser.of(survey, network)
    np.testing.assert_array_equal(denoiser.electrons(spoilt[:2]), denoiser.electrons(np.asarray(scan.data)[:2]))


def test_stated_errors_of_positions_cover_the_real_ones(network: Network) -> None:
    grid = ReciprocalGrid((0.02, 0.02), CENTRE)
    angle = 0.2 + np.arange(6) * np.pi / 3
    true = np.array(CENTRE) + 18.0 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    pulls, away = [], []
    for counts in _counts(12, dose=1500.0, seed=9):
        spots = NetDetector(network, Dog(sigma_inv_a=1.1 * 0.02)).find(Pattern(counts, grid), (0.15, 0.6))
        apart = grid.px_of(spots.k_inv_a)[:, None] - true[None]
        nearest = np.hypot(*apart.transpose(2, 0, 1)).argmin(axis=1)
        pulls.append(apart[np.arange(len(spots)), nearest] / (spots.sigma_inv_a / 0.02))
        away.append(np.hypot(*apart[np.arange(len(spots)), nearest].T))
    is_true = np.concatenate(away) < 2.0
    assert is_true.sum() >= 60
    assert is_true.mean() > 0.95
    assert 0.7 < np.sqrt((np.concatenate(pulls)[is_true] ** 2).mean()) < 1.3
