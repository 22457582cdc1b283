"""Half a spectrum holds the whole: the seam, the mirror image and the borders."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import Micrograph, Pattern
from friedel.nets.half_plane import SEAM_PX, half_of, network_input, of_network, whole_of
from friedel.nets.segmenter import spot_regions
from friedel.patterns.diffractogram import diffractogram
from friedel.spots.cfar import searched_half


@pytest.mark.parametrize("shape", [(32, 48), (33, 48), (32, 49), (35, 33)])
def test_the_half_plane_holds_the_whole(shape):
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    power = diffractogram(Micrograph(image, RealGrid((0.3, 0.4)))).data
    whole = whole_of(half_of(power), shape[1])
    # The Nyquist row and column of an even side are their own mirror images.
    first = [1 - n % 2 for n in shape]
    np.testing.assert_allclose(whole[first[0] :, first[1] :], power[first[0] :, first[1] :], rtol=2e-4)
    assert whole.shape == shape


@pytest.mark.parametrize("shape", [(32, 48), (45, 51)])
def test_a_network_sees_the_other_side_of_the_seam_and_answers_for_its_own(shape):
    power = diffractogram(Micrograph(np.random.default_rng(2).normal(size=shape), RealGrid((0.3, 0.3)))).data
    half = half_of(power)
    seen = network_input(half, shape[1], 8)
    assert seen.shape[2] % 8 == seen.shape[3] % 8 == 0
    logarithm = np.log1p(half)
    np.testing.assert_allclose(of_network(seen[0, 1], shape[0], shape[1]), logarithm, rtol=1e-5)
    beside = seen[0, 1, 1 : shape[0], SEAM_PX - 1]
    other = np.log1p(whole_of(half, shape[1]))[1:, shape[1] // 2 - 1]
    np.testing.assert_allclose(beside, other, rtol=1e-5)


def _search(shape):
    grid = ReciprocalGrid((0.01, 0.01), (shape[0] // 2, shape[1] // 2))
    return searched_half(Pattern(np.ones(shape, dtype=np.float32), grid, origin="fft"), (0.05, 0.3))


@pytest.mark.parametrize("at", [(10, 0), (0, 12), (10, 1), (1, 12), (-1, 12), (7, -9)])
def test_a_spot_and_its_mirror_image_are_one_spot_also_on_the_seam(at):
    shape = (64, 80)
    y, x = np.arange(64)[:, None] - 32, np.arange(80) - 40
    spot = sum(np.exp(-0.5 * ((y - s * at[0]) ** 2 + (x - s * at[1]) ** 2) / 1.5**2) for s in (1, -1))
    found = spot_regions(0.9 * spot, 1 + 30 * spot, _search(shape), 0.3)
    assert len(found) == 1
    offset = found[0, :2] - (32, 40)
    assert min(np.abs(offset - at).max(), np.abs(offset + at).max()) == 0
    assert offset[0] > 0 or (offset[0] == 0 and offset[1] > 0)


def test_a_region_below_the_threshold_or_outside_the_ring_is_no_spot():
    shape = (64, 80)
    probability = np.zeros(shape)
    probability[50, 60] = 0.2
    probability[33, 41] = probability[31, 39] = 0.9
    assert len(spot_regions(probability, np.ones(shape), _search(shape), 0.3)) == 0
    assert len(spot_regions(probability, np.ones(shape), _search(shape), 0.1)) == 1
