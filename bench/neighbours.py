"""How much the say of neighbours sharpens maps of few electrons, and whether presence stays a probability.

``python bench/neighbours.py`` simulates scans of grains of the crystals of ``presence_cases.TESTED``, which neither the
judge of presence nor the strength of the prior was made with, maps them by counts, and compares presence by the
evidence of each position alone with that after its neighbours have had a say. ``--folder`` keeps the maps, so that an
interrupted run goes on. ``--write`` writes docs/bench/neighbours.md and its picture. Set OMP_NUM_THREADS=1. With the
environment variable FRIEDEL_SHARED, a scan by an independent multislice program is mapped as well.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from presence_cases import TESTED, Array
from scipy import ndimage
from section import made_by

from friedel.core.beam import Beam
from friedel.core.errors import FriedelError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phases
from friedel.identify.counts.hypotheses import hypotheses_of
from friedel.identify.counts.presence import sum_over_phases
from friedel.identify.metrics import Reliability, reliability_of
from friedel.identify.spatial_prior import agreement_of, smooth_posterior
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.result import ScanOptions
from friedel.pipeline.scans.road import analyse_scan
from friedel.report.evaluation import plot_reliability
from friedel.report.maps import phase_rgb
from friedel.report.style import in_house_style, png_of, without_ticks
from friedel.simulate.patterns.acquisition import Acquisition, simulate_scan
from friedel.simulate.patterns.noise import Noise
from friedel.simulate.patterns.sample import voronoi_sample

DOCS = Path(__file__).parents[1] / "docs"
PICTURE = "neighbours.png"
SHAPE, GRAINS, SEED = (24, 24), 10, 61
DOSES = (100, 300)
#: How counts are scored: of each position alone, or with those of its alike neighbours added, as by default.
COUNTS = {"alone": "none", "added": "auto"}
SECOND = "counts of neighbours"
#: Candidates of the scan by the multislice program, and how it is mapped.
CATHODE = ("nmc811-o3", "nmc811-o1")
TEMPLATES: tuple[Literal["hexagon", "counts"], ...] = ("hexagon", "counts")
CATHODE_WORDS = """\
A scan of 32 x 32 positions of a cathode by an independent multislice program: O3, O1 and both on one another, and \
rock salt, spinel, carbon and vacuum, which are none of the two candidates. By counts, which seek rock salt and spinel \
beside these, {rock_salt} of the rock salt and {spinel} of the spinel are named all the same, {on_o1} of the O3 that \
lies on O1 is missed, and {charged} of the charged O3 is called O1: by whole regions, so that neighbours confirm one \
another. Where presence promises too much, it promises more with neighbours. Name the phases that may be there as \
candidates."""
#: The set of candidates and the dose that the picture shows.
SHOWN = (3, 100)
WORDS = f"""\
Simulated scans of {SHAPE[0]} x {SHAPE[1]} positions with {GRAINS} grains of the candidates, 12 to 28 nm thick, at \
random along their zone axes of low indices, an amorphous film and vacuum; one scan of each of {len(TESTED)} sets of \
crystals and dose. None of the crystals was used to learn presence or to choose how strong neighbours may be. Mapped \
with `--template counts --neighbours`."""
HEADER = """\
| electrons | {} | presence | all right | named where there is none | calibration error | \
mean -ln of what was said of the truth |"""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A mapped scan: presence by evidence and with neighbours, and what is there, (ry, rx, P) each."""

    alone: Array
    together: Array
    there: Array
    strength: float


def load_case(folder: Path, index: int, dose: int, counts: str) -> Case | None:
    """Simulate and map a scan, or read what a folder keeps; None where no map can be made."""
    path = folder / f"{index}_{dose}_{counts}.npz"
    phases = load_phases(TESTED[index])
    if not path.exists():
        sample = voronoi_sample(phases.crystals, SHAPE, np.random.default_rng([SEED, index]), n_grains=GRAINS)
        acquisition = Acquisition(noise=Noise(dose_electrons=float(dose)))
        simulated = simulate_scan(sample, acquisition, SEED + 1000 * index + dose)
        columns = [simulated.truth.phases.index(name) for name in phases.names]
        options = ScanOptions(template="counts", denoise=COUNTS[counts])
        try:
            found = analyse_scan(simulated.scan, phases, options).found
        except FriedelError as error:
            print(f"{', '.join(TESTED[index])} at {dose}: {error}")
            return None
        assert isinstance(found, CountFindings)
        posterior = found.posterior.reshape(*SHAPE, -1)
        np.savez(path, posterior=posterior, there=simulated.truth.presence[..., columns] > 0.5)
        print(f"{', '.join(TESTED[index])} at {dose} electrons, counts {counts}", flush=True)
    with np.load(path) as kept:
        posterior, there = kept["posterior"], kept["there"]
    names = hypotheses_of(there.shape[2])
    smoothed = smooth_posterior(posterior, np.ones(SHAPE, dtype=bool), agreement_of(names))
    alone, together = (sum_over_phases(p.reshape(-1, len(names))) for p in (posterior, smoothed.posterior))
    return Case(alone.reshape(there.shape), together.reshape(there.shape), there, smoothed.strength)


