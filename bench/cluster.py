"""What a cluster of up to a thousand workers would make of a large scan: measured overheads, and a dry run with them.

Measured here: how many blocks per second one client and one scheduler can hand out, take back and keep on disk, with
results as large as real ones; the CPU time of a block; the bytes of its input. The dry run then plays the client, the
workers and the file system through block by block. Writes the figures in docs/howto/cluster.md when given --write.
"""

from __future__ import annotations

import argparse
import datetime as dt
import heapq
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from distributed import LocalCluster

import friedel as fr
from friedel.core.arrays import AnyArray
from friedel.core.blocks import BLOCK_BYTES, map_patterns
from friedel.core.images import PatternScan
from friedel.pipeline.runs.folder import open_run
from friedel.pipeline.workers import workers
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

DOCS = Path(__file__).parents[1] / "docs" / "howto" / "cluster.md"
HEADING = "## Figures"
WORKERS = (1, 8, 32, 128, 512, 1000)
N_BLOCKS_MEASURED = 300
#: The scan of the dry run: 512 x 1024 patterns of 256 x 256 px, two bytes each.
PATTERN_BYTES, N_PATTERNS = 2 * 256 * 256, 512 * 1024
#: Bytes per second that the file system gives to all workers together.
FILE_SYSTEMS = {"1 GB/s": 1e9, "10 GB/s": 1e10}


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds: a block's work on a core, by pass; what the client needs per block, and does alone in the end."""

    block_s: tuple[float, float]
    client_s: float
    serial_s: float


class Nothing:
    """A scan's data of no content, which is read in no time."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, np.dtype(np.uint16)

    def __getitem__(self, key: slice, /) -> AnyArray:
        """Give one empty row, whatever is asked for."""
        return np.zeros((1, *self.shape[1:]), self.dtype)


def as_large_as_real(start: int, patterns: AnyArray) -> dict[str, AnyArray]:
    """Stand for the spots of a block: 12 spots of 56 bytes in each pattern."""
    n = 12 * BLOCK_BYTES // PATTERN_BYTES
    return {"spots.k_inv_a": np.random.default_rng(start).random((n, 7))}


def client_seconds() -> float:
    """Seconds per block that client and scheduler need, with four workers that do nothing."""
    scan = PatternScan(
        Nothing((N_BLOCKS_MEASURED, BLOCK_BYTES // 2048, 32, 32)), fr.ReciprocalGrid((0.01,) * 2, (16.0, 16.0))
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=4, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None) as c,
        workers(1, c.scheduler_address) as executor,
        open_run(Path(folder) / "run", {}) as run,
    ):
        start = time.process_time()
        for first, arrays in map_patterns(as_large_as_real, scan, executor=executor):
            run.save_block(first, arrays)
        took = time.process_time() - start
        for name in ("provenance.json", "summary.json"):
            (run.partial / name).write_text("{}", encoding="utf-8")
    return took / N_BLOCKS_MEASURED


def measured() -> Costs:
    """CPU seconds of a block of the dry run's scan, from a small scan of the same pattern size."""
    scan, truth = simulate_nmc811_scan(0, ScanOptions(scan_shape=(8, 16), pattern_shape=(256, 256), step_inv_a=0.00825))
    phases = fr.load_phases(truth.phases)
    steps: dict[str, list[float]] = {}

    def note(step: str, done: int, total: int) -> None:
        steps.setdefault(step, []).append(time.process_time())

    began = time.process_time()
    fr.analyse_scan(scan, phases, fr.ScanOptions(denoise="none"), progress=note)
    ended = time.process_time()
    scale = BLOCK_BYTES / PATTERN_BYTES / 128
    survey, spots = steps["survey"][-1] - began, steps["spots"][-1] - steps["survey"][-1]
    return Costs((survey * scale, spots * scale), client_seconds(), ended - steps["spots"][-1])


def dry_run(costs: Costs, n_workers: int, bytes_per_s: float) -> float:
    """Seconds that a scan takes: each block waits for the client, then for the file system, then for its worker."""
    n_blocks = N_PATTERNS * PATTERN_BYTES // BLOCK_BYTES
    now = 0.0
    for work_s in costs.block_s:
        free = [now] * n_workers
        client = disk = now
        for _ in range(n_blocks):
            client = max(client + costs.client_s, heapq.heappop(free))
            disk = max(disk, client) + BLOCK_BYTES / bytes_per_s
            heapq.heappush(free, disk + work_s)
            client = max(client, now)
        now = max(free)
    return now + costs.serial_s


def main() -> None:
    """Measure, play through, print, and write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the figures of docs/howto/cluster.md")
    write = parser.parse_args().write
    costs = measured()
    gb = N_PATTERNS * PATTERN_BYTES / 1e9
    day, machine = dt.datetime.now(tz=dt.UTC).date(), f"{platform.machine()}, Python {platform.python_version()}"
    n_patterns, n_blocks = BLOCK_BYTES // PATTERN_BYTES, N_PATTERNS * PATTERN_BYTES // BLOCK_BYTES
    survey_s, spots_s = costs.block_s
    lines = [
        HEADING,
        "",
        f"Made by `python bench/cluster.py --write` on {day}, {machine}, in CPU time.",
        "",
        f"- A block of {n_patterns} patterns of 256 x 256 px (64 MiB) takes {survey_s:.1f} s of one core in the",
        f"  survey, and {spots_s:.1f} s for its spots and hexagons without the network.",
        f"- Client and scheduler take {1e3 * costs.client_s:.0f} ms per block, with its results kept on disk.",
        "",
        f"Dry run of {N_PATTERNS:,} patterns, {gb:.0f} GB, {n_blocks} blocks in two passes, by what the file",
        "system gives:",
        "",
        "| workers | " + " | ".join(FILE_SYSTEMS) + " |",
        "|---|" + "---|" * len(FILE_SYSTEMS),
    ]
    for n in WORKERS:
        times = [dry_run(costs, n, speed) for speed in FILE_SYSTEMS.values()]
        lines.append(f"| {n} | " + " | ".join(f"{t / 60:.1f} min" for t in times) + " |")
    print("\n".join(lines))
    if write:
        text, _, _ = DOCS.read_text(encoding="utf-8").partition(HEADING)
        DOCS.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
