"""Each part of the noise obeys its physics, and together they depend on the seed alone."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import ive

from friedel.core.arrays import FloatArray
from friedel.core.errors import DataError
from friedel.core.grids import ReciprocalGrid
from friedel.simulate.patterns.detector import Detector, DetectorRanges, blur, electrons_of, pixel_map, read_out, spread
from friedel.simulate.patterns.diffraction import SpotPattern
from friedel.simulate.patterns.noise import (
    Noise,
    NoiseRanges,
    add_amorphous,
    add_halo,
    beam_stop,
    count,
    dim_spots,
    distort,
    draw_noise,
    expect,
    expose,
    pattern_rng,
    salt_and_pepper,
)
from friedel.simulate.ranges import Range

SHAPE = (72, 100)
GRID = ReciprocalGrid((0.02, 0.015), (40.0, 45.0))
EVEN = np.full(SHAPE, 1.0 / np.prod(SHAPE))
WIDE = (301, 401)
WIDE_GRID = ReciprocalGrid((0.02, 0.015), (150.0, 200.0))


def impulse(shape: tuple[int, int], *at: tuple[int, int]) -> FloatArray:
    image = np.zeros(shape)
    for place in at:
        image[place] = 1.0
    return image


def moments(image: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centroid and variance along (y, x)."""
    axes = np.indices(image.shape)
    mean = (axes * image).sum(axis=(1, 2)) / image.sum()
    return mean, ((axes - mean[:, None, None]) ** 2 * image).sum(axis=(1, 2)) / image.sum()


# Counting


@pytest.mark.parametrize("dose", [30.0, 1000.0, 100_000.0])
def test_counts_are_poisson_at_any_dose(dose: float) -> None:
    counts = np.array([expose(EVEN, Noise(dose), GRID, pattern_rng(1, i)) for i in range(40)], dtype=np.float64)
    n, mean = counts.size, dose / EVEN.size
    assert counts.sum() / 40 == pytest.approx(dose, abs=4 * np.sqrt(dose / 40))
    # The variance of a Poisson variable's estimated variance is m (1 + 2 m) / n.
    assert counts.var() == pytest.approx(mean, abs=4 * np.sqrt(mean * (1 + 2 * mean) / n))


def test_without_noise_electrons_are_only_where_the_beam_is() -> None:
    counts = expose(impulse(SHAPE, (10, 80)), Noise(500.0), GRID, pattern_rng(0))
    assert counts.dtype == np.uint16
    assert np.flatnonzero(counts).tolist() == [10 * 100 + 80]
    assert int(counts.sum()) == pytest.approx(500, abs=4 * np.sqrt(500))


# Sample and microscope


@pytest.mark.parametrize("exponent", [1.5, 3.0])
def test_halo_takes_its_share_and_falls_off_as_told(exponent: float) -> None:
    noise = Noise(halo_share=0.4, halo_width_inv_a=0.1, halo_exponent=exponent)
    sharp = impulse(WIDE, (150, 200))
    halo = add_halo(sharp, noise, WIDE_GRID) - 0.6 * sharp
    radius = WIDE_GRID.radius_inv_a(WIDE)
    # Of a Moffat profile, (1 + (R / w)^2)^(1 - b) lies beyond R: the known integral, not the formula in the code.
    for limit in (0.25, 0.5, 1.5):
        within = 0.4 * (1 - (1 + (limit / 0.1) ** 2) ** (1 - exponent))
        assert halo[radius <= limit].sum() == pytest.approx(within, rel=0.01)
    half = 0.1 * np.sqrt(2 ** (1 / exponent) - 1)
    assert halo[150, 200] == halo.max()
    assert np.interp(half, radius[150, 200:], halo[150, 200:]) == pytest.approx(halo.max() / 2, rel=0.02)


