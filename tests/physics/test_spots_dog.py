"""The detector of spots keeps its word: false alarms, positions and their errors, whatever the camera's gain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, special

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.errors import CalibrationError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern
from friedel.core.spots import Spots
from friedel.patterns.repair import estimate_gain
from friedel.spots.dog import Dog, filter_stack, find_spots, measure_spot_sigma
from friedel.spots.maxima import highest

N = 96
STEP = 0.02
GRID = ReciprocalGrid((STEP, STEP), ((N - 1) / 2, (N - 1) / 2))
ANNULUS = (0.2, 0.9)
SIGMA_PX = 1.5
DETECTOR = Dog(sigma_inv_a=SIGMA_PX * STEP)


def detect(patterns: AnyArray, detector: Dog = DETECTOR, *, gain: float = 1.0, valid: BoolArray | None = None) -> Spots:
    return find_spots(filter_stack(patterns, detector, GRID, gain=gain, valid=valid), detector, ANNULUS, valid=valid)


def spot(at_px: FloatArray, electrons: float, sigma_px: float = SIGMA_PX) -> FloatArray:
    """Gaussian spots at positions (n, 2), integrated over each pixel: (n, N, N)."""
    edges = np.arange(N + 1) - 0.5
    y, x = (np.diff(0.5 * special.erf((edges - at_px[:, i, None]) / sigma_px / np.sqrt(2)), axis=1) for i in (0, 1))
    return np.asarray(electrons * y[:, :, None] * x[:, None, :])


def hexagon_of_spots(electrons: float, background: float, seed: int, n: int = 60) -> AnyArray:
    angle = 0.2 + np.arange(6) * np.pi / 3
    at = GRID.px_of(0.6 * np.stack([np.sin(angle), np.cos(angle)], axis=1))
    return np.random.default_rng(seed).poisson(spot(at, electrons).sum(axis=0) + background, (n, N, N)).astype(float)


def found_share(spots: Spots) -> tuple[float, float]:
    """Share of the six spots that were found, and false spots per pattern."""
    ky, kx = spots.k_inv_a.T
    off = np.abs((np.arctan2(ky, kx) - 0.2 + np.pi / 6) % (np.pi / 3) - np.pi / 6) * 0.6
    hit = (off < 2 * STEP) & (np.abs(spots.radius_inv_a - 0.6) < 2 * STEP)
    return float(hit.sum()) / 6.0 / spots.n_patterns, float((~hit).sum()) / spots.n_patterns


@pytest.mark.parametrize("electrons_per_pixel", [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
def test_noise_alone_raises_no_more_alarms_than_stated(electrons_per_pixel: float) -> None:
    n = 80
    counts = np.random.default_rng(0).poisson(electrons_per_pixel, (n, N, N))
    for allowed in (0.1, 1.0):
        alarms = len(detect(counts, Dog(sigma_inv_a=DETECTOR.sigma_inv_a, max_false_alarms=allowed)))
        assert alarms <= allowed * n + 3.0 * np.sqrt(allowed * n)


def test_fewer_alarms_allowed_means_fewer_spots() -> None:
    counts = np.random.default_rng(1).poisson(0.3, (60, N, N))
    n = [len(detect(counts, Dog(DETECTOR.sigma_inv_a, max_false_alarms=f))) for f in (0.1, 1.0, 10.0)]
    assert n[0] < n[1] < n[2]


@pytest.mark.parametrize("sigma_px", [1.0, 1.5, 2.5])
@pytest.mark.parametrize(("electrons", "background"), [(100, 0.02), (300, 0.3), (1000, 3.0), (10000, 0.3)])
def test_positions_are_unbiased_and_their_errors_true(sigma_px: float, electrons: float, background: float) -> None:
    n = 150
    rng = np.random.default_rng(2)
    true = np.array([24.0, 70.0]) + rng.uniform(-0.5, 0.5, (n, 2))
    detector = Dog(sigma_inv_a=sigma_px * STEP)
    spots = detect(rng.poisson(spot(true, electrons, sigma_px) + background), detector)
    pulls = []
    for i in range(n):
        of = spots.of(i)
        off = GRID.px_of(of.k_inv_a) - true[i]
        nearest = int(np.argmin(np.hypot(off[:, 0], off[:, 1])))
        pulls.append(off[nearest] * STEP / of.sigma_inv_a[nearest])
    pull = np.array(pulls)
    assert np.abs(pull.mean(axis=0)).max() < 4.0 / np.sqrt(n)
    assert 0.85 < pull.std() < 1.25


def test_electrons_of_a_spot_are_counted() -> None:
    true = np.tile([30.2, 60.7], (40, 1))
    spots = detect(np.random.default_rng(3).poisson(spot(true, 1000.0) + 0.3))
    # The wide Gaussian, which measures the surroundings, holds a fifth of the spot itself.
    assert np.median(spots.intensity) == pytest.approx(1000.0, rel=0.25)


@pytest.mark.parametrize("gain", [50.0, 0.01])
def test_gain_of_the_camera_changes_nothing(gain: float) -> None:
    counts = hexagon_of_spots(40.0, 0.3, seed=4)
    plain, scaled = detect(counts), detect(gain * counts, gain=gain)
    assert len(plain) == len(scaled)
    np.testing.assert_allclose(scaled.k_inv_a, plain.k_inv_a, atol=1e-4)
    np.testing.assert_allclose(scaled.intensity, plain.intensity, rtol=1e-3)


@pytest.mark.parametrize("background", [0.02, 0.3, 3.0])
def test_blur_and_unknown_gain_hardly_change_what_is_found(background: float) -> None:
    counts = hexagon_of_spots(60.0, background, seed=5)
    blurred = 50.0 * ndimage.gaussian_filter(counts, (0, 0.6, 0.6))
    share, false = found_share(detect(counts))
    share_blurred, false_blurred = found_share(detect(blurred, gain=estimate_gain(blurred)))
    assert share > 0.4
    assert share_blurred == pytest.approx(share, abs=0.15)
    assert false < 0.1
    assert false_blurred < 0.4


@pytest.mark.parametrize("background", [0.02, 0.3])
def test_bright_spots_do_not_hide_faint_ones_of_their_ring(background: float) -> None:
    angle = 0.2 + np.arange(6) * np.pi / 3
    at = GRID.px_of(0.6 * np.stack([np.sin(angle), np.cos(angle)], axis=1))
    electrons = np.array([5000.0, 60.0, 5000.0, 60.0, 5000.0, 60.0])
    mean = np.einsum("n,nyx->yx", electrons, spot(at, 1.0)) + background
    share, false = found_share(detect(np.random.default_rng(14).poisson(mean, (60, N, N))))
    assert share > 0.95
    assert false < 0.1


def test_spike_is_no_spot() -> None:
    rng = np.random.default_rng(6)
    counts = rng.poisson(0.1, (60, N, N))
    for value in (100, 2000, 60000):
        counts[np.arange(60), rng.integers(5, N - 5, 60), rng.integers(5, N - 5, 60)] = value
    assert len(detect(counts)) <= 10


def test_pixels_that_tell_nothing_make_no_spot() -> None:
    rng = np.random.default_rng(7)
    counts = rng.poisson(0.3, (40, N, N)).astype(float)
    valid = np.ones((N, N), dtype=bool)
    valid[10], valid[:, 70], valid[40:60, 15:30] = False, False, False
    counts[:, ~valid] = 1e5
    assert len(detect(counts, valid=valid)) <= 12
    counts[:, ~valid] = np.nan
    assert len(detect(counts, valid=valid)) <= 12


def test_spot_is_found_at_any_place_and_the_brightest_comes_first() -> None:
    at = np.array([[20.0, 47.5], [70.0, 30.0], [47.5, 80.0]])
    mean = (spot(at, 1.0) * np.array([200.0, 800.0, 400.0])[:, None, None]).sum(axis=0) + 0.1
    spots = detect(np.random.default_rng(8).poisson(mean, (1, N, N)))
    np.testing.assert_allclose(GRID.px_of(spots.k_inv_a), at[[1, 2, 0]], atol=0.5)
    assert (np.diff(spots.intensity) < 0).all()


def test_only_the_annulus_is_searched() -> None:
    at = np.array([[47.5, 47.5], [47.5, 53.0], [47.5, 70.0], [3.0, 3.0]])
    spots = detect(np.random.default_rng(9).poisson(spot(at, 500.0).sum(axis=0) + 0.1, (1, N, N)))
    np.testing.assert_allclose(GRID.px_of(spots.k_inv_a), [[47.5, 70.0]], atol=0.5)


def test_annulus_outside_the_pattern_names_the_options() -> None:
    response = filter_stack(np.zeros((1, N, N)), DETECTOR, GRID)
    with pytest.raises(CalibrationError, match=r"2 to 3 1/Å.*--step-inv-a and --annulus-inv-a"):
        find_spots(response, DETECTOR, (2.0, 3.0))


def test_annulus_of_a_few_pixels_is_searched() -> None:
    counts = np.random.default_rng(15).poisson(spot(np.array([[47.0, 60.0]]), 500.0) + 0.1)
    response = filter_stack(counts, DETECTOR, GRID)
    assert len(find_spots(response, DETECTOR, (0.249, 0.251))) <= 1


def test_unknown_width_and_impossible_settings_are_refused() -> None:
    with pytest.raises(CalibrationError, match="spot width"):
        filter_stack(np.zeros((1, N, N)), Dog(), GRID)
    for settings in ({"sigma_inv_a": -0.1}, {"ratio": 1.0}, {"max_false_alarms": 0.0}):
        with pytest.raises(CalibrationError):
            Dog(**settings)


def test_empty_pattern_holds_no_spots() -> None:
    assert len(detect(np.zeros((3, N, N), dtype=np.uint8))) == 0


def test_detector_works_on_one_pattern() -> None:
    counts = hexagon_of_spots(500.0, 0.3, seed=10, n=1)[0]
    assert len(DETECTOR.find(Pattern(counts, GRID), ANNULUS)) == 6


def test_anisotropic_pixels_and_ellipse_enter_the_positions() -> None:
    grid = ReciprocalGrid((0.02, 0.03), (47.5, 47.5), np.diag([1.0, 1.05]))
    counts = np.random.default_rng(11).poisson(spot(np.array([[60.0, 60.0]]), 2000.0) + 0.1)
    detector = Dog(sigma_inv_a=SIGMA_PX * 0.025)
    spots = find_spots(filter_stack(counts, detector, grid), detector, ANNULUS)
    np.testing.assert_allclose(spots.k_inv_a[0], [12.5 * 0.02, 12.5 * 0.03 * 1.05], atol=0.003)


@pytest.mark.parametrize("sigma_px", [1.0, 1.5, 2.0])
def test_width_of_spots_is_measured(sigma_px: float) -> None:
    angle = np.arange(6) * np.pi / 3
    at = GRID.px_of(0.6 * np.stack([np.sin(angle), np.cos(angle)], axis=1))
    counts = np.random.default_rng(12).poisson(spot(at, 3000.0, sigma_px).sum(axis=0) + 0.3, (10, N, N))
    response = filter_stack(counts, Dog(sigma_inv_a=2.3 * STEP), GRID)
    assert measure_spot_sigma(response, ANNULUS) == pytest.approx(sigma_px, rel=0.15)


def test_width_of_few_faint_spots_is_not_measured() -> None:
    counts = np.random.default_rng(13).poisson(0.3, (4, N, N))
    assert measure_spot_sigma(filter_stack(counts, DETECTOR, GRID), ANNULUS) == pytest.approx(SIGMA_PX)


@pytest.mark.parametrize("reach", [1, 2, 4])
def test_highest_pixels_are_those_that_a_filter_of_all_finds(reach: int) -> None:
    stack = np.random.default_rng(reach).poisson(3.0, (4, 30, 40)).astype(np.float32)
    top = ndimage.maximum_filter(stack, size=(1, 2 * reach + 1, 2 * reach + 1), mode="nearest")
    found = highest(stack, np.argwhere(stack >= 4.0), reach)
    np.testing.assert_array_equal(found, np.argwhere((stack == top) & (stack >= 4.0)))


def test_wide_spot_with_a_rough_top_is_found_once_mostly() -> None:
    """A disk of five pixels has maxima none of which is round; a wider look finds one, not again beside one found."""
    at, (y, x) = np.array([30.3, 60.2]), np.indices((N, N))
    disk = np.hypot(y - at[0], x - at[1]) < 5.0
    found = detect(np.random.default_rng(5).poisson(np.where(disk, 400.0, 4.0), (40, N, N)))
    off = np.hypot(*(GRID.px_of(found.k_inv_a) - at).T)
    assert (np.add.reduceat(off < 3.0, found.offsets[:-1]) >= 1).all()
    assert len(found) < 1.5 * 40


def test_no_patterns_have_no_spots() -> None:
    assert len(detect(np.zeros((0, N, N), dtype=np.uint16))) == 0
