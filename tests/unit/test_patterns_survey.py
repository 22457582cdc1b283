"""The first look at a scan tells centre, dead positions and virtual images."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.errors import CalibrationError, DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.patterns.survey import survey_scan, virtual_image

RING = (0.2, 0.4)


def scan_of(counts: np.ndarray) -> PatternScan:
    ky, kx = counts.shape[2:]
    return PatternScan(counts, ReciprocalGrid((0.02, 0.02), (ky // 2, kx // 2)), RealGrid((10.0, 10.0)))


def disk_scan(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of a beam that moves over the detector, and how it moves (n, 2)."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((64, 60))
    moves = np.array([(0.1 * ry, -0.15 * rx) for ry in range(6) for rx in range(8)])
    mean = [500.0 * np.exp(-0.5 * ((y - 30 - a) ** 2 + (x - 33 - b) ** 2) / 2.0) + 0.2 for a, b in moves]
    return rng.poisson(np.reshape(mean, (6, 8, 64, 60))).astype(np.uint16), moves


def test_descan_is_followed_to_a_tenth_of_a_pixel() -> None:
    counts, moves = disk_scan()
    survey = survey_scan(scan_of(counts), annulus_inv_a=RING)
    beam = np.array(survey.centre.px) + survey.shift_px
    assert np.abs(beam - (np.array([30, 33]) + moves)).max() < 0.1


def test_virtual_images_add_up_the_electrons_of_their_pixels() -> None:
    counts, _ = disk_scan()
    scan = scan_of(counts)
    survey = survey_scan(scan, annulus_inv_a=RING)
    grid = scan.grid.with_centre(survey.centre.px)
    ring = grid.radius_inv_a((64, 60))
    mask = (ring >= RING[0]) & (ring <= RING[1])
    expected = counts[..., mask].sum(axis=-1)
    assert np.allclose(survey.annular * survey.gain, expected, rtol=1e-6)
    centred = PatternScan(counts, grid)
    assert np.array_equal(virtual_image(centred, RING), expected)


def test_dark_and_nan_positions_are_not_valid() -> None:
    counts = disk_scan()[0].astype(np.float32)
    counts[2, 3] = 0.0
    counts[4, 5] = np.nan
    survey = survey_scan(scan_of(counts), annulus_inv_a=RING)
    assert sorted(map(tuple, np.argwhere(~survey.valid))) == [(2, 3), (4, 5)]
    assert np.isfinite(survey.annular).all()


def test_given_centre_is_kept() -> None:
    counts, _ = disk_scan()
    survey = survey_scan(scan_of(counts), annulus_inv_a=RING, fit_centre=False)
    assert survey.centre.px == (32, 30)
    assert survey.centre.method == "given"
    assert np.allclose(np.median(survey.shift_px, axis=0), 0.0)


def test_drift_is_followed_about_a_given_centre() -> None:
    counts, moves = disk_scan()
    survey = survey_scan(scan_of(counts), annulus_inv_a=RING, fit_centre=False)
    expected = moves - np.median(moves, axis=0)
    assert np.abs(survey.shift_px - expected).max() < 0.1


def test_counts_are_taken_from_a_dark_level_below_zero() -> None:
    counts, _ = disk_scan()
    survey = survey_scan(scan_of(counts.astype(np.int32) - 100), annulus_inv_a=RING)
    plain = survey_scan(scan_of(counts), annulus_inv_a=RING)
    assert survey.valid.all()
    assert np.allclose(survey.centre.px, plain.centre.px, atol=0.05)
    assert np.allclose(survey.annular * survey.gain, plain.annular * plain.gain, rtol=0.02, atol=3.0)


def test_hot_pixel_is_masked() -> None:
    counts, _ = disk_scan()
    counts[..., 10, 12] = 900
    survey = survey_scan(scan_of(counts), annulus_inv_a=RING)
    assert survey.scan.valid is not None
    assert np.argwhere(~survey.scan.valid).tolist() == [[10, 12]]


def test_empty_scan_and_annulus_off_the_detector_are_refused() -> None:
    with pytest.raises(DataError, match="zero or NaN"):
        survey_scan(scan_of(np.zeros((2, 2, 32, 32))), annulus_inv_a=RING)
    counts, _ = disk_scan()
    with pytest.raises(CalibrationError, match="--annulus-inv-a"):
        survey_scan(scan_of(counts), annulus_inv_a=(3.0, 4.0))
    with pytest.raises(CalibrationError, match=r"LO < HI, got 0\.3,0\.2"):
        survey_scan(scan_of(counts), annulus_inv_a=(0.3, 0.2))
    lit_once = np.zeros((1, 2, 32, 32))
    lit_once[0, 0, 16, 16] = np.nan
    with pytest.raises((CalibrationError, DataError)):
        survey_scan(scan_of(lit_once), annulus_inv_a=RING)