@pytest.mark.parametrize("exponent", [1.5, 3.0])
@pytest.mark.parametrize("centre", [(150.0, 200.0), (150.5, 199.5)])
def test_halo_narrower_than_a_pixel_makes_no_electrons(exponent: float, centre: tuple[float, float]) -> None:
    noise = Noise(halo_share=1.0, halo_width_inv_a=0.001, halo_exponent=exponent)
    halo = add_halo(np.zeros(WIDE), noise, replace(WIDE_GRID, centre_px=centre))
    assert halo.sum() == pytest.approx(1.0, rel=0.02)


def test_halo_follows_the_beam_and_not_the_middle_of_the_detector() -> None:
    grid = replace(GRID, centre_px=(20.0, 70.0))
    halo = add_halo(np.zeros(SHAPE), Noise(halo_share=0.5), grid)
    assert np.unravel_index(halo.argmax(), SHAPE) == (20, 70)
    # Equal radii in 1/Å: fewer of the larger pixels along ky.
    assert halo[23, 70] == pytest.approx(halo[20, 74], rel=1e-9)


def test_amorphous_rings_hold_their_share_at_their_radius() -> None:
    noise = Noise(amorphous_share=0.2, amorphous_ring_inv_a=0.48, amorphous_width_inv_a=0.06)
    rings = add_amorphous(np.zeros(WIDE), noise, WIDE_GRID)
    radius = WIDE_GRID.radius_inv_a(WIDE)
    assert rings.sum() == pytest.approx(0.2, rel=0.01)
    assert radius.flat[rings.argmax()] == pytest.approx(0.48, abs=0.01)
    outer = radius > 0.7
    assert radius[outer].flat[rings[outer].argmax()] == pytest.approx(0.84, abs=0.01)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_blur_conserves_electrons_and_widens_by_its_sigma(sigma: float) -> None:
    image = impulse(SHAPE, (36, 50))
    blurred = blur(image, sigma)
    centre, variance = moments(blurred)
    assert blurred.min() >= 0
    assert blurred.sum() == pytest.approx(1.0, rel=1e-12)
    assert centre == pytest.approx([36, 50], abs=1e-9)
    assert variance == pytest.approx([sigma**2] * 2, rel=1e-9)


def test_blur_loses_nothing_at_the_edges_and_keeps_an_even_picture_even() -> None:
    assert blur(impulse(SHAPE, (0, 99), (71, 3)), 4.0).sum() == pytest.approx(2.0, rel=1e-12)
    assert blur(EVEN, 4.0) == pytest.approx(EVEN, rel=1e-12)


def test_blurs_add_in_quadrature() -> None:
    image = np.random.default_rng(0).random(SHAPE)
    assert blur(blur(image, 1.2), 0.9) == pytest.approx(blur(image, 1.5), rel=1e-12)


def test_wide_blur_is_that_of_scipy_at_the_edge_too() -> None:
    image = impulse(SHAPE, (30, 60), (1, 97))
    theirs = ndimage.gaussian_filter(image, 4.0, mode="reflect", truncate=8.0)
    # The discrete Gaussian differs from a sampled one by 1 / (8 sigma^2) of its peak along each axis.
    assert blur(image, 4.0) == pytest.approx(theirs, abs=theirs.max() / (4 * 4.0**2))


def test_beam_stop_blocks_the_beam_and_its_arm_points_to_its_azimuth() -> None:
    noise = Noise(stop_radius_px=8.0, stop_arm_px=6.0, stop_azimuth_rad=np.pi / 2)
    stop = beam_stop(SHAPE, noise, (40.0, 45.0))
    rows, columns = np.indices(SHAPE)
    distance = np.hypot(rows - 40, columns - 45)
    assert (stop[distance <= 7.0] == 0).all()
    assert (stop[(distance >= 8.0) & (rows <= 40)] == 1).all()
    # From +kx towards +ky: a quarter turn points down the rows.
    assert (stop[50:, 44:47] == 0).all()
    assert (stop[50:, :42] == 1).all()
    assert (stop[50:, 49:] == 1).all()
    expected = expect(EVEN, noise, GRID)
    assert (expected[distance <= 7.0] == 0).all()
    assert expected[0, 0] == pytest.approx(1000.0 / EVEN.size)


