"""Speed of friedel beside py4DSTEM and pyxem: the same patterns of 128 x 128 px, two phases, one thread each.

CPU seconds, so that other work on the machine matters little. friedel's include all that ``analyse_scan`` does: survey,
spots, templates, phases. Those of the others begin when their templates are there, and after compilation. Writes its
section of docs/bench/speed.md when given --write.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Literal

import numpy as np
from identify import LEVELS
from identify_cases import PHASES, Cases
from identify_peers import PEERS, run_peer
from section import SPEED, made_by, write_section

import friedel as fr
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

HEADING = "Beside other programs"
DOSE_ELECTRONS = 2000.0
#: Of the scan's 1280 patterns the other programs get so many, spread evenly.
N_PEERS = 96
WAYS: tuple[tuple[str, Literal["hexagon", "lattice", "counts"], str], ...] = (
    ("hexagons", "hexagon", "none"),
    ("hexagons, with the network", "hexagon", "denoiser"),
    ("lattices", "lattice", "none"),
    ("counts", "counts", "none"),
)


def simulated() -> fr.PatternScan:
    """Simulate the scan."""
    return simulate_nmc811_scan(0, ScanOptions(dose_electrons=DOSE_ELECTRONS))[0]


def friedel_rates(scan: fr.PatternScan) -> dict[str, float]:
    """Patterns per CPU second of each way."""
    phases, n = fr.load_phases(list(PHASES)), int(np.prod(scan.scan_shape))
    rates = {}
    for name, template, denoise in WAYS:
        began = time.process_time()
        fr.analyse_scan(scan, phases, fr.ScanOptions(template=template, denoise=denoise))
        rates[f"friedel, {name}"] = n / (time.process_time() - began)
        print(name, rates[f"friedel, {name}"], flush=True)
    return rates


def peer_rates(scan: fr.PatternScan, folder: Path) -> dict[str, float]:
    """Patterns per CPU second of the other programs."""
    counts = np.asarray(scan.data).reshape(-1, *scan.pattern_shape)
    chosen = counts[np.linspace(0, len(counts) - 1, N_PEERS).astype(int)]
    assert scan.beam is not None
    known = {"there": np.zeros((N_PEERS, 2), dtype=bool), "kind": np.full(N_PEERS, "map")}
    facts = {
        "energy_kev": scan.beam.energy_kev,
        "probe_mrad": scan.beam.semi_convergence_mrad,
        "thickness_nm": 0.0,
        "tilt_mrad": 0.0,
    }
    columns = {name: np.full(N_PEERS, value) for name, value in facts.items()}
    cases = Cases(scan.grid.step_inv_a[0], scan.grid.centre_px, counts=chosen, **known, **columns)
    rates = {}
    for peer in PEERS:
        ran = run_peer(folder, peer, cases, LEVELS[peer][0])
        if ran is None:
            raise SystemExit(f"{folder} has no environment of {peer}")
        rates[peer] = N_PEERS / ran[2]
        print(peer, rates[peer], flush=True)
    return rates


def main() -> None:
    """Measure, print, and write the section if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="folder of the environments py4dstem and pyxem")
    parser.add_argument("--write", action="store_true", help="write the section of docs/bench/speed.md")
    arguments = parser.parse_args()
    scan = simulated()
    peers = peer_rates(scan, arguments.peers)
    rates, fastest = friedel_rates(scan) | peers, max(peers.values())
    lines = [
        *made_by(
            "bench/map_peers.py --peers FOLDER --write",
            "CPU time, one thread, the same simulated scan of 128 x 128 px, "
            f"{DOSE_ELECTRONS:.0f} electrons per pattern, {' and '.join(PHASES)}. Hexagons look along six-fold axes "
            "alone, lattices along axes of low index. Counts, py4DSTEM (Bragg disks, orientation plan in steps of 2°) "
            "and pyxem (polar patterns, templates in steps of 2°) look along all directions, which is what costs.",
        ),
        "",
        "| program | patterns per core-second | times the faster of the others |",
        "|---|---|---|",
        *(f"| {name} | {rate:.1f} | {rate / fastest:.1f} |" for name, rate in rates.items()),
    ]
    print("\n".join(lines))
    if arguments.write:
        write_section(SPEED, HEADING, lines)


if __name__ == "__main__":
    main()
