"""How well phases are named: friedel, and beside it py4DSTEM and pyxem, on the same patterns with known phases.

``python bench/identify.py`` runs friedel on the development half of its own simulation. ``--truth FOLDER`` adds the
multislice patterns that ``truth_abtem.py`` wrote there, ``--map FOLDER`` a simulated map; ``--peers FOLDER`` adds the
programs whose virtual environments are FOLDER/py4dstem and FOLDER/pyxem, with rules fitted on the development half,
and keeps their answers in FOLDER/answers for the next run. ``--held-out`` takes the half on which nothing was chosen,
and ``--write`` puts the result into docs/bench/identification.md. One thread: set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from identify_cases import DOSES, PHASES, Cases, CaseSet, Half, Where, abtem_cases, map_cases, own_cases
from identify_page import Answer, line_of, page_of
from identify_peers import PEERS, Scores, fit_rule, run_peer

import friedel as fr

#: Patterns on which the rules of the peers are fitted: own of each kind, and multislice of each region.
FITTED_ON = (12, 48)
#: Levels that the programs may choose from; at low dose the second of pyxem was never the better one.
LEVELS = {"py4DSTEM": ("0.1",), "pyxem": ("as it is", "difference of Gaussians")}
#: Patterns on which all programs are timed, one after the other.
N_TIMED = 48
DOCS = Path(__file__).parents[1] / "docs"


def run_friedel(cases: Cases, template: Literal["auto", "counts"]) -> Answer:
    """Map the patterns as one scan per energy, in an order that tells nothing, with the calibration that peers get.

    Seconds are those of the processor, here and in the peers' scripts: the machine may have other work.
    """
    phases = fr.load_phases(PHASES)
    presence = np.zeros((len(cases.kind), len(PHASES)))
    start = time.process_time()
    for energy_kev in np.unique(cases.energy_kev):
        part = cases.energy_kev == energy_kev
        grid = fr.ReciprocalGrid((cases.step_inv_a,) * 2, cases.centre_px, source="user", relative_sigma=0.005)
        scan = fr.PatternScan(cases.counts[part][:, None], grid, None, fr.Beam(float(energy_kev), 0.8))
        presence[part] = fr.analyse_scan(scan, phases, fr.ScanOptions(template=template)).phase_map.presence[:, 0]
    return Answer("friedel", presence >= 0.5, time.process_time() - start, presence)


def peer_answer(folder: Path, peer: str, test: Cases, fitted_on: Cases, dose: float, *, may_run: bool) -> Answer | None:
    """Fit a peer's rule on development patterns and apply it; None where the program is absent."""
    levels = LEVELS[peer] if dose >= 10000 else LEVELS[peer][:1]
    train = fitted_on.where(~fitted_on.is_foreign)
    scores = _kept(folder, peer, train, levels, may_run=may_run)
    if scores is None:
        return None
    rule = fit_rule(scores, train.there)
    answers = _kept(folder, peer, test, (rule.level,), may_run=may_run)
    if answers is None:
        return None
    return Answer(peer, rule.present(answers), float(answers.seconds[0]))


def _kept(folder: Path, peer: str, cases: Cases, levels: tuple[str, ...], *, may_run: bool) -> Scores | None:
    """Scores of a program on patterns, from an earlier run if it saw the same ones; None where they cannot be had."""
    seen = hashlib.sha256(cases.counts.tobytes() + str((peer, levels)).encode()).hexdigest()
    path = folder / "answers" / f"{seen[:16]}.npz"
    if path.exists():
        return Scores.load(path)
    scores = run_peer(folder, peer, cases, levels) if may_run else None
    if scores is not None:
        path.parent.mkdir(exist_ok=True)
        scores.save(path)
    return scores


def case_sets(half: Half, truth: Path | None, doses: Sequence[int], n_own: int, n_abtem: int) -> Iterator[CaseSet]:
    """Every source, region and dose of one half."""
    regions: tuple[Where, ...] = ("near", "any")
    for where in regions:
        for dose in doses:
            yield CaseSet("own", where, dose, own_cases(half, where, dose, n_own))
    for where in regions if truth is not None else ():
        for dose in doses:
            yield CaseSet("abTEM", where, dose, abtem_cases(Path(str(truth)), half, where, dose, n_abtem))


def measure_speed(folder: Path | None, template: Literal["auto", "counts"]) -> dict[str, float]:
    """Patterns per processor second of every program on the same patterns, one after the other."""
    cases = own_cases("development", "near", 1000, N_TIMED)
    cases = cases.where(np.arange(len(cases.kind)) < N_TIMED)
    seconds = {"friedel": min(run_friedel(cases, template).seconds for _ in range(2))}
    for peer in PEERS if folder else ():
        scores = run_peer(Path(str(folder)), peer, cases, LEVELS[peer][:1])
        if scores is not None:
            seconds[peer] = float(scores.seconds[0])
    return {name: N_TIMED / value for name, value in seconds.items()}


def main() -> None:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, help="folder that truth_abtem.py wrote")
    parser.add_argument("--map", type=Path, help="folder of a simulated map, devmap_P*.npz and devmap_truth.npz")
    parser.add_argument("--peers", type=Path, help="folder of the virtual environments py4dstem and pyxem")
    parser.add_argument("--template", choices=("auto", "counts"), default="auto", help="how friedel maps")
    parser.add_argument("--kept", action="store_true", help="of the peers, take the answers of earlier runs only")
    parser.add_argument("--per-kind", type=int, default=60, help="own patterns of each kind, region and dose")
    parser.add_argument("--multislice", type=int, default=240, help="multislice patterns of each region and dose")
    parser.add_argument("--doses", type=int, nargs="*", help="electrons per pattern, instead of all")
    parser.add_argument("--held-out", action="store_true", help="the half on which nothing was chosen")
    parser.add_argument("--write", action="store_true", help="write docs/bench/identification.md")
    args = parser.parse_args()
    half: Half = "held-out" if args.held_out else "development"
    results: list[tuple[CaseSet, list[Answer]]] = []
    for test in case_sets(half, args.truth, args.doses or DOSES, args.per_kind, args.multislice):
        answers = [run_friedel(test.cases, args.template)]
        for peer in PEERS if args.peers else ():
            if test.source == "own":
                train = own_cases("development", test.where, test.dose, FITTED_ON[0])
            else:
                train = abtem_cases(args.truth, "development", test.where, test.dose, FITTED_ON[1])
            answer = peer_answer(args.peers, peer, test.cases, train, test.dose, may_run=not args.kept)
            if answer is None:
                print(f"{peer} has no answers to these patterns and is left out")
            else:
                answers.append(answer)
        results.append((test, answers))
        print(line_of(test, answers), flush=True)
    for test in map_cases(args.map) if args.map else ():
        results.append((test, [run_friedel(test.cases, args.template)]))
        print(line_of(*results[-1]), flush=True)
    speed = measure_speed(args.peers, args.template)
    print("patterns per processor second:", ", ".join(f"{name} {value:.0f}" for name, value in speed.items()))
    if args.write:
        page_of(results, speed, f"{half}, template {args.template}", DOCS)


if __name__ == "__main__":
    main()