def test_beam_stop_lets_its_leak_through() -> None:
    stop = beam_stop(SHAPE, Noise(stop_radius_px=8.0, stop_arm_px=0.0, stop_leak=0.25), (40.0, 45.0))
    assert stop[40, 45] == pytest.approx(0.25)
    assert stop[40, 60] == 1.0


def test_distorted_ring_has_the_stated_axes_and_area() -> None:
    noise = Noise(ellipticity=0.03, ellipse_rad=0.4, shift_y_px=2.5, shift_x_px=-1.5)
    grid = ReciprocalGrid((0.02, 0.02), (40.0, 45.0))
    true = distort(grid, noise)
    angle = np.linspace(0, 2 * np.pi, 361)
    px = true.px_of(0.5 * np.stack([np.sin(angle), np.cos(angle)], axis=-1)) - (42.5, 43.5)
    radius = np.hypot(*px.T)
    longest = px[radius.argmax()]
    assert radius.max() / radius.min() == pytest.approx(1.03, rel=1e-4)
    assert np.arctan2(longest[0], longest[1]) % np.pi == pytest.approx(0.4, abs=0.02)
    assert radius.max() * radius.min() == pytest.approx(25.0**2, rel=1e-4)


def test_halo_is_as_elliptic_as_the_spots() -> None:
    noise = Noise(halo_share=1.0, ellipticity=0.3, ellipse_rad=np.pi / 2)
    halo = add_halo(np.zeros(SHAPE), noise, distort(ReciprocalGrid((0.02, 0.02), (36.0, 50.0)), noise))
    assert halo[49, 50] == pytest.approx(halo[36, 60], rel=1e-6)


# Spots


def test_dimming_is_monotone_and_leaves_the_light_in_the_beam() -> None:
    rng = np.random.default_rng(0)
    spots = SpotPattern(np.zeros((4000, 3), dtype=np.int64), rng.random((4000, 2)), np.full(4000, 1e-4), 0.6)
    depths = [0.0, 0.2, 0.5, 1.0]
    dimmed = [dim_spots(spots, Noise(dim_chance=0.3, dim_depth=depth), pattern_rng(5)) for depth in depths]
    for brighter, darker in pairwise(dimmed):
        assert (darker.share <= brighter.share).all()
        assert darker.share.sum() < brighter.share.sum()
    for pattern in dimmed:
        assert pattern.share.sum() + pattern.direct == pytest.approx(1.0, rel=1e-12)
    hit = dimmed[-1].share < 1e-4
    assert hit.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / 4000))
    assert dimmed[-1].share[hit].mean() == pytest.approx(0.5e-4, rel=0.1)
    assert (dimmed[-1].k_inv_a == spots.k_inv_a).all()


# Stray hits and lost pixels


def test_salt_and_pepper_hit_their_shares_of_pixels() -> None:
    electrons = np.full((400, 500), 10.0)
    out = salt_and_pepper(electrons, Noise(salt_share=0.02, salt_electrons=30.0, pepper_share=0.05), pattern_rng(3))
    n = electrons.size
    assert (out > 10).mean() == pytest.approx(0.02, abs=4 * np.sqrt(0.02 / n))
    assert (out == 0).mean() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 / n))
    # Rounded up: the mean of ceil of an exponential variable is 1 / (1 - exp(-1 / mean)).
    hits = out[out > 10] - 10
    assert hits.mean() == pytest.approx(1 / (1 - np.exp(-1 / 30)), abs=4 * 30 / np.sqrt(len(hits)))
    assert (electrons == 10).all()


# Camera


def test_tail_of_the_point_spread_holds_its_share() -> None:
    camera = Detector(psf_px=0.8, tail_share=0.2, tail_px=6.0)
    image = spread(impulse((120, 140), (60, 70)), camera)
    rows, columns = np.indices(image.shape)
    distance = np.hypot(rows - 60, columns - 70)
    assert image.sum() == pytest.approx(1.0, rel=1e-12)
    # Of a Gaussian, exp(-(r / sigma)^2 / 2) lies beyond r; the core ends far within 6 px.
    assert image[distance > 6.0].sum() == pytest.approx(0.2 * np.exp(-0.5), rel=0.05)
    assert moments(image)[1] == pytest.approx([0.8 * 0.64 + 0.2 * 36.0] * 2, rel=1e-6)


