"""How well phases are named: friedel, and beside it py4DSTEM and pyxem, on the same patterns with known phases.

``python bench/identify.py`` runs friedel on the development half of its own simulation. ``--truth FOLDER`` adds the
multislice patterns that ``truth_abtem.py`` wrote there, ``--map FOLDER`` a simulated map; ``--peers FOLDER`` adds the
programs whose virtual environments are FOLDER/py4dstem and FOLDER/pyxem, with rules fitted on the development half,
and keeps their answers in FOLDER/answers for the next run. ``--held-out`` takes the half on which nothing was chosen,
and ``--write`` puts the result into docs/bench/identification.md. One thread: set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from identify_cases import DOSES, MAP_DOSES, PHASES, Cases, CaseSet, Half, Where, abtem_cases, map_cases, own_cases
from identify_page import Answer, page_of, table_of
from identify_peers import PEERS, run_peer, scores_of
from identify_rules import fit_rule, with_nearest

import friedel as fr

#: How friedel is asked, by the name of the row.
TEMPLATES: dict[str, Literal["auto", "hexagon", "lattice", "counts"]] = {
    "friedel": "auto",
    "friedel, hexagon": "hexagon",
    "friedel, lattice": "lattice",
    "friedel, counts": "counts",
}
#: Patterns on which the rules of the peers are fitted: own of each kind, and multislice of each region.
FITTED_ON = (20, 64)
#: Treatments that the programs may choose from; below 10,000 electrons the second of pyxem was never the better one.
LEVELS = {"py4DSTEM": ("0.1",), "pyxem": ("as it is", "difference of Gaussians")}
#: Patterns on which all programs are timed, one after the other.
N_TIMED = 48
DOCS = Path(__file__).parents[1] / "docs"


def run_friedel(cases: Cases, name: str, denoise: str = "auto") -> tuple[Answer, float]:
    """Map the patterns as one scan per energy, in an order that tells nothing, with the calibration that peers get.

    Returns the answer and the seconds of the processor; the machine may have other work.
    """
    phases, options = fr.load_phases(PHASES), fr.ScanOptions(template=TEMPLATES[name], denoise=denoise)
    presence = np.zeros((len(cases.kind), len(PHASES)))
    start = time.process_time()
    for energy_kev in np.unique(cases.energy_kev):
        part = cases.energy_kev == energy_kev
        grid = fr.ReciprocalGrid((cases.step_inv_a,) * 2, cases.centre_px, source="user", relative_sigma=0.005)
        beam = fr.Beam(float(energy_kev), float(cases.probe_mrad[part][0]))
        scan = fr.PatternScan(cases.counts[part][:, None], grid, None, beam)
        presence[part] = fr.analyse_scan(scan, phases, options).phase_map.presence[:, 0]
    present = presence >= 0.5
    return Answer(name, present, with_nearest(present, presence), presence), time.process_time() - start


def peer_answer(folder: Path, peer: str, test: CaseSet, fitted_on: Cases) -> Answer | None:
    """Fit a peer's rules on development patterns: without foreign crystals, with them, and with a candidate in each.

    None where the program is absent.
    """
    levels = LEVELS[peer] if test.dose >= 10000 else LEVELS[peer][:1]
    found = []
    for train in (fitted_on.where(~fitted_on.is_foreign), fitted_on, fitted_on.where(fitted_on.there.any(axis=1))):
        scores = scores_of(folder, peer, train, levels)
        if scores is None:
            return None
        rule = fit_rule(scores, train.there)
        answers = scores_of(folder, peer, test.cases, (rule.level,))
        if answers is None:
            return None
        found.append((rule.present(answers), rule.named(answers)))
    return Answer(peer, found[0][0], found[2][1], warned=found[1][0])


def fitting_cases(test: CaseSet, truth: Path | None) -> Cases:
    """Development patterns like those of a set: of a map, the multislice ones near [001]."""
    if test.source == "own":
        return own_cases("development", test.where, test.dose, FITTED_ON[0])
    where: Where = "near" if test.where == "map" else test.where
    return abtem_cases(Path(str(truth)), "development", where, test.dose, FITTED_ON[1])


def case_sets(
    half: Half, truth: Path | None, map_folder: Path | None, doses: Sequence[int], n_own: int, n_abtem: int
) -> Iterator[CaseSet]:
    """Every source, region and dose of one half."""
    regions: tuple[Where, ...] = ("near", "any")
    for where in regions:
        for dose in doses:
            yield CaseSet("own", where, dose, own_cases(half, where, dose, n_own))
    for where in regions if truth is not None else ():
        for dose in doses:
            yield CaseSet("abTEM", where, dose, abtem_cases(Path(str(truth)), half, where, dose, n_abtem))
    for dose in MAP_DOSES if map_folder is not None else ():
        if dose in doses:
            yield CaseSet("map", "map", dose, map_cases(Path(str(map_folder)), dose))


def measure_speed(folder: Path | None) -> dict[str, float]:
    """Patterns per processor second of every program on the same patterns, one after the other."""
    cases = own_cases("development", "near", 1000, N_TIMED)
    cases = cases.where(np.arange(len(cases.kind)) < N_TIMED)
    seconds = {}
    for name in TEMPLATES:
        for denoise, label in (("auto", name), ("none", f"{name}, no network")):
            seconds[label] = min(run_friedel(cases, name, denoise)[1] for _ in range(2))
    for peer in PEERS if folder else ():
        ran = run_peer(Path(str(folder)), peer, cases, LEVELS[peer][0])
        if ran is not None:
            seconds[peer] = ran[2]
    return {name: N_TIMED / value for name, value in seconds.items()}


def main() -> None:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, help="folder that truth_abtem.py wrote")
    parser.add_argument("--map", type=Path, help="folder of a simulated map, devmap_P*.npz and devmap_truth.npz")
    parser.add_argument("--peers", type=Path, help="folder of the virtual environments py4dstem and pyxem")
    parser.add_argument(
        "--template", nargs="*", choices=list(TEMPLATES.values()), help="ways of friedel; all if absent"
    )
    parser.add_argument("--per-kind", type=int, default=20, help="own patterns of each kind, region and dose")
    parser.add_argument("--multislice", type=int, default=96, help="multislice patterns of each region and dose")
    parser.add_argument("--doses", type=int, nargs="*", help="electrons per pattern, instead of all")
    parser.add_argument("--held-out", action="store_true", help="the half on which nothing was chosen")
    parser.add_argument("--write", action="store_true", help="write docs/bench/identification.md")
    args = parser.parse_args()
    half: Half = "held-out" if args.held_out else "development"
    names = [name for name, template in TEMPLATES.items() if args.template is None or template in args.template]
    results: list[tuple[CaseSet, list[Answer]]] = []
    for test in case_sets(half, args.truth, args.map, args.doses or DOSES, args.per_kind, args.multislice):
        answers = [run_friedel(test.cases, name)[0] for name in names]
        for peer in PEERS if args.peers and (test.source == "own" or args.truth) else ():
            answer = peer_answer(args.peers, peer, test, fitting_cases(test, args.truth))
            if answer is None:
                print(f"{peer} is not there and is left out")
            else:
                answers.append(answer)
        results.append((test, answers))
        print("\n".join(table_of(results[-1:])), flush=True)
    if args.write:
        page_of(results, measure_speed(args.peers), half, DOCS)


if __name__ == "__main__":
    main()
