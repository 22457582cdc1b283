"""When a scan is looked at by the network, and when its neighbours are added up first."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.patterns.survey import Survey, survey_scan
from friedel.pipeline.scans.choices import choose_denoiser
from friedel.pipeline.scans.result import ScanOptions

SHAPE, CENTRE = (48, 64), (23.0, 33.0)


def _survey(electrons: float) -> Survey:
    rows, columns = np.indices(SHAPE)
    mean = np.exp(-0.5 * (np.hypot(rows - CENTRE[0], columns - CENTRE[1]) / 1.2) ** 2) + 2e-3
    mean *= electrons / mean.sum()
    counts = np.random.default_rng(1).poisson(mean, (3, 4, *SHAPE)).astype(np.uint16)
    scan = PatternScan(counts, ReciprocalGrid((0.02, 0.02), CENTRE), RealGrid((10.0, 10.0)))
    return survey_scan(scan, annulus_inv_a=(0.15, 0.45))


@pytest.mark.parametrize(("electrons", "adds_neighbours"), [(100.0, True), (400.0, True), (1000.0, False)])
def test_neighbours_are_added_up_where_light_is_scarce(electrons: float, adds_neighbours: bool) -> None:
    denoiser = choose_denoiser(_survey(electrons), ScanOptions())
    assert denoiser is not None
    assert (denoiser.judged is not None) == adds_neighbours
    assert denoiser.halo == int(adds_neighbours)


def test_the_network_is_left_out_where_it_is_not_wanted_or_there_is_more_light_than_it_knows() -> None:
    bright = _survey(60000.0)
    assert choose_denoiser(bright, ScanOptions()) is None
    assert choose_denoiser(bright, ScanOptions(denoise="denoiser")) is not None
    assert choose_denoiser(_survey(100.0), ScanOptions(denoise="none")) is None
