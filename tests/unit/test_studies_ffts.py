"""What the studies of the HRTEM paper count, on masks and pictures whose answer is known."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from fft_networks import Look, Marks, cells_of, marks_at, pooled, spot_score, turned, values_of
from fft_sheets import Sheet, feature_sizes, regions_of
from gaussian_kernels import contrast
from half_fft import completed, spots_in, unpaired_regions
from manual_measurement import errors

from friedel.nets.half_plane import half_of, whole_of
from friedel.nets.scoring import Score
from friedel.spots.segmentation import MaskScore

WIDTH = 32


def disk(shape, middle, radius):
    return np.hypot(*(np.indices(shape) - np.array(middle)[:, None, None])) <= radius


def sheet_of(mask, px):
    n = len(px)
    return Sheet(
        np.ones(mask.shape, np.float32), mask, np.ones_like(mask), np.array(px, float).reshape(n, 2), np.ones(n),
        np.ones(n, dtype=bool), WIDTH,
    )  # fmt: skip


def test_equation_11_size_of_an_ellipse_is_the_root_of_the_squares_of_its_axes():
    y, x = np.indices((80, 60)) - np.array([40, 30])[:, None, None]
    labels, number = regions_of((y / 30) ** 2 + (x / 12) ** 2 <= 1)
    assert number == 1
    assert feature_sizes(labels, number) == pytest.approx([math.hypot(60, 24)], rel=0.01)


def test_equations_4_and_5_of_one_feature():
    snr_db, cnr = contrast(np.full(5, 20.0), np.array([1.0, 3.0] * 50))
    assert snr_db == pytest.approx(20 * math.log10(20))
    assert cnr == pytest.approx(18.0)


def test_a_region_has_its_mate_at_minus_k_and_a_broken_one_has_none():
    half = np.zeros((32, WIDTH // 2), dtype=bool)
    half[5:8, 3:6] = half[20:22, 9:11] = True
    whole = completed(half, WIDTH)
    labels, number = regions_of(whole)
    assert (number, unpaired_regions(labels, number)) == (4, 0)
    whole[5:8, WIDTH // 2 + 3 : WIDTH // 2 + 6] = False
    labels, number = regions_of(whole)
    assert (number, unpaired_regions(labels, number)) == (3, 1)


def test_two_spots_in_one_region_are_merged_and_a_lone_one_gives_its_area():
    mask = np.zeros((32, WIDTH // 2 + 1), dtype=bool)
    mask[2:5, 4:7] = mask[2:5, 9:12] = mask[20:23, 4:7] = True
    sheet = sheet_of(mask, [(3, 5), (3, 10), (21, 5)])
    found = np.zeros((32, WIDTH), dtype=bool)
    found[2:5, 20:28] = found[19:24, 19:25] = True
    labels, number = regions_of(found)
    inside, ratio = spots_in(labels, number, sheet)
    assert sorted(inside.tolist()) == [1, 2]
    assert ratio == pytest.approx([30 / 9])


def test_views_of_an_fft_are_those_of_the_turned_micrograph():
    image = np.random.default_rng(0).normal(size=(WIDTH, WIDTH))

    def half(picture):
        return half_of(np.abs(np.fft.fftshift(np.fft.fft2(picture))))

    for view, other in ((1, image.T), (2, image[::-1]), (3, image.T[::-1])):
        np.testing.assert_allclose(turned(half(image), view, WIDTH), half(other), rtol=1e-9)


def test_a_shrunk_look_keeps_the_mean_and_comes_back_to_size():
    half = np.random.default_rng(1).random((WIDTH, WIDTH // 2 + 1)).astype(np.float32)
    for look, shape in ((Look(shrink=2), (16, 8)), (Look(shrink=4, is_whole=True), (8, 8))):
        seen = look.see(half, WIDTH)
        full = whole_of(half, WIDTH) if look.is_whole else half[:, :-1]
        assert seen.shape == shape
        assert look.back(seen, WIDTH).shape == full.shape
        assert look.back(seen, WIDTH).mean() == pytest.approx(full.mean(), rel=1e-5)


def test_marks_of_the_true_mask_are_perfect_and_pixels_that_do_not_count_change_nothing(monkeypatch):
    mask = disk((32, WIDTH // 2 + 1), (10, 6), 2.5)
    sheet = sheet_of(mask, [(10, 6)])
    sheet.counts[25:] = False
    monkeypatch.setattr("fft_networks.known_sheets", lambda part, count=None: (sheet,))
    found = mask[:, :-1].astype(np.float32)
    found[28, 3] = 1.0
    marks = marks_at([found], 0.5)
    assert (marks.mask.dice, marks.mask.hausdorff_px, marks.spots.hits, marks.spots.false) == (1.0, 0.0, 1, 0)
    assert pooled([found], [sheet], 0.5).dice == 1.0
    found[20, 10] = 1.0
    marks = marks_at([found], 0.5)
    assert marks.mask.hausdorff_px == pytest.approx(np.hypot(9, 4), abs=2.0)
    assert (spot_score(found >= 0.5, sheet).false, pooled([found], [sheet], 0.5).precision < 1) == (2, True)


def test_spacings_are_compared_with_the_nearest_spot_of_either_sign():
    true = np.array([[0.3, 0.4], [0.1, 0.2]])
    found = np.array([[-0.303, -0.404], [0.4, 0.4]])
    assert list(errors(found, true, 0.02)) == pytest.approx([1 / 1.01 - 1])


def test_seeds_are_shown_by_their_mean_and_compared_so_that_more_is_better():
    good, poor = (
        Marks(MaskScore(hits, 10, 10, 70, far), Score(hits=8, false=4, patterns=2), 0.5)
        for hits, far in ((30, 5.0), (10, 20.0))
    )
    cells = cells_of([good, poor])
    assert (cells[0], cells[5]) == ("0.62 (0.50 to 0.75)", "12")
    for measure in ("Dice", "Hausdorff"):
        assert values_of([good], measure) > values_of([poor], measure)
