"""Peak memory of ``friedel map`` on cubes of several sizes, all processes together.

The cubes lie on disk as they would; they repeat a small simulated scan. What is kept in memory must not grow with them,
but for the results. Prints a table; --gib names the sizes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

PATTERN_SHAPE, STEP_INV_A = (256, 256), 0.00825


def write_cube(path: Path, gib: float) -> tuple[int, int, int, int]:
    """Write a cube of about this size: a simulated block of 2 x 64 positions, again and again."""
    scan, _ = simulate_nmc811_scan(
        0, ScanOptions(scan_shape=(2, 64), pattern_shape=PATTERN_SHAPE, step_inv_a=STEP_INV_A)
    )
    block = np.asarray(scan.data).astype(np.uint16)
    times = max(1, round(gib * 2**30 / block.nbytes))
    shape = (2 * times, 64, *PATTERN_SHAPE)
    cube = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=shape)
    for i in range(times):
        cube[2 * i : 2 * i + 2] = block
        cube.flush()
    return shape


def memory_bytes(pid: int) -> int:
    """Private memory of a process and all that it started, pages of mapped files left out."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
        except (OSError, ValueError):
            continue
        if int(folder.name) == pid or int(fields["PPid"]) == pid:
            total += 1024 * int(fields.get("RssAnon", "0 kB").split()[0])
    return total


def mapped(path: Path, out: Path, *more: str) -> tuple[float, float]:
    """Map a cube, and return peak GiB of the process tree and seconds."""
    command = [str(Path(sys.executable).with_name("friedel")), "map", str(path), "--phases", "nmc811-o3,nmc811-o1"]
    command += ["--kind", "scan", "--step-inv-a", str(STEP_INV_A), "--out", str(out), "--quiet", *more]
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        peak = max(peak, memory_bytes(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"friedel ended with {process.returncode}")
    return peak / 2**30, time.monotonic() - began


def main() -> None:
    """Write cubes, map them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, nargs="+", default=[0.25, 1.0, 20.0])
    parser.add_argument("--denoise", default="none")
    arguments = parser.parse_args()
    print("| cube | patterns | peak memory | time |\n|---|---|---|---|")
    for gib in arguments.gib:
        with tempfile.TemporaryDirectory() as folder:
            shape = write_cube(Path(folder) / "cube.npy", gib)
            peak, took = mapped(Path(folder) / "cube.npy", Path(folder) / "run", "--denoise", arguments.denoise)
        print(f"| {gib:g} GiB | {shape[0] * shape[1]:,} | {peak:.2f} GiB | {took:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
