"""The shipped segmenter on spectra: any shape, the seam, noise alone, and the radial profile of what it marks."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, Pattern
from friedel.crystal import load_phases
from friedel.identify.grains.components import ComponentOptions, map_micrograph
from friedel.nets.segmenter import SegmentDetector, Segmenter, load_segmenter, map_spectrum
from friedel.patterns.diffractogram import diffractogram
from friedel.patterns.radial import radial_peaks, radial_profile
from friedel.simulate.micrographs.micrograph import SEI_PHASES, sei_micrograph
from friedel.spots.noise_floor import noise_floor

STEP_A, ANNULUS = 0.3, (0.15, 1.0)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter()


def grain_of_fringes(shape: tuple[int, int], *k_inv_a: tuple[float, float], noise: float = 1.0) -> Pattern:
    """Diffractogram of fringes that fill a round grain of 12 nm in the middle of white noise."""
    rng = np.random.default_rng(7)
    y, x = np.indices(shape) * STEP_A
    grain = np.exp(-(((y - y.mean()) ** 2 + (x - x.mean()) ** 2) / (2 * 30.0**2)))
    image = noise * rng.normal(size=shape)
    for ky, kx in k_inv_a:
        image += 0.8 * grain * np.cos(2 * np.pi * (ky * y + kx * x))
    return diffractogram(Micrograph(image, RealGrid((STEP_A, STEP_A))))


@pytest.mark.parametrize("shape", [(512, 512), (401, 640), (1024, 700)])
def test_spots_are_found_where_the_fringes_put_them_whatever_the_shape(segmenter, shape):
    true = np.array([[0.21, 0.33], [-0.30, 0.25], [0.42, 0.10]])
    spots = SegmentDetector(segmenter).find(grain_of_fringes(shape, *map(tuple, true)), ANNULUS)
    assert len(spots) == len(true)
    apart = np.minimum(
        np.linalg.norm(spots.k_inv_a[:, None] - true, axis=2), np.linalg.norm(spots.k_inv_a[:, None] + true, axis=2)
    )
    # The spot's one-sigma width is 1 / (2 pi 30 A sqrt 2); a tenth of it is wanted on average, three tenths at most.
    assert apart.min(axis=0).max() < 0.3 / (2 * np.pi * 30.0 * np.sqrt(2))


@pytest.mark.parametrize("noise", [0.03, 0.3, 3.0])
def test_spots_of_any_brightness_are_found(segmenter, noise):
    """From 300 to three million times the noise, as in pictures of whole crystals."""
    spots = SegmentDetector(segmenter).find(
        grain_of_fringes((512, 512), (0.21, 0.33), (-0.30, 0.25), noise=noise), ANNULUS
    )
    assert len(spots) == 2


@pytest.mark.parametrize("k", [(0.4, 0.0), (0.0, 0.4), (0.4, 0.002), (0.4, -0.002)])
def test_spot_on_the_seam_is_one_spot(segmenter, k):
    spots = SegmentDetector(segmenter).find(grain_of_fringes((512, 480), k), ANNULUS)
    assert len(spots) == 1
    assert np.abs(spots.radius_inv_a[0] - np.hypot(*k)) < 0.001


def test_noise_alone_has_less_than_one_spot_an_image(segmenter):
    found = [
        len(SegmentDetector(segmenter).find(diffractogram(Micrograph(image, RealGrid((STEP_A, STEP_A)))), ANNULUS))
        for image in np.random.default_rng(8).normal(size=(6, 512, 512))
    ]
    assert sum(found) < len(found)


def test_radial_profile_of_the_segmented_spectrum_peaks_at_the_spacings(segmenter):
    d_a = np.array([2.481, 2.014, 1.631])
    at = [(np.sin(a) / d, np.cos(a) / d) for d, a in zip(d_a, (0.3, 1.2, 2.3), strict=True)]
    pattern = grain_of_fringes((512, 512), *at)
    marked = map_spectrum(segmenter, pattern.data / noise_floor(pattern)) >= segmenter.card.mask_threshold
    np.testing.assert_array_equal(marked[1:, 1:], marked[1:, 1:][::-1, ::-1])
    profile = radial_profile(pattern, inside=marked)
    peaks = np.sort(radial_peaks(profile, k_min_inv_a=0.1).k_inv_a)
    assert peaks == pytest.approx(1 / d_a, abs=0.5 * max(pattern.grid.step_inv_a))
    # The share of pixels outside the mask has no intensity at all: no background is left.
    assert (profile.intensity[np.abs(profile.k_inv_a[:, None] - 1 / d_a).min(axis=1) > 0.04] == 0).all()


def test_each_phase_of_the_demonstration_is_found_with_the_network(segmenter):
    micrograph, truth = sei_micrograph(11, (512, 512))
    result = map_micrograph(micrograph, load_phases(SEI_PHASES), ComponentOptions(detector="net"))
    assert result.network == f"segmenter {segmenter.card.version}"
    for i in range(len(SEI_PHASES)):
        found, true = result.phase_map.presence[..., i] >= 0.5, truth.presence[..., i] >= 0.5
        assert (found & true).sum() / (found | true).sum() > 0.5