def test_light_shared_among_pixels_lowers_their_noise_and_counting_does_not() -> None:
    share, noise = np.full(SHAPE, 50.0), Noise(1.0)
    counted, shared = (
        np.array([count(expect(share, replace(noise, detector=d), GRID), replace(noise, detector=d), pattern_rng(2, i))
                  for i in range(30)], dtype=np.float64)
        for d in (Detector(psf_px=1.0), Detector(psf_px=1.0, is_counting=False, gain=100.0))
    )  # fmt: skip
    assert counted.var() / 50.0 == pytest.approx(1.0, abs=4 * np.sqrt(2 / counted.size))
    # The sum of the squares of a discrete Gaussian's weights is exp(-2 s^2) I_0(2 s^2) along each axis.
    inner = shared[:, 10:-10, 10:-10] / 100.0
    assert inner.var() / 50.0 == pytest.approx(ive(0, 2.0) ** 2, rel=0.02)
    assert inner.mean() == pytest.approx(50.0, rel=0.002)
    neighbours = np.corrcoef(inner[:, :, 1:].ravel(), inner[:, :, :-1].ravel())[0, 1]
    assert neighbours == pytest.approx(ive(1, 2.0) / ive(0, 2.0), abs=0.02)


@pytest.mark.parametrize(("is_counting", "sigma"), [(True, 1.5), (False, 1.2)])
def test_expectation_holds_the_blur_and_a_counting_cameras_point_spread(is_counting: bool, sigma: float) -> None:
    # A camera that shares light among pixels does so after the electrons are counted.
    noise = Noise(blur_px=1.2, detector=Detector(psf_px=0.9, is_counting=is_counting))
    assert moments(expect(impulse(SHAPE, (36, 50)), noise, GRID))[1] == pytest.approx([sigma**2] * 2, rel=1e-9)


def test_units_are_rounded_to_the_nearest() -> None:
    units = read_out(np.array([[0.4, 0.6, 7.4, 7.6]]), Detector(), pattern_rng(0))
    assert units.tolist() == [[0, 1, 7, 8]]


@pytest.mark.parametrize("gain", [0.5, 7.0, 150.0])
def test_photon_transfer_curve_shows_the_gain(gain: float) -> None:
    camera = Detector(gain=gain, offset=40.0)
    means, variances = [], []
    for i, electrons in enumerate((20.0, 60.0, 150.0, 300.0)):
        flat = count(np.full((200, 250), electrons), Noise(detector=camera), pattern_rng(4, i)).astype(np.float64)
        means.append(flat.mean())
        variances.append(flat.var())
    slope, intercept = np.polyfit(means, variances, 1)
    assert slope == pytest.approx(gain, rel=0.03)
    assert -intercept / slope == pytest.approx(40.0, abs=10 * gain)
    assert means[0] == pytest.approx(40.0 + 20.0 * gain, rel=0.01)


def test_read_noise_has_its_variance_without_light() -> None:
    camera = Detector(gain=100.0, offset=500.0, read_noise_electrons=0.3)
    dark = read_out(np.zeros((200, 250)), camera, pattern_rng(6)).astype(np.float64)
    assert dark.mean() == pytest.approx(500.0, abs=4 * 30 / np.sqrt(dark.size))
    assert dark.var() == pytest.approx(30.0**2 + 1 / 12, rel=4 * np.sqrt(2 / dark.size))


