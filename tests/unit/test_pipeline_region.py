"""A region is a rectangle or a mask inside the field, and a crop reads nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from friedel.core.errors import DataError, FriedelError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.pipeline.region import crop_scan, find_region, region_of_mask
from friedel.pipeline.workers import workers

FIELD = (6, 9)
GRID = ReciprocalGrid((0.02, 0.02), (2.0, 2.0))


def test_without_a_choice_the_region_is_all() -> None:
    region = find_region(FIELD, None, None)
    assert region.is_whole(FIELD)
    assert region.outline(FIELD).all()


def test_rectangle_is_rows_then_columns() -> None:
    region = find_region(FIELD, ((1, 3), (4, 9)), None)
    assert np.argwhere(region.outline(FIELD))[[0, -1]].tolist() == [[1, 4], [2, 8]]
    assert not region.is_whole(FIELD)


@pytest.mark.parametrize("roi", [((3, 3), (0, 9)), ((4, 2), (0, 9)), ((0, 7), (0, 9)), ((0, 6), (-1, 4))])
def test_empty_rectangle_or_one_off_the_field_is_refused(roi: Any) -> None:
    with pytest.raises(DataError, match=r"6 x 9.*--roi Y0:Y1,X0:X1"):
        find_region(FIELD, roi, None)


def test_mask_file_marks_what_is_not_zero(tmp_path: Path) -> None:
    mask = np.zeros(FIELD, dtype=np.uint8)
    mask[2, 3], mask[4, 7] = 255, 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    region = find_region(FIELD, None, str(tmp_path / "mask.png"))
    assert (region.rows, region.columns) == ((2, 5), (3, 8))
    np.testing.assert_array_equal(region.outline(FIELD), mask > 0)


def test_mask_of_other_shape_or_without_a_pixel_is_refused() -> None:
    with pytest.raises(DataError, match=r"mine\.png.*\(6, 9\).*\(9, 6\)"):
        region_of_mask(FIELD, np.ones((9, 6), dtype=bool), "mine.png")
    with pytest.raises(DataError, match="0 set"):
        region_of_mask(FIELD, np.zeros(FIELD, dtype=bool), "mine.png")


class Watched:
    """An array that notes which rows and columns were read."""

    def __init__(self, array: Any) -> None:
        self.array, self.read = array, np.zeros(array.shape[:2], dtype=bool)
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        self.read[parts[:2]] = True
        return self.array[key]


def test_cropped_scan_is_the_part_and_reads_only_it() -> None:
    data = np.arange(6 * 9 * 4 * 5).reshape(6, 9, 4, 5)
    watched = Watched(data)
    region = find_region(FIELD, ((1, 4), (2, 7)), None)
    cropped = crop_scan(PatternScan(watched, GRID), region)
    assert cropped.scan_shape == (3, 5)
    np.testing.assert_array_equal(cropped.rows(1, 3), data[2:4, 2:7])
    np.testing.assert_array_equal(cropped.pattern(2, 4).data, data[3, 6])
    assert not watched.read[~region.outline(FIELD)].any()


def test_whole_region_leaves_the_scan_alone() -> None:
    scan = PatternScan(np.zeros((*FIELD, 4, 5)), GRID)
    assert crop_scan(scan, find_region(FIELD, None, None)) is scan


def test_one_job_needs_no_pool_and_two_make_one() -> None:
    with workers(1, None) as executor:
        assert executor is None
    with workers(2, None) as executor:
        assert executor is not None
        assert list(executor.map(abs, [-1, 2, -3])) == [1, 2, 3]


def test_scheduler_that_does_not_answer_is_named() -> None:
    with pytest.raises(FriedelError, match=r"nonsense.*--jobs"), workers(1, "nonsense://nowhere"):
        pass
