"""Are phases of simulated series seen to appear in the right frame, with the right areas, and in bounded memory?

LiF that shrinks, Li, Li2O and Li2CO3 that grow, from seeds on which nothing was tuned; the same specimens without any
change; or, with --stack, the time and memory that a long stack takes. With --write, each of the two writes its part of
docs/bench/series.md and leaves the other.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.core.images import MicrographSeries
from friedel.crystal import load_phases
from friedel.io import read
from friedel.io.options import ReadOptions
from friedel.pipeline.series.options import SeriesOptions
from friedel.pipeline.series.road import SeriesResult, map_whole_series
from friedel.simulate.micrographs.micrograph import SEI_PHASES
from friedel.simulate.micrographs.series import SimulatedSeries, areas_px, onset_frames, sei_series, simulate_frame

DOCS = Path(__file__).parents[1] / "docs" / "bench" / "series.md"
FIRST_SEED, SHAPE, N_FRAMES = 101, (512, 512), 40

TITLE, STACK_TITLE = "# Series: what is found when\n", "\n## Time and memory\n"
FOUND = """
Made by {made}. No seed of this page was used while the method was made.

## Onsets and areas

{n} simulated series of {frames} frames of {height} x {width} px, 0.37 Å per pixel, 394 electrons per Å² and frame: LiF
that shrinks, and Li, Li₂O and Li₂CO₃, two grains of each, that grow from nothing to about 2 nm in radius on 8 nm of
amorphous film, while the specimen drifts by 0.05 nm per frame.

| phase | onset found | within a frame | inside its 95 % interval | median error, frames | error of area, % of image |
|---|---|---|---|---|---|
{rows}

Of {told} families of reflections that were said to appear, {right} did so within their interval or a frame beside it.
The true onset is the first frame in which a grain of the phase has any pixel. The error of the area is the root mean
square over all frames. A region is drawn about as large as the mask in the FFT makes it, hence errors where grains are
small.

## Where nothing changes

The same {n} specimens with grains that keep their size: of {units} phases and components judged, {false} were said to
appear or to vanish, where `series.false_onsets` allows for about {allowed:g} in {n} series.
"""
STACK = """
Made by {made}.

{n} frames of {height} x {width} px, {mib:.0f} MiB (`friedel simulate series --frames {n} --shape {height},{width}`),
mapped with four phases by one process: {seconds:.0f} s of processor time, {wall:.0f} s on the clock of a machine with
much else to do, and at most {peak:.0f} MiB of memory. Frames are read one by one, in three passes.
"""


@dataclass(slots=True)
class Tally:
    """What was found of one phase."""

    n: int = 0
    errors: list[int] = field(default_factory=list)
    covered: int = 0
    area: list[FloatArray] = field(default_factory=list)


def analyse(plan: SimulatedSeries) -> SeriesResult:
    """Simulate a series and analyse it as ``friedel map`` does."""
    frames = np.stack([simulate_frame(plan, i)[0].data for i in range(len(plan))])
    series = MicrographSeries(frames, simulate_frame(plan, 0)[0].grid, simulate_frame(plan, 0)[0].beam)
    return map_whole_series(series, load_phases(SEI_PHASES))


def still(plan: SimulatedSeries) -> SimulatedSeries:
    """Return the plan with grains that keep their full size."""
    grains = tuple(replace(g, frames=(0, len(plan)), area_shares=(1.0, 1.0)) for g in plan.grains)
    return replace(plan, grains=grains)


def judge(plan: SimulatedSeries, result: SeriesResult, tallies: dict[str, Tally]) -> tuple[int, int]:
    """Count onsets and areas of one series; return how many components' onsets are told, and are 3 frames off."""
    truth = onset_frames(plan)
    areas, names = areas_px(plan), np.array([changing.grain.crystal.name for changing in plan.grains])
    shares = np.array([list(m.fractions(0.5).values()) for m in result.maps])
    lives = {life.phase: life for life in result.lives if not life.hkl}
    for p, phase in enumerate(plan.phases):
        tally, life, onset = tallies.setdefault(phase, Tally()), lives.get(phase), truth[phase]
        tally.n += 1
        true = areas[:, names == phase].sum(axis=1) / np.prod(plan.imaging.sampling.shape)
        tally.area.append(shares[:, p] - true)
        if phase == "lif":
            if life is not None and life.is_first:
                tally.errors.append(0)
                tally.covered += 1
        elif life is not None and life.appears is not None and onset is not None:
            tally.errors.append(life.appears.frame - onset)
            tally.covered += life.appears.low <= onset <= life.appears.high
    told = [(life.phase, life.appears.frame, life.appears.low, life.appears.high)
            for life in result.lives if life.hkl and life.phase in truth and life.appears is not None]  # fmt: skip
    wrong = sum(not low - 1 <= (truth[phase] or 0) <= high + 1 for phase, _, low, high in told)
    return len(told), wrong


