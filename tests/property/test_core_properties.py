"""Grids map back and forth, and tables of spots keep every spot in its pattern, for whatever is drawn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from friedel.core.arrays import BoolArray
from friedel.core.grids import ReciprocalGrid
from friedel.core.spots import Spots

STEP = st.floats(1e-4, 1.0)
CENTRE = st.floats(-50.0, 300.0)
POINT = st.tuples(st.floats(-500.0, 500.0), st.floats(-500.0, 500.0))


@st.composite
def grids(draw: st.DrawFn) -> ReciprocalGrid:
    """Draw a grid with steps that differ, a centre anywhere and an ellipse up to 1.2 : 1, not symmetric."""
    stretch = np.array([[draw(st.floats(0.9, 1.1)), draw(st.floats(-0.1, 0.1))], [draw(st.floats(-0.1, 0.1)), 1.0]])
    return ReciprocalGrid((draw(STEP), draw(STEP)), (draw(CENTRE), draw(CENTRE)), stretch)


@given(grids(), st.lists(POINT, min_size=1, max_size=5))
def test_pixel_to_k_and_back_is_the_identity(grid: ReciprocalGrid, points: list[tuple[float, float]]) -> None:
    px = np.array(points)
    np.testing.assert_allclose(grid.px_of(grid.k_of(px)), px, atol=1e-8)


@given(grids())
def test_k_is_linear_about_the_centre(grid: ReciprocalGrid) -> None:
    centre = np.array(grid.centre_px)
    step = np.array([2.0, -3.0])
    np.testing.assert_allclose(grid.k_of(centre), 0.0, atol=1e-12)
    np.testing.assert_allclose(grid.k_of(centre + step), -grid.k_of(centre - step), atol=1e-9)
    np.testing.assert_allclose(grid.k_of(centre + 2 * step), 2 * grid.k_of(centre + step), atol=1e-9)


@given(grids(), st.tuples(st.integers(1, 6), st.integers(1, 9)))
def test_radius_of_a_pixel_is_the_length_of_its_k(grid: ReciprocalGrid, shape: tuple[int, int]) -> None:
    radius = grid.radius_inv_a(shape)
    assert radius.shape == shape
    at = (shape[0] - 1, shape[1] // 2)
    np.testing.assert_allclose(radius[at], np.linalg.norm(grid.k_of(at)), rtol=1e-9, atol=1e-12)


@st.composite
def spot_tables(draw: st.DrawFn) -> tuple[Spots, BoolArray]:
    """Draw a scan of up to 3 x 4 patterns, some without spots, and a choice among the spots."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))
    n_patterns = shape[0] * shape[1]
    counts = draw(st.lists(st.integers(0, 4), min_size=n_patterns, max_size=n_patterns))
    n = sum(counts)
    number = np.arange(n, dtype=float)
    spots = Spots(
        np.stack([number, -number], axis=1),
        np.full((n, 2), 0.01),
        100.0 - number,
        number,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        shape,
    )
    return spots, np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)


@given(spot_tables())
def test_spots_split_into_patterns_join_again(drawn: tuple[Spots, BoolArray]) -> None:
    spots, _ = drawn
    joined = Spots.join([spots.of(i) for i in range(spots.n_patterns)], spots.scan_shape)
    np.testing.assert_array_equal(joined.offsets, spots.offsets)
    np.testing.assert_array_equal(joined.k_inv_a, spots.k_inv_a)
    np.testing.assert_array_equal(joined.snr, spots.snr)


@given(spot_tables())
def test_chosen_spots_stay_in_their_patterns(drawn: tuple[Spots, BoolArray]) -> None:
    spots, keep = drawn
    chosen = spots.where(keep)
    for i in range(spots.n_patterns):
        part = slice(int(spots.offsets[i]), int(spots.offsets[i + 1]))
        np.testing.assert_array_equal(chosen.of(i).snr, spots.snr[part][keep[part]])