def test_fixed_pattern_of_the_gain_is_the_cameras_own() -> None:
    camera = Detector(gain=1000.0, gain_spread=0.05, saturation=1e6, seed=1)
    first, again = (read_out(np.full(SHAPE, 100.0), camera, pattern_rng(7, i)) for i in (0, 1))
    other = read_out(np.full(SHAPE, 100.0), replace(camera, seed=2), pattern_rng(7, 0))
    assert first.std() / first.mean() == pytest.approx(0.05, rel=4 / np.sqrt(2 * first.size))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(("limit", "kind"), [(255.0, np.uint16), (65535.0, np.uint16), (70000.0, np.uint32)])
def test_saturated_pixels_stop_at_the_limit(limit: float, kind: type) -> None:
    units = read_out(np.array([[0.0, 100.0, 254.0, 255.0, 256.0, 1e6]]), Detector(saturation=limit), pattern_rng(0))
    assert units.dtype == kind
    assert units[0, :3].tolist() == [0, 100, 254]
    assert units[0, -1] == limit
    assert units[0, 4] == min(256, limit)


def test_dead_and_hot_pixels_are_the_same_in_every_pattern() -> None:
    camera = Detector(dead_share=0.01, hot_share=0.02, hot_electrons=50.0, seed=8)
    shape = (300, 350)
    pixels = pixel_map(camera, shape)
    pixel_map.cache_clear()
    assert (pixel_map(camera, shape).hot_electrons == pixels.hot_electrons).all()
    hot = pixels.hot_electrons > 0
    n = np.prod(shape)
    assert pixels.is_blind.mean() == pytest.approx(0.01, abs=4 * np.sqrt(0.01 / n))
    assert hot.mean() == pytest.approx(0.02, abs=4 * np.sqrt(0.02 / n))
    assert pixels.hot_electrons[hot].mean() == pytest.approx(50.0, rel=4 / np.sqrt(hot.sum()))
    for seed in (1, 2):
        units = count(np.full(shape, 5.0), Noise(detector=camera), pattern_rng(seed))
        assert (units[pixels.is_blind] == 0).all()
        assert units[hot].mean() == pytest.approx(55.0, rel=0.1)


def test_tiles_leave_blind_gaps_between_them() -> None:
    blind = pixel_map(Detector(tiles=(2, 3), gap_px=4), (60, 90)).is_blind
    assert np.flatnonzero(blind.all(axis=1)).tolist() == [28, 29, 30, 31]
    assert np.flatnonzero(blind.all(axis=0)).tolist() == [28, 29, 30, 31, 58, 59, 60, 61]
    assert not blind[:28, :28].any()


def test_units_turn_back_into_electrons() -> None:
    camera = Detector(gain=12.0, offset=30.0)
    electrons = np.arange(200.0).reshape(10, 20)
    assert electrons_of(read_out(electrons, camera, pattern_rng(0)), camera) == pytest.approx(electrons)


# All together


def everything(seed: int) -> Noise:
    """A noise with every part in it."""
    ranges = NoiseRanges()
    always = {r.name: replace(getattr(ranges, r.name), chance=1.0) for r in fields(ranges) if r.name != "detector"}
    camera = DetectorRanges()
    on = {r.name: replace(v, chance=1.0) for r in fields(camera) if isinstance(v := getattr(camera, r.name), Range)}
    full = DetectorRanges(**on, counting_chance=0.0, tiled_chance=1.0)
    return draw_noise(pattern_rng(seed), NoiseRanges(**always, detector=full))


def test_same_seed_gives_the_same_bytes_with_every_part_at_work() -> None:
    share = blur(impulse(SHAPE, (40, 45), (20, 30)), 1.0) / 2
    first, again, other = (expose(share, everything(1), GRID, pattern_rng(seed)) for seed in (5, 5, 6))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert everything(1) == everything(1) != everything(2)


def test_noise_of_a_pattern_depends_on_its_own_index_alone() -> None:
    share = blur(impulse(SHAPE, (40, 45)), 1.0)
    noises = [draw_noise(pattern_rng(9, i)) for i in range(6)]
    whole = [expose(share, noises[i], GRID, pattern_rng(9, i, 1)) for i in range(6)]
    backwards = [expose(share, noises[i], GRID, pattern_rng(9, i, 1)) for i in (5, 2)]
    assert (backwards[0] == whole[5]).all()
    assert (backwards[1] == whole[2]).all()
    assert len({pattern_rng(9, *index).integers(2**62) for index in ((0,), (1,), (0, 1), (1, 0), (0, 0))}) == 5


