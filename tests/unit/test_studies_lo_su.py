"""The steps of Lo and Su on patterns whose hexagons are known."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from lo_su import BOTH, NONE, O1, O3, Patterns, Settings, find_hexagons, find_maxima, label, learn_radii
from nmc_scans import computed_radii, thresholds_for

from friedel.core.grids import ReciprocalGrid

GRID = ReciprocalGrid((0.0165, 0.0165), (63.5, 63.5))
ANNULUS = (0.348, 0.80)
RADII = (0.41, 0.70)
SETTINGS = Settings(threshold=0.5, min_vertices=4)


def pattern_of(*hexagons, shift=(0.0, 0.0)):
    """One pattern with Gaussian spots of 30 electrons at the vertices of hexagons (radius in 1/Å, azimuth)."""
    rows, columns = np.indices((128, 128))
    picture = np.zeros((128, 128))
    for radius, azimuth in hexagons:
        for angle in azimuth + np.arange(6) * np.pi / 3:
            y, x = GRID.px_of(radius * np.array([[np.sin(angle), np.cos(angle)]]))[0] + shift
            picture += 5.0 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2.0)
    return picture


def read(*pictures, shift=(0.0, 0.0)):
    n = len(pictures)
    scan = Patterns(np.stack(pictures), GRID, np.tile(shift, (n, 1)).astype(float), np.zeros(n, dtype=np.int64))
    return find_hexagons(find_maxima(scan, SETTINGS, ANNULUS), SETTINGS, ANNULUS)


def test_patterns_are_labelled_by_the_radii_of_their_hexagons():
    o1, o3 = (0.41, 0.2), (0.70, 0.2 + np.pi / 6)
    hexagons = read(pattern_of(), pattern_of(o3), pattern_of(o1), pattern_of(o1, o3), pattern_of((0.55, 0.1)))
    assert label(hexagons, RADII, SETTINGS).tolist() == [NONE, O3, O1, BOTH, NONE]
    assert hexagons.n_vertices.min() == 6


def test_a_hexagon_is_measured_about_the_beam_wherever_that_is():
    shift = (3.0, -2.0)
    found = read(pattern_of((0.55, 0.3), shift=shift), shift=shift)
    assert found.radius_inv_a[0] == pytest.approx(0.55, abs=0.5 * GRID.step_inv_a[0])
    assert found.n_vertices[0] == 6
    assert len(read(pattern_of((0.55, 0.3), shift=shift))) == 0  # read about another centre it is no hexagon


def test_ring_radii_are_the_two_most_frequent_radii():
    rng = np.random.default_rng(0)
    radii = np.concatenate([rng.normal(0.42, 0.004, 40), rng.normal(0.71, 0.004, 90), rng.uniform(0.36, 0.8, 10)])
    assert learn_radii(radii) == pytest.approx((0.42, 0.71), abs=0.003)


def test_a_lone_ring_is_taken_for_the_matrix():
    o1, o3 = learn_radii(np.full(5, 0.7))
    assert np.isnan(o1)
    assert o3 == pytest.approx(0.7)
    assert np.isnan(learn_radii(np.zeros(0))).all()


def test_computed_radii_are_those_of_the_lattices():
    o1, o3 = computed_radii(ANNULUS)
    assert o3 / o1 == pytest.approx(1.70, abs=0.02)  # {110} over {100} is sqrt(3), less the difference of a


def test_thresholds_leave_so_many_maxima():
    heights = np.arange(100.0)
    for wanted in (2, 5):
        (level,) = thresholds_for(heights, 10, [wanted])
        assert (heights > level).sum() == 10 * wanted
