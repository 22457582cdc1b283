"""Lazy views give what numpy gives, for any block."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from friedel.io.views import Fixed, Joined, Lifted, Part, Reframed, Turned

CUBE = np.arange(4 * 6 * 3 * 5).reshape(4, 6, 3, 5)


def keys(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw ints and slices with positive step for every axis."""
    parts = []
    for size in shape:
        bound = st.none() | st.integers(-size - 1, size + 1)
        parts.append(st.integers(-size, size - 1) | st.builds(slice, bound, bound, st.none() | st.integers(1, 3)))
    return st.tuples(*parts)


@given(keys(CUBE.shape))
def test_reframed_list_is_the_scan(key: tuple[Any, ...]) -> None:
    np.testing.assert_array_equal(Reframed(CUBE.reshape(24, 3, 5), (4, 6))[key], CUBE[key])


@given(keys((3, 5, 4, 6)))
def test_turned_scan_has_the_patterns_inside(key: tuple[Any, ...]) -> None:
    np.testing.assert_array_equal(Turned(CUBE)[key], CUBE.transpose(2, 3, 0, 1)[key])


@given(keys((24, 3, 5)), st.lists(st.integers(1, 23), max_size=3, unique=True).map(sorted))
def test_joined_parts_are_the_whole(key: tuple[Any, ...], cuts: list[int]) -> None:
    frames = CUBE.reshape(24, 3, 5)
    np.testing.assert_array_equal(Joined(np.split(frames, cuts))[key], frames[key])


@given(keys((6, 3, 5)), st.integers(0, 3))
def test_fixed_axis_is_its_first_entry(key: tuple[Any, ...], axis: int) -> None:
    whole = np.expand_dims(CUBE[0], axis)
    np.testing.assert_array_equal(Fixed(whole, axis)[key], CUBE[0][key])


@given(keys((2, 6, 3, 5)))
def test_part_is_a_slice_of_the_first_axis(key: tuple[Any, ...]) -> None:
    np.testing.assert_array_equal(Part(CUBE, 1, 3)[key], CUBE[1:3][key])


@given(keys((1, 6, 3, 5)))
def test_lifted_array_has_leading_axes_of_one(key: tuple[Any, ...]) -> None:
    np.testing.assert_array_equal(Lifted(CUBE[0], 4)[key], CUBE[:1][key])