def changes_in(result: SeriesResult) -> tuple[int, int]:
    """Return how many phases and components were judged, and how many of them were said to change."""
    return len(result.lives), sum(life.appears is not None or life.vanishes is not None for life in result.lives)


def map_stack(path: Path) -> dict[str, float]:
    """Map a stack by the command line and return what it took."""
    series = read(path, ReadOptions(kind="series"))
    assert isinstance(series, MicrographSeries)
    n, height, width = series.data.shape
    with tempfile.TemporaryDirectory() as folder:
        words = ["map", str(path), "--phases", ",".join(SEI_PHASES), "--frame-time-s", "2.46", "--dose-rate", "160",
                 "--quiet", "--out", str(Path(folder) / "run")]  # fmt: skip
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-c", "from friedel.cli.main import app; app()", *words])
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"friedel map {path} ended with status {status}.")
    return {
        "n": n, "height": height, "width": width, "mib": path.stat().st_size / 2**20, "wall": wall,
        "seconds": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024,
    }  # fmt: skip


def find_onsets(n_seeds: int) -> dict[str, object]:
    """Judge series that change, and the same without change."""
    tallies: dict[str, Tally] = {}
    told = wrong = units = false = 0
    for seed in range(FIRST_SEED, FIRST_SEED + n_seeds):
        plan = sei_series(seed, N_FRAMES, shape=SHAPE)
        counted = judge(plan, analyse(plan), tallies)
        told, wrong = told + counted[0], wrong + counted[1]
        judged, changed = changes_in(analyse(still(plan)))
        units, false = units + judged, false + changed
        print(f"seed {seed}: components {counted}, still {judged, changed}",
              {name: tally.errors for name, tally in tallies.items()}, flush=True)  # fmt: skip
    return {
        "n": n_seeds, "frames": N_FRAMES, "height": SHAPE[0], "width": SHAPE[1], "units": units, "false": false,
        "rows": "\n".join(_row(name, tally) for name, tally in tallies.items()), "told": told, "right": told - wrong,
        "allowed": SeriesOptions().false_onsets * n_seeds,
    }  # fmt: skip


def main() -> None:
    """Run one of the two parts, print it, and write it into the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/bench/series.md")
    parser.add_argument("--seeds", type=int, default=6, help="number of series")
    parser.add_argument("--stack", type=Path, help="measure time and memory of this stack instead")
    arguments = parser.parse_args()
    day = f"{dt.datetime.now(tz=dt.UTC).date()}, {platform.machine()}"
    if arguments.stack:
        made = f"`python bench/series.py --write --stack {arguments.stack.name}` on {day}"
        text = STACK.format(made=made, **map_stack(arguments.stack))
    else:
        made = f"`python bench/series.py --write --seeds {arguments.seeds}` on {day}"
        text = FOUND.format(made=made, **find_onsets(arguments.seeds))
    print(text)
    if arguments.write:
        page = DOCS.read_text(encoding="utf-8") if DOCS.exists() else ""
        found, _, stack = page.removeprefix(TITLE).partition(STACK_TITLE)
        found, stack = (found, text) if arguments.stack else (text, stack)
        DOCS.write_text(TITLE + found + STACK_TITLE + stack, encoding="utf-8")


def _row(name: str, tally: Tally) -> str:
    errors = np.array(tally.errors)
    area = 100 * np.sqrt(np.mean(np.concatenate(tally.area) ** 2))
    within = int((np.abs(errors) <= 1).sum())
    middle = f"{np.median(errors):+.1f}" if len(errors) and name != "lif" else "–"
    label = f"{name} (there from the start)" if name == "lif" else name
    return f"| {label} | {len(errors)} of {tally.n} | {within} | {tally.covered} | {middle} | {area:.2f} |"


if __name__ == "__main__":
    main()
