"""The demo: two simulated inputs, their maps, and how far those agree with the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from friedel.core.phase_map import PhaseMap
from friedel.io import write_micrograph, write_scan
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.run import RunOptions, run_recipe
from friedel.pipeline.runs.files import load_phase_map
from friedel.pipeline.runs.folder import writing_to
from friedel.simulate.micrographs.micrograph import sei_micrograph
from friedel.simulate.patterns.scan import simulate_nmc811_scan


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One mapped demo input: what it is, the command that repeats it, its report, and its agreement with the truth."""

    title: str
    command: str
    report: Path
    agreement: tuple[str, ...]


def run_demo(out: Path, seed: int, progress: Callable[[str, int, int], None]) -> tuple[DemoResult, DemoResult]:
    """Simulate an NMC811 scan and an SEI micrograph into ``out`` and map both."""
    with writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
    scan, scan_truth = simulate_nmc811_scan(seed)
    micrograph, micrograph_truth = sei_micrograph(seed)
    scan_file, micrograph_file = out / "nmc811.zarr", out / "sei.mrc"
    with writing_to(out):
        write_scan(scan_file, scan)
        write_micrograph(micrograph_file, micrograph)
    first = _map("A 4D-STEM scan of NMC811", scan_file, scan_truth, out / "nmc811-run", seed, progress)
    second = _map("An HRTEM micrograph of an SEI", micrograph_file, micrograph_truth, out / "sei-run", seed, progress)
    return first, second


def _map(
    title: str, path: Path, truth: PhaseMap, run: Path, seed: int, progress: Callable[[str, int, int], None]
) -> DemoResult:
    recipe = parse_recipe({"input": str(path.absolute()), "phases": list(truth.phases), "seed": seed})
    command = f"friedel map {path} --phases {','.join(truth.phases)} --out {run}"
    run_recipe(
        recipe,
        run,
        RunOptions(command=tuple(command.split())),
        progress=lambda step, done, total: progress(f"{path.name}: {step}", done, total),
    )
    return DemoResult(title, command, run / "report.html", agreement(load_phase_map(run), truth))


def agreement(found: PhaseMap, truth: PhaseMap, min_probability: float = 0.5) -> tuple[str, ...]:
    """Say for each phase how much of it was found, and how much of what was found is right."""
    lines = []
    for i, name in enumerate(truth.phases):
        is_there = truth.presence[..., i] >= 0.5
        named = (found.presence[..., i] >= min_probability) & found.valid
        both = int((is_there & named).sum())
        recall, precision = both / max(int(is_there.sum()), 1), both / max(int(named.sum()), 1)
        lines.append(f"{name}: {100 * recall:.0f} % of it found; {100 * precision:.0f} % of what is called so is right")
    return tuple(lines)
