"""Speed and memory of both roads, as ratios to plain array work on the same data in the same run.

Machines differ and are shared: a ratio to a Gaussian filter, or to an FFT, of the same pixels holds where seconds do
not. Writes docs/bench/speed.md when given --write.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy import fft, ndimage

import friedel as fr
from friedel.core.images import PatternScan
from friedel.simulate.micrographs.micrograph import sei_micrograph
from friedel.simulate.patterns.scan import ScanOptions as SimulatedScan
from friedel.simulate.patterns.scan import simulate_nmc811_scan

DOCS = Path(__file__).parents[1] / "docs" / "bench" / "speed.md"


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_gib() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def scan_rows() -> list[tuple[str, str, str]]:
    """Measure the 4D-STEM road with both templates, against one Gaussian filter of every pattern."""
    scan, _ = simulate_nmc811_scan(0, SimulatedScan(scan_shape=(16, 40)))
    counts = np.asarray(scan.data)
    n = counts.shape[0] * counts.shape[1]
    stack = counts.reshape(-1, *counts.shape[2:]).astype(np.float32)
    unit = seconds(lambda: ndimage.gaussian_filter(stack, (0, 1.5, 1.5)))
    phases = fr.load_phases(["nmc811-o3", "nmc811-o1"])
    rows = []
    for template in ("hexagon", "lattice"):
        options = fr.ScanOptions(template=template)
        took = seconds(partial(fr.analyse_scan, scan, phases, options), repeats=2)
        rows.append((f"scan, {template}, 128 x 128 px, 2 phases", f"{n / took:.0f} patterns/s", f"{took / unit:.1f}"))
    return rows


def micrograph_rows() -> list[tuple[str, str, str]]:
    """Measure the HRTEM road against one real FFT of the image."""
    micrograph, truth = sei_micrograph(0)
    phases = fr.load_phases(truth.phases)
    tiled = np.tile(np.asarray(micrograph.data), (2, 2))
    rows = []
    for image in (np.asarray(micrograph.data), tiled):
        unit = seconds(partial(fft.rfft2, image.astype(np.float32)))
        picture = fr.Micrograph(image, micrograph.grid)
        took = seconds(partial(fr.map_micrograph, picture, phases), repeats=1)
        rows.append(
            (f"micrograph, {image.shape[0]} x {image.shape[1]} px, 4 phases", f"{took:.1f} s", f"{took / unit:.0f}")
        )
    return rows


def large_file_rows() -> list[tuple[str, str, str]]:
    """Open an 8 GiB scan and read one row of it, against reading that row with numpy."""
    shape = (256, 256, 256, 256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.npy"
        header = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=shape)
        del header
        unit = seconds(lambda: np.array(np.load(path, mmap_mode="r")[7]), repeats=1)
        before = peak_gib()
        options = fr.ReadOptions(kind="scan", step_inv_a=0.01)

        def first_row() -> None:
            scan = fr.read(path, options)
            assert isinstance(scan, PatternScan)
            scan.rows(7, 8)

        took = seconds(first_row, repeats=1)
    grown = max(peak_gib() - before, 0.0)
    return [("open an 8 GiB scan and read one row", f"{took:.1f} s, {grown:.2f} GiB more memory", f"{took / unit:.0f}")]


def main() -> None:
    """Run all, print the table, and write it to the docs if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/bench/speed.md")
    write = parser.parse_args().write
    rows = [*scan_rows(), *micrograph_rows(), *large_file_rows()]
    lines = ["| what | measured | times the unit |", "|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    print("\n".join(lines))
    if write:
        day = dt.datetime.now(tz=dt.UTC).date()
        head = (
            "# Speed\n\nMade by `python bench/roads.py --write` "
            f"on {day}, one process, {platform.machine()}, Python {platform.python_version()}. The last column is the "
            "ratio to plain array work on the same data in the same run: one Gaussian filter of every pattern, one "
            "real FFT of the image, or reading the row with numpy. Quote the ratios; seconds depend on the machine.\n\n"
        )
        _, mark, others = DOCS.read_text(encoding="utf-8").partition("\n## ")
        DOCS.write_text(head + "\n".join(lines) + "\n" + mark + others, encoding="utf-8")


if __name__ == "__main__":
    main()
