from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.identify.grains.spacings import match_spacings, reference_spacings
from friedel.patterns.diffractogram import FftOptions, diffractogram

SIDES = st.integers(16, 70)


@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, window=st.sampled_from(["hann", "tukey", "none"]), seed=st.integers(0, 99))
def test_power_obeys_friedels_law_at_every_shape(height, width, window, seed):
    image = np.random.default_rng(seed).normal(size=(height, width))
    power = np.fft.ifftshift(diffractogram(Micrograph(image, RealGrid((1.0, 2.0))), FftOptions(window)).data)
    opposite = np.roll(power[::-1, ::-1], (1, 1), (0, 1))
    np.testing.assert_allclose(power, opposite, rtol=1e-3, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 99))
def test_transposed_image_has_the_transposed_power(height, width, seed):
    image = np.random.default_rng(seed).normal(size=(height, width))
    power = diffractogram(Micrograph(image, RealGrid((1.0, 2.0))))
    turned = diffractogram(Micrograph(image.T, RealGrid((2.0, 1.0))))
    np.testing.assert_allclose(turned.data, power.data.T, rtol=1e-3, atol=1e-4)
    assert turned.grid.step_inv_a == power.grid.step_inv_a[::-1]


@settings(max_examples=40, deadline=None)
@given(
    d_a=st.lists(st.floats(1.1, 4.5), min_size=1, max_size=8),
    scale_sigma=st.sampled_from([0.0, 0.01, 0.03]),
    order=st.randoms(use_true_random=False),
)
def test_match_does_not_depend_on_the_order_of_spots_or_phases(d_a, scale_sigma, order):
    phases = [
        reference_spacings(name, np.array(d), np.ones(2), np.array([[1, 0, 0], [1, 1, 0]]))
        for name, d in (("a", [2.4, 1.7]), ("b", [2.0, 1.2]), ("c", [3.3, 2.45]))
    ]
    rows = list(range(len(d_a)))
    order.shuffle(rows)
    forward, shuffled = (
        match_spacings(d, np.full(len(d), 0.002), p, scale_sigma=scale_sigma, range_a=(1.0, 5.0))
        for d, p in ((np.array(d_a), phases), (np.array(d_a)[rows], phases[::-1]))
    )
    np.testing.assert_allclose(shuffled.posterior[:, [2, 1, 0, 3]], forward.posterior[rows], atol=1e-9)
    np.testing.assert_allclose(forward.posterior.sum(axis=1), 1)