def load_cathodes(folder: Path) -> dict[tuple[int, str], list[Case]]:
    """Map a cathode of O3, O1, both, rock salt, spinel, carbon and vacuum by another program, where it is at hand."""
    if "FRIEDEL_SHARED" not in os.environ:
        return {}
    source, phases = multislice_scan(), load_phases(CATHODE)
    with np.load(source / "devmap_truth.npz") as known:
        there = np.stack([known["label4"] >> p & 1 > 0 for p in range(2)], axis=-1)
    cases: dict[tuple[int, str], list[Case]] = {}
    for dose in DOSES:
        for template in TEMPLATES:
            path = folder / f"cathode_{dose}_{template}.npz"
            if not path.exists():
                with np.load(source / f"devmap_P{dose}.npz") as counts:
                    grid = ReciprocalGrid((0.022, 0.022), (64.0, 64.0))
                    scan = PatternScan(counts["data"], grid, RealGrid((20.0, 20.0)), Beam(300.0, 1.0))
                found = analyse_scan(scan, phases, ScanOptions(template=template, neighbours=True))
                assert found.smoothed is not None
                together = found.smoothed.phase_map.presence
                np.savez(path, alone=found.phase_map.presence, together=together, strength=found.smoothed.strength)
            with np.load(path) as kept:
                case = Case(kept["alone"], kept["together"], there, float(kept["strength"]))
            cases[dose, template] = [case]
    return cases


def cathode_words(cathodes: dict[tuple[int, str], list[Case]]) -> str:
    """Say what counts misread in the scan by another program, at each dose."""
    with np.load(multislice_scan() / "devmap_truth.npz") as known:
        phase = known["phase"].astype(str)
    named = [cathodes[dose, "counts"][0].alone >= 0.5 for dose in DOSES]

    def shares(name: str, misread: Callable[[Array], Array]) -> str:
        words = " and ".join(f"{100 * misread(one[phase == name]).mean():.0f} %" for one in named)
        return f"{words} (at {' and '.join(map(str, DOSES))} electrons)" if name == "RS" else words

    return CATHODE_WORDS.format(
        rock_salt=shares("RS", lambda one: one.any(axis=1)),
        spinel=shares("spinel", lambda one: one.any(axis=1)),
        on_o1=shares("mixed", lambda one: ~one[:, 0]),
        charged=shares("O3_charged", lambda one: one[:, 1]),
    )


def multislice_scan() -> Path:
    """Folder of the scan by another program, which the environment variable FRIEDEL_SHARED leads to."""
    return Path(os.environ["FRIEDEL_SHARED"]) / "data" / "multislice" / "devmap"


def reliability(parts: list[Array], there: list[Array]) -> Reliability:
    """Reliability over all phases and positions."""
    return reliability_of(np.concatenate([p.ravel() for p in parts]), np.concatenate([t.ravel() for t in there]))


def figures_of(parts: list[Array], there: list[Array]) -> tuple[float, float, float, float]:
    """Share of positions all right, share named where nothing is, calibration error, mean negative log probability."""
    right = np.concatenate([((p >= 0.5) == t).all(axis=2).ravel() for p, t in zip(parts, there, strict=True)])
    empty = np.concatenate([~t.any(axis=2).ravel() for t in there])
    named = np.concatenate([(p >= 0.5).any(axis=2).ravel() for p in parts])
    said = np.concatenate([np.where(t, p, 1.0 - p).ravel() for p, t in zip(parts, there, strict=True)])
    error = reliability(parts, there).calibration_error
    return float(right.mean()), float(named[empty].mean()), error, float(-np.log(np.maximum(said, 1e-4)).mean())


def table_of(cases: dict[tuple[int, str], list[Case]], second: str) -> list[str]:
    """Table by dose and what ``second`` names."""
    lines = [HEADER.format(second), "|---|---|---|---|---|---|---|"]
    for (dose, counts), found in cases.items():
        for words, parts in (
            ("by evidence", [c.alone for c in found]),
            ("with neighbours", [c.together for c in found]),
        ):
            right, false, error, loss = figures_of(parts, [c.there for c in found])
            lines.append(f"| {dose} | {counts} | {words} | {right:.3f} | {false:.3f} | {error:.3f} | {loss:.3f} |")
    return lines


