"""Peak memory of ``friedel map`` on cubes of several sizes, all processes together.

The cubes lie on disk as sparse files: of every eight blocks of 64 MiB one holds a simulated scan, the others zeros,
which take no disk, and as much memory as any when they are mapped. Pixels are of float64, which makes fewer of them.
What is kept in memory must not grow with the cube, but for the results.
Writes its section of docs/bench/speed.md when given --write; --gib names the sizes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from section import SPEED, made_by, write_section

from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

HEADING = "Memory of large scans"
PATTERN_PX, STEP_INV_A, DOSE_ELECTRONS = 256, 0.00825, 20000.0
#: Columns of the scan; rows of a simulated block, and of how many rows they are the first.
COLUMNS, FILLED_ROWS, EVERY_ROWS = 128, 2, 16


@dataclass(frozen=True, slots=True)
class Cost:
    """What a map took: the largest memory of all its processes at one time, and CPU time."""

    private_bytes: int
    resident_bytes: int
    cpu_s: float


def write_cube(path: Path, gib: float) -> int:
    """Write a cube of about this size, and return its number of patterns."""
    side = int(np.sqrt(FILLED_ROWS * COLUMNS))
    options = ScanOptions((side, side), (PATTERN_PX, PATTERN_PX), STEP_INV_A, dose_electrons=DOSE_ELECTRONS)
    simulated = np.asarray(simulate_nmc811_scan(0, options)[0].data).astype(np.float64)
    block = simulated.reshape(FILLED_ROWS, COLUMNS, PATTERN_PX, PATTERN_PX)
    rows = max(1, round(gib * 2**30 / (EVERY_ROWS // FILLED_ROWS * block.nbytes))) * EVERY_ROWS
    shape = (rows, *block.shape[1:])
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": block.dtype.str, "fortran_order": False, "shape": shape})
        start = stream.tell()
        for row in range(0, rows, EVERY_ROWS):
            stream.seek(start + row * block[0].nbytes)
            stream.write(block.data)
        stream.truncate(start + rows * block[0].nbytes)
    return rows * COLUMNS


def processes_of(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def memory_of(pid: int) -> tuple[int, int]:
    """Bytes of memory of a process: its own, and with the pages of files that it has mapped."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    rss = {line[: line.index(":")]: 1024 * int(line.split()[1]) for line in lines if line.startswith(("Rss", "VmRSS"))}
    return rss.get("RssAnon", 0) + rss.get("RssShmem", 0), rss.get("VmRSS", 0)


def map_cube(path: Path, out: Path, *more: str) -> Cost:
    """Map a cube and watch what it takes."""
    command = [str(Path(sys.executable).with_name("friedel")), "map", str(path), "--phases", "nmc811-o3,nmc811-o1"]
    command += ["--kind", "scan", "--step-inv-a", str(STEP_INV_A), "--out", str(out), "--quiet", *more]
    before, private, resident = os.times(), 0, 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        now = [memory_of(one) for one in processes_of(process.pid)]
        private = max(private, sum(own for own, _ in now))
        resident = max(resident, sum(whole for _, whole in now))
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"friedel ended with {process.returncode}")
    after = os.times()
    cpu_s = after.children_user - before.children_user + after.children_system - before.children_system
    return Cost(private, resident, cpu_s)


def row_of(gib: float, jobs: int, denoise: str) -> str:
    """Map one cube, and return its line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cube.npy"
        patterns = write_cube(path, gib)
        size_gib, disk_gib = path.stat().st_size / 2**30, path.stat().st_blocks * 512 / 2**30
        cost = map_cube(path, Path(folder) / "run", "--jobs", str(jobs), "--denoise", denoise)
    sizes = f"{size_gib:.3g} GiB | {disk_gib:.2g} GiB | {patterns:,} | {jobs}"
    memory = f"{cost.private_bytes / 2**30:.2f} GiB | {cost.resident_bytes / 2**30:.2f} GiB"
    return f"| {sizes} | {memory} | {cost.cpu_s / 60:.1f} min |"


def main() -> None:
    """Write cubes, map them, print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, nargs="+", default=[1.0, 20.0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--denoise", default="none")
    parser.add_argument("--write", action="store_true", help="write the section of docs/bench/speed.md")
    arguments = parser.parse_args()
    lines = [
        *made_by(
            "bench/large_cube.py --write",
            f"{PATTERN_PX} x {PATTERN_PX} px, float64, two phases, hexagons, without the network, from file to report; "
            "one pattern in eight holds light. Memory is the largest sum over all processes at one time; the second "
            "figure counts the pages of programs and mapped files too.",
        ),
        "",
        "| cube | on disk | patterns | jobs | memory | with mapped files | CPU time |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for gib in arguments.gib:
        lines.append(row_of(gib, arguments.jobs, arguments.denoise))
        print(lines[-1], flush=True)
    if arguments.write:
        write_section(SPEED, HEADING, lines)


if __name__ == "__main__":
    main()
