"""How well phases are named: friedel, and beside it py4DSTEM and pyxem, on the same patterns with known phases.

``python bench/identify.py`` runs friedel on the development half of its own simulation. ``--truth FOLDER`` adds the
multislice patterns that ``truth_abtem.py`` wrote there; ``--peers FOLDER`` adds the programs whose virtual environments
are FOLDER/py4dstem and FOLDER/pyxem; ``--held-out`` takes the half that nothing was chosen on, and ``--write`` puts the
result into docs/identification.md. One thread: set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from identify_cases import CENTRE_PX, DOSES, PHASES, Array, Cases, Half, Where, abtem_cases, own_cases

import friedel as fr
from friedel.identify.metrics import evaluate_presence


def run_friedel(cases: Cases) -> tuple[Array, float]:
    """Presence (n, 2) and the seconds taken: one scan per energy, with a calibration as good as the peers'."""
    phases = fr.load_phases(PHASES)
    presence = np.zeros((len(cases.kind), len(PHASES)))
    start = time.perf_counter()
    for energy_kev in np.unique(cases.energy_kev):
        part = cases.energy_kev == energy_kev
        grid = fr.ReciprocalGrid((cases.step_inv_a,) * 2, CENTRE_PX, source="user", relative_sigma=0.005)
        scan = fr.PatternScan(cases.counts[part][:, None], grid, None, fr.Beam(float(energy_kev), 0.8))
        presence[part] = fr.analyse_scan(scan, phases).phase_map.presence[:, 0]
    return presence, time.perf_counter() - start


def case_sets(half: Half, truth: Path | None, n_own: int, n_abtem: int) -> Iterator[tuple[str, Where, int, Cases]]:
    """Every source, region and dose of one half."""
    for source in ("own", "abTEM")[: 1 if truth is None else 2]:
        for where in ("near", "any"):
            for dose in DOSES:
                if truth is None or source == "own":
                    yield source, where, dose, own_cases(half, where, dose, n_own)
                else:
                    yield source, where, dose, abtem_cases(truth, half, where, dose, n_abtem)


def main() -> None:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", type=Path, help="folder that truth_abtem.py wrote")
    parser.add_argument("--per-kind", type=int, default=60, help="own patterns of each kind, region and dose")
    parser.add_argument("--multislice", type=int, default=240, help="multislice patterns of each region and dose")
    args = parser.parse_args()
    print("| source | region | dose | accuracy | kappa | F1 O3 | F1 O1 | ECE | foreign named | patterns/s |")
    for source, where, dose, cases in case_sets("development", args.truth, args.per_kind, args.multislice):
        presence, seconds = run_friedel(cases)
        known = ~cases.is_foreign
        ours = evaluate_presence(PHASES, presence[known], cases.there[known])
        everything = evaluate_presence(PHASES, presence, cases.there)
        foreign = (presence[~known] >= 0.5).any(axis=1).mean()
        print(f"| {source} | {where} | {dose} | {ours.accuracy:.3f} | {ours.kappa:.3f} | "
              f"{ours.phases[0].f1:.3f} | {ours.phases[1].f1:.3f} | {everything.reliability.calibration_error:.3f} | "
              f"{foreign:.3f} | {len(cases.kind) / seconds:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
