"""Make the pictures of docs/howto/figures.md from simulated data: ``python docs/make/figures_page.py``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from picture_files import save

import friedel as fr
from friedel.io import write_series
from friedel.pipeline.figures import figure_of_pattern, figure_of_scan, figure_of_series
from friedel.pipeline.series.road import map_whole_series
from friedel.simulate.micrographs.micrograph import SEI_PHASES
from friedel.simulate.micrographs.series import sei_series, simulate_frame
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

#: Electrons per pattern of the scan, and a position where O3 and O1 lie on one another.
DOSE, STACKED = 1000.0, (17, 3)
SERIES_SEED, SHAPE, N_FRAMES = 5, (448, 448), 24


def main() -> None:
    """Simulate, analyse and draw."""
    scan, truth = simulate_nmc811_scan(0, ScanOptions(dose_electrons=DOSE))
    result = fr.analyse_scan(scan, fr.load_phases(truth.phases), fr.ScanOptions())
    save("figure-pattern", figure_of_pattern(result, STACKED)[0], dpi=220)
    y, x = np.ogrid[: scan.scan_shape[0], : scan.scan_shape[1]]
    oval = ((y - 17) / 13) ** 2 + ((x - 18) / 16) ** 2 < 1
    save("figure-scan", figure_of_scan(result, oval)[0], dpi=220)
    plan = sei_series(SERIES_SEED, N_FRAMES, shape=SHAPE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.mrc"
        write_series(path, (simulate_frame(plan, i)[0] for i in range(N_FRAMES)), N_FRAMES)
        series = fr.read(path, fr.ReadOptions(kind="series"))
        assert isinstance(series, fr.MicrographSeries)
        found = map_whole_series(series, fr.load_phases(list(SEI_PHASES)))
        save("figure-series", figure_of_series(series, found)[0], dpi=220)


if __name__ == "__main__":
    main()
