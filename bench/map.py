"""The whole road of a scan, from file to run folder: patterns per second of one core, stage by stage.

CPU time of friedel and of the process that reads the file, which others on the machine disturb little. Writes its
section of docs/bench/speed.md when given --write.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import friedel as fr
from friedel.pipeline.recipe import parse_recipe
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

DOCS = Path(__file__).parents[1] / "docs" / "bench" / "speed.md"
HEADING = "## A scan from file to report"
#: Scan and pattern shapes; the field of view is the same.
SIZES = {128: (32, 40), 256: (16, 20)}
DOSE_ELECTRONS = 2000.0


def cpu_s() -> float:
    """CPU seconds of this process, its threads, and its children that are alive or were waited for."""
    used = os.times()
    total = used.user + used.system + used.children_user + used.children_system
    ticks = os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def stages(pixels: int, denoise: str, folder: Path) -> dict[str, float]:
    """CPU seconds by stage of one map."""
    options = ScanOptions(
        scan_shape=SIZES[pixels],
        pattern_shape=(pixels,) * 2,
        step_inv_a=0.0165 * 128 / pixels,
        dose_electrons=DOSE_ELECTRONS,
    )
    scan, truth = simulate_nmc811_scan(0, options)
    fr.write_scan(folder / "scan.zarr", scan)
    values = {"input": str(folder / "scan.zarr"), "phases": list(truth.phases), "scan": {"denoise": denoise}}
    ends: dict[str, float] = {}

    def note(step: str, done: int, total: int) -> None:
        if done == total:
            ends[step] = cpu_s()

    began = cpu_s()
    fr.run_recipe(parse_recipe(values), folder / "run", progress=note)
    taken = {}
    for step, end in ends.items():
        taken[step], began = end - began, end
    return taken


def start_up() -> list[tuple[str, float]]:
    """CPU seconds until a Python that only starts, numpy, friedel and the command line are there."""
    friedel = str(Path(sys.executable).with_name("friedel"))
    commands = {
        "`import numpy`": [sys.executable, "-c", "import numpy"],
        "`import friedel`": [sys.executable, "-c", "import friedel"],
        "`friedel --help`": [friedel, "--help"],
    }
    return [(name, min(_child_cpu_s(command) for _ in range(5))) for name, command in commands.items()]


def _child_cpu_s(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def rows(measure: Callable[[int, str, Path], dict[str, float]]) -> list[str]:
    """Table of all sizes, with and without the network."""
    out = []
    for pixels, shape in SIZES.items():
        for denoise, name in (("none", "without"), ("denoiser", "with")):
            with tempfile.TemporaryDirectory() as folder:
                taken = measure(pixels, denoise, Path(folder))
            n = shape[0] * shape[1]
            per_pattern = taken["survey"] + taken["spots"]
            once = sum(taken.values()) - per_pattern
            cells = [f"{n / taken[step]:.0f}" for step in ("survey", "spots")]
            out.append(
                f"| {pixels} x {pixels} | {name} | {cells[0]} | {cells[1]} | {n / per_pattern:.0f} | {once:.1f} s |"
            )
    return out


def main() -> None:
    """Measure, print, and write the section if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the section of docs/bench/speed.md")
    write = parser.parse_args().write
    day, machine = dt.datetime.now(tz=dt.UTC).date(), f"{platform.machine()}, Python {platform.python_version()}"
    lines = [
        HEADING,
        "",
        f"Made by `python bench/map.py --write` on {day}, {machine}. Patterns per second of CPU time of one",
        f"core, reading included; hexagons, two phases, {DOSE_ELECTRONS:.0f} electrons per pattern. The last column is",
        "what a map takes once, however large: hash, judging, pictures, writing.",
        "",
        "| pattern, px | network | survey | spots and hexagons | both | once |",
        "|---|---|---|---|---|---|",
        *rows(stages),
        "",
        "CPU time to start: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in start_up()) + ".",
    ]
    print("\n".join(lines))
    if write:
        text = DOCS.read_text(encoding="utf-8")
        before, _, rest = text.partition("\n" + HEADING)
        _, mark, after = rest.partition("\n## ")
        DOCS.write_text(before.rstrip() + "\n\n" + "\n".join(lines) + "\n" + mark + after, encoding="utf-8")


if __name__ == "__main__":
    main()