def test_batch_has_the_expectation_of_each_of_its_patterns() -> None:
    noise = everything(3)
    batch = np.random.default_rng(0).random((3, *SHAPE)) / EVEN.size
    together = expect(batch, noise, GRID)
    for one, share in zip(together, batch, strict=True):
        assert one == pytest.approx(expect(share, noise, GRID), rel=1e-12)


def test_parts_move_electrons_and_make_none() -> None:
    noise = replace(everything(4), dose_electrons=1.0, stop_radius_px=0.0)
    sharp = impulse(SHAPE, (40, 45))
    assert expect(sharp, noise, GRID).sum() < 1.0
    wide = expect(impulse(WIDE, (150, 200)), replace(noise, halo_exponent=3.0), WIDE_GRID)
    assert wide.sum() == pytest.approx(1.0, rel=0.01)


def test_drawn_settings_stay_in_their_ranges_and_are_there_as_often_as_told() -> None:
    ranges = NoiseRanges()
    drawn = [draw_noise(pattern_rng(10, i)) for i in range(1000)]
    for settings, source, default in (
        (drawn, ranges, Noise()),
        ([noise.detector for noise in drawn], ranges.detector, Detector()),
    ):
        for entry in fields(source):
            limits = getattr(source, entry.name)
            if not isinstance(limits, Range):
                continue
            values = np.array([getattr(one, entry.name) for one in settings])
            is_drawn = values != getattr(default, entry.name)
            share = limits.chance
            assert is_drawn.mean() == pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / 1000) + 1e-9)
            chosen = values[is_drawn]
            assert limits.low <= chosen.min() <= chosen.max() <= limits.high
            middle = np.sqrt(limits.low * limits.high) if limits.is_log else (limits.low + limits.high) / 2
            # The number of draws below the middle is binomial.
            assert (chosen < middle).mean() == pytest.approx(0.5, abs=4.5 * 0.5 / np.sqrt(len(chosen)))


def test_cameras_count_and_have_tiles_as_often_as_told() -> None:
    cameras = [draw_noise(pattern_rng(11, i)).detector for i in range(1000)]
    tiled = [camera for camera in cameras if camera.gap_px]
    assert all(electrons_of(np.array(camera.saturation), camera) >= 38 for camera in cameras)
    assert all(camera.offset % 1 == 0 for camera in cameras)
    assert np.mean([camera.is_counting for camera in cameras]) == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / 1000))
    assert len(tiled) / 1000 == pytest.approx(0.15, abs=4 * np.sqrt(0.1275 / 1000))
    assert {(camera.tiles, camera.gap_px) for camera in tiled} == {((2, 2), gap) for gap in (1, 2, 3, 4)}


def test_every_setting_of_the_noise_has_a_range() -> None:
    assert [f.name for f in fields(NoiseRanges)] == [f.name for f in fields(Noise)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Noise(halo_share=1.2), "Noise.halo_share must lie between 0 and 1, got 1.2"),
        (lambda: Noise(dose_electrons=-3.0), "Noise.dose_electrons must lie between 0 and inf"),
        (lambda: Noise(blur_px=float("nan")), "Noise.blur_px"),
        (lambda: Detector(gain=0.0), "Detector.gain"),
        (lambda: Detector(tiles=(0, 1)), "at least one tile"),
        (lambda: Range(2.0, 1.0), "low <= high"),
        (lambda: Range(0.0, 1.0, is_log=True), "must be positive"),
        (lambda: Range(0.0, 1.0, chance=1.5), "chance"),
    ],
)
def test_impossible_settings_are_refused(wrong: object, said: str) -> None:
    with pytest.raises(DataError, match=said.replace(".", r"\.")):
        wrong()  # type: ignore[operator]
