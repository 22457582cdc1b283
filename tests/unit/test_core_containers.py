"""Containers refuse what contradicts them, and say what is wrong and what to do."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from friedel.core.errors import CalibrationError, DataError, TruncatedFileError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import Micrograph, MicrographSeries, Pattern, PatternScan
from friedel.core.phase_map import PhaseMap, PhaseMapsOnDemand
from friedel.core.spots import Spots

REAL = RealGrid((0.37, 0.37))
GRID = ReciprocalGrid((0.02, 0.03), (4.0, 5.0))


def test_k_follows_rows_and_columns() -> None:
    np.testing.assert_allclose(GRID.k_of((6.0, 5.0)), (0.04, 0.0), atol=1e-15)
    np.testing.assert_allclose(GRID.k_of((4.0, 4.0)), (0.0, -0.03), atol=1e-15)


@pytest.mark.parametrize("step", [(0.0, 0.02), (-0.02, 0.02), (np.nan, 0.02), (np.inf, 0.02), (0.02,)])
def test_impossible_scale_names_the_option(step: Any) -> None:
    with pytest.raises(CalibrationError, match=r"1/Å per pixel.*--step-inv-a"):
        ReciprocalGrid(step, (0.0, 0.0))
    with pytest.raises(CalibrationError, match=r"Å per pixel.*--pixel-size-a"):
        RealGrid(step)


def test_impossible_centre_and_ellipse_are_refused() -> None:
    with pytest.raises(CalibrationError, match="--centre"):
        ReciprocalGrid((0.02, 0.02), (np.nan, 0.0))
    for ellipse in (np.diag([1.0, -1.0]), np.zeros((2, 2)), np.eye(3)):
        with pytest.raises(CalibrationError, match="positive determinant"):
            ReciprocalGrid((0.02, 0.02), (0.0, 0.0), ellipse)


@pytest.mark.parametrize("sigma", [-0.1, 1.0, np.nan])
def test_impossible_error_of_a_scale_is_refused(sigma: float) -> None:
    with pytest.raises(CalibrationError, match="relative_sigma"):
        RealGrid((1.0, 1.0), relative_sigma=sigma)


def test_new_centre_keeps_the_rest() -> None:
    moved = ReciprocalGrid((0.02, 0.03), (4.0, 5.0), np.diag([1.02, 1.0]), 12.0, "fitted", 0.002).with_centre((7, 8))
    assert moved.centre_px == (7.0, 8.0)
    assert (moved.rotation_deg, moved.source, moved.relative_sigma) == (12.0, "fitted", 0.002)
    np.testing.assert_array_equal(moved.ellipse, np.diag([1.02, 1.0]))


def test_stack_is_no_micrograph_and_no_pattern() -> None:
    with pytest.raises(DataError, match=r"\(y, x\).*got \(3, 4, 5\).*MicrographSeries"):
        Micrograph(np.zeros((3, 4, 5)), REAL)
    with pytest.raises(DataError, match=r"\(ky, kx\).*got \(3, 4, 5\).*PatternScan"):
        Pattern(np.zeros((3, 4, 5)), GRID)
    with pytest.raises(DataError, match=r"\(ry, rx, ky, kx\).*--scan-shape"):
        PatternScan(np.zeros((3, 4, 5)), GRID)


def test_micrograph_counts_its_bad_values() -> None:
    data = np.zeros((3, 4))
    data[1, 2], data[0, 0] = np.nan, np.inf
    with pytest.raises(DataError, match="2 values of 12"):
        Micrograph(data, REAL)


def test_complex_wave_is_no_micrograph() -> None:
    with pytest.raises(DataError, match="modulus"):
        Micrograph(np.zeros((3, 4), dtype=complex), REAL)


def test_pattern_may_be_broken_only_where_it_is_not_valid() -> None:
    data, valid = np.zeros((3, 4)), np.ones((3, 4), dtype=bool)
    data[1, 2] = np.nan
    with pytest.raises(DataError, match="NaN"):
        Pattern(data, GRID, valid)
    valid[1, 2] = False
    assert Pattern(data, GRID, valid).shape == (3, 4)


@pytest.mark.parametrize("valid", [np.ones((4, 3), dtype=bool), np.ones((3, 4))])
def test_mask_of_other_shape_or_type_is_refused(valid: Any) -> None:
    with pytest.raises(DataError, match=r"bool mask of shape \(3, 4\)"):
        PatternScan(np.zeros((2, 2, 3, 4)), GRID, valid=valid)


def test_series_needs_one_increasing_time_per_frame() -> None:
    data = np.zeros((3, 4, 5))
    for times in ([0.0, 1.0], [0.0, 1.0, 1.0], [2.0, 1.0, 3.0], [0.0, np.nan, 2.0]):
        with pytest.raises(DataError, match=r"time_s must increase.*3"):
            MicrographSeries(data, REAL, time_s=np.array(times))
    assert MicrographSeries(data, REAL, time_s=np.array([1.0, 2.0, 4.0])).frame(2).shape == (4, 5)


def test_scan_reads_rows_and_patterns_in_order() -> None:
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    scan = PatternScan(data, GRID)
    assert (scan.scan_shape, scan.pattern_shape) == ((2, 3), (4, 5))
    np.testing.assert_array_equal(scan.pattern(1, 2).data, data[1, 2])
    np.testing.assert_array_equal(scan.rows(1, 2), data[1:2])


def table(n: int, offsets: list[int], shape: tuple[int, int] = (1, 1)) -> Spots:
    return Spots(np.zeros((n, 2)), np.ones((n, 2)), np.arange(n), np.arange(n), np.array(offsets), shape)


def test_spots_must_fill_their_patterns() -> None:
    for offsets, shape in (([0, 2], (1, 1)), ([1, 3], (1, 1)), ([0, 3], (1, 2)), ([0, 2, 1, 3], (1, 3))):
        with pytest.raises(DataError, match="offsets"):
            table(3, offsets, shape)
    with pytest.raises(DataError, match="one entry per spot"):
        Spots(np.zeros((3, 2)), np.ones((2, 2)), np.zeros(3), np.zeros(3), np.array([0, 3]))


def test_no_spots_are_a_table_too() -> None:
    none = Spots.empty()
    assert len(none) == 0
    assert len(none.where(np.zeros(0, dtype=bool))) == 0
    assert Spots.join([none, table(2, [0, 2]), none], (1, 3)).offsets.tolist() == [0, 0, 2, 2]


def test_radius_of_spots_is_their_distance_from_the_beam() -> None:
    spots = Spots(np.array([[3.0, -4.0]]), np.ones((1, 2)), np.ones(1), np.ones(1), np.array([0, 1]))
    assert spots.radius_inv_a.tolist() == [5.0]


def test_arrays_of_value_types_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        table(3, [0, 3]).intensity[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        GRID.ellipse[0, 0] = 2.0


PRESENCE = np.array([[[0.9, 0.1], [0.6, 0.5], [0.2, 0.3]], [[0.0, 1.0], [0.49, 0.49], [1.0, 1.0]]], dtype=np.float32)


def test_labels_set_one_bit_per_phase_that_is_present() -> None:
    pmap = PhaseMap(("a", "b"), PRESENCE, np.ones((2, 3), dtype=bool))
    assert pmap.labels().tolist() == [[1, 3, 0], [2, 0, 3]]
    assert pmap.labels(0.8).tolist() == [[1, 0, 0], [2, 0, 3]]
    assert pmap.labels().dtype == np.uint32


def test_shares_count_valid_positions_only() -> None:
    valid = np.ones((2, 3), dtype=bool)
    valid[1, 2] = False
    pmap = PhaseMap(("a", "b"), PRESENCE, valid)
    assert pmap.labels()[1, 2] == 0
    assert pmap.fractions() == pytest.approx({"a": 2 / 5, "b": 2 / 5, "none": 2 / 5, "mixed": 1 / 5})


def test_last_of_32_phases_has_its_own_bit() -> None:
    presence = np.zeros((1, 1, 32), dtype=np.float32)
    presence[..., 31] = 1.0
    assert PhaseMap(tuple(map(str, range(32))), presence, np.ones((1, 1), dtype=bool)).labels().item() == 1 << 31


def test_presence_is_a_probability_of_named_phases() -> None:
    valid = np.ones((2, 3), dtype=bool)
    for bad in (PRESENCE + 0.5, PRESENCE * np.nan, PRESENCE - 0.5):
        with pytest.raises(DataError, match="between 0 and 1"):
            PhaseMap(("a", "b"), bad, valid)
    with pytest.raises(DataError, match="unique"):
        PhaseMap(("a", "a"), PRESENCE, valid)
    with pytest.raises(DataError, match=r"\(y, x, 3\)"):
        PhaseMap(("a", "b", "c"), PRESENCE, valid)
    with pytest.raises(DataError, match="--min-probability"):
        PhaseMap(("a", "b"), PRESENCE, valid).labels(0.0)


def test_file_errors_cross_process_borders_whole() -> None:
    error = TruncatedFileError("a.mib", "it ends early.", "Copy it again.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is TruncatedFileError
    assert str(again) == str(error) == "a.mib: it ends early. Copy it again."


def test_maps_of_a_series_are_made_one_by_one_when_asked_for() -> None:
    made: list[int] = []

    def make(frame: int) -> PhaseMap:
        made.append(frame)
        return PhaseMap(("a", "b"), PRESENCE * frame / 4, np.ones((2, 3), dtype=bool))

    maps = PhaseMapsOnDemand(3, make)
    assert len(maps) == 3
    assert made == []
    assert maps[1:3][1].presence.max() == np.float32(PRESENCE.max() / 2)
    assert made == [1, 2]
    assert len(list(maps)) == 3
    for beyond in (3, -1):
        with pytest.raises(IndexError):
            maps[beyond]


def test_missing_pixels_take_the_mean_of_what_is_beside_them_and_holes_the_median() -> None:
    image = np.add.outer(np.arange(20.0), np.arange(30.0))
    holed = image.copy()
    holed[10, 4], holed[0, 0], holed[5:14, 15:26] = np.nan, -np.inf, np.inf
    mended = Micrograph.mended(holed, REAL)
    assert mended.replaced is not None
    np.testing.assert_array_equal(mended.replaced, ~np.isfinite(holed))
    np.testing.assert_array_equal(mended.data[~mended.replaced], image[~mended.replaced])
    assert mended.data[10, 4] == pytest.approx(14.0)
    assert mended.data[9, 20] == np.median(holed[np.isfinite(holed)])
    assert Micrograph.mended(image, REAL).replaced is None
    assert np.isnan(holed[10, 4]), "the input stays as it is"
    with pytest.raises(DataError, match="most is missing"):
        Micrograph.mended(np.where(image > 20, np.nan, image), REAL)
