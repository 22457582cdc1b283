"""A small scan."""

from __future__ import annotations

from pathlib import Path

import pytest

from friedel.io import write_scan
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated scan of 24 x 16 positions: some seconds of work, in several blocks."""
    path = tmp_path_factory.mktemp("inputs") / "scan.zarr"
    options = ScanOptions(scan_shape=(24, 16), pattern_shape=(96, 96), step_inv_a=0.022, dose_electrons=5000.0)
    write_scan(path, simulate_nmc811_scan(0, options)[0])
    return path
