"""What a count says for a spot, and how bright reflections are expected to be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from friedel.core.beam import Beam
from friedel.crystal import load_phases
from friedel.identify.counts.brightness import Brightness, expected_shares
from friedel.identify.counts.light import BACKGROUND_SIGMA, log_evidence
from friedel.simulate.patterns.diffraction import diffract, orient


@pytest.mark.parametrize("shape", [1.0, 4.0, 16.0])
@pytest.mark.parametrize(
    ("count", "background", "mean"), [(0, 0.5, 2), (1, 0.05, 1), (5, 5, 2), (30, 1, 10), (300, 10, 100), (50, 0.1, 1)]
)
def test_evidence_is_the_integral_over_the_gamma_law(
    count: float, background: float, mean: float, shape: float
) -> None:
    spread = 1.0 + BACKGROUND_SIGMA**2 * background
    n, b, m = count / spread, background / spread, mean / spread
    log_a = np.linspace(-16.0, np.log(20.0 * (n + m + 10.0)), 100_001)
    a = np.exp(log_a)
    integrand = n * np.log1p(a / b) - a + stats.gamma.logpdf(a, shape, scale=m / shape) + log_a
    exact = np.log(np.trapezoid(np.exp(integrand - integrand.max()), log_a)) + integrand.max()
    assert float(log_evidence(np.float64(count), np.float64(background), np.float64(mean), shape)) == pytest.approx(
        exact, abs=0.15
    )


@pytest.mark.parametrize("shape", [1.0, 4.0])
def test_no_light_speaks_against_a_bright_reflection_exactly(shape: float) -> None:
    value = float(log_evidence(np.float64(0.0), np.float64(1e-3), np.float64(7.0), shape))
    assert value == pytest.approx(-shape * np.log(1.0 + 7.0 / shape), rel=1e-3)


def test_background_of_its_usual_size_says_little() -> None:
    counts = np.random.default_rng(0).poisson(20.0, 2000).astype(float)
    mean = log_evidence(counts, np.float64(20.0), np.float64(30.0), 1.0).mean()
    assert mean < -0.5


def test_rough_background_is_not_taken_for_a_spot() -> None:
    """A background known to 15 % that is 15 % off, at a thousand electrons, is one standard deviation off."""
    assert float(log_evidence(np.float64(1150.0), np.float64(1000.0), np.float64(150.0), 1.0)) < 1.0


def test_two_beam_brightness_is_that_of_the_simulation() -> None:
    """At one thickness and without spread; the model averages over a tenth of it."""
    crystal = load_phases(["nmc811-o1"]).crystals[0]
    beam = Beam(200.0)
    oriented = orient(crystal, (0, 0, 1), 1.0)
    thickness = 60.0
    spots = diffract(oriented, beam, thickness_a=thickness)
    table = oriented.reflections
    order = [int(np.flatnonzero((table.hkl == hkl).all(axis=1))[0]) for hkl in spots.hkl]
    g = oriented.g_inv_a[order]
    s = -(g[:, 2] + 0.5 * beam.wavelength_a * (g**2).sum(axis=1))
    gamma = 1.0 + 200.0 / 510.99895
    coupling2 = table.f2[order] * (beam.wavelength_a * gamma / (np.pi * crystal.volume_a3)) ** 2
    model = Brightness("two-beam", thickness, 1.0)
    shares = expected_shares(s, coupling2, np.zeros(len(s), dtype=np.int64), 1, model)
    bright = spots.share > 0.1 * spots.share.max()
    np.testing.assert_allclose(shares[bright], spots.share[bright], rtol=0.1)


def test_precessed_light_adds_up_to_its_amount() -> None:
    s, coupling2 = np.linspace(-0.02, 0.02, 9), np.linspace(1e-6, 3e-6, 9)
    shares = expected_shares(s, coupling2, np.zeros(9, dtype=np.int64), 1, Brightness("precessed", 0.2, 1.0))
    assert shares.sum() == pytest.approx(0.2)