@in_house_style
def draw(cases: dict[tuple[int, str], list[Case]], shown: Case) -> Figure:
    """Draw one scan's truth and maps, and the reliability of all with added counts."""
    figure = Figure(figsize=(7.6, 6.2), layout="constrained")
    parts_of_page: Any = figure.subfigures(2, 1, height_ratios=(1.0, 1.35))
    above, below = parts_of_page
    names = tuple(TESTED[SHOWN[0]])
    maps = {"truth": shown.there, "by evidence alone": shown.alone, "with neighbours": shown.together}
    for ax, (words, presence) in zip(above.subplots(1, 3), maps.items(), strict=True):
        pmap = PhaseMap(names, presence.astype(np.float32), np.ones(SHAPE, dtype=bool), RealGrid((20.0, 20.0)))
        ax.imshow(phase_rgb(pmap, 0.5), interpolation="nearest")
        ax.set_title(words)
        without_ticks(ax)
    added = [case for (_, counts), found in cases.items() if counts == "added" for case in found]
    stated = {"by evidence alone": [c.alone for c in added], "with neighbours": [c.together for c in added]}
    for ax, (words, parts) in zip(below.subplots(1, 2), stated.items(), strict=True):
        plot_reliability(reliability(parts, [c.there for c in added]), ax)
        ax.set_title(words)
    return figure


def beside_grains(cases: list[Case]) -> float:
    """Share of the positions that are named though there is nothing, which touch one where there is something."""
    named, beside = 0, 0
    for case in cases:
        something = case.there.any(axis=2)
        false = (case.alone >= 0.5).any(axis=2) & ~something
        named += int(false.sum())
        beside += int((false & ndimage.binary_dilation(something, np.ones((3, 3), dtype=bool))).sum())
    return beside / max(named, 1)


def middle_of(cases: list[Case], part: Literal["alone", "together"]) -> tuple[float, float]:
    """Presence that lies from 0.6 to 0.9, alone or with neighbours: its mean, and how often the phase is there."""
    stated = np.concatenate([getattr(case, part).ravel() for case in cases])
    there = np.concatenate([case.there.ravel() for case in cases])
    middle = (stated >= 0.6) & (stated < 0.9)
    return float(stated[middle].mean()), float(there[middle].mean())


def write_page(
    cases: dict[tuple[int, str], list[Case]], cathodes: dict[tuple[int, str], list[Case]], shown: Case
) -> None:
    """Write docs/bench/neighbours.md and its picture."""
    (DOCS / "pictures" / PICTURE).write_bytes(png_of(draw(cases, shown), 110))
    strengths = [case.strength for found in cases.values() for case in found]
    n = sum(case.alone[..., 0].size for found in cases.values() for case in found)
    learned = f"{min(strengths):.2f} to {max(strengths):.2f} in {len(strengths)} maps of {n} positions"
    what = f"{', '.join(TESTED[SHOWN[0]])} at {SHOWN[1]} electrons per pattern, alike neighbours added up"
    added = [case for (_, counts), found in cases.items() if counts == "added" for case in found]
    (said, so), (said_more, so_then) = (middle_of(added, part) for part in ("alone", "together"))
    reading = f"""\
With counts added, presence between 0.6 and 0.9 is {said:.2f} on average by evidence alone, where {so:.2f} is so, and \
{said_more:.2f} with neighbours, where {so_then:.2f} is so. Of the positions that are named where there is none, \
{100 * beside_grains(added):.0f} % touch a grain: its counts were added to theirs. Grains that are misread as a whole \
stay so."""
    page = [
        "# How much neighbours help",
        "",
        *made_by("bench/neighbours.py --write", WORDS),
        "",
        *table_of(cases, SECOND),
        "",
        *textwrap.wrap(reading, 120, break_on_hyphens=False),
        "",
        f"Learned strength of a neighbour: {learned}.",
        "",
        f"![Truth, map by evidence and map with neighbours of one scan; reliability of all](../pictures/{PICTURE})",
        "",
        f"*Above: {what}; the darker, the less sure.",
        "Below: reliability of presence over all scans with alike neighbours added up.*",
    ]
    if cathodes:
        page += ["", "## Where neighbours are wrong together", "", *textwrap.wrap(cathode_words(cathodes), 120), ""]
        page += table_of(cathodes, "template")
    (DOCS / "bench" / "neighbours.md").write_text("\n".join(page) + "\n", encoding="utf-8")


def main() -> None:
    """Simulate, map, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where maps are kept")
    parser.add_argument("--write", action="store_true", help="write docs/bench/neighbours.md")
    args = parser.parse_args()
    cases: dict[tuple[int, str], list[Case]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for dose in DOSES:
            for counts in COUNTS:
                found = [load_case(folder, index, dose, counts) for index in range(len(TESTED))]
                cases[dose, counts] = [case for case in found if case is not None]
        shown = load_case(folder, *SHOWN, "added")
        assert shown is not None
        cathodes = load_cathodes(folder)
    print("\n".join([*table_of(cases, SECOND), *table_of(cathodes, "template")]))
    if args.write:
        write_page(cases, cathodes, shown)


if __name__ == "__main__":
    main()
