"""Other programs on the same patterns: each runs in its own environment, arrays in and scores out.

A program gives each pattern one score for each phase. What is present follows from a rule with four numbers,

    phase i is present if score_i >= t_i and score_i >= r_i score_j,

that are fitted on the development half for every source, region and dose, together with the kind of score and the
program's own level: the best that the program can do, as nobody could tune it on a real sample.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from identify_cases import PHASES, Array, Cases

from friedel.core.beam import Beam
from friedel.crystal import Crystal, load_phases, unit_cell_atoms

PEERS = {"py4DSTEM": "py4dstem", "pyxem": "pyxem"}
#: Semi-angle (mrad) of the probe by energy (keV), as in ``truth_abtem.py``.
PROBES_MRAD = {200: 0.9, 300: 0.8}
_NUMBERS = {"Li": 3, "O": 8, "Mn": 25, "Co": 27, "Ni": 28}
_N_THRESHOLDS = 15
_RATIOS = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a program says: by kind of score, (levels, n, P); the levels; and seconds for each."""

    kinds: dict[str, Array]
    levels: Array
    seconds: Array

    def save(self, path: Path) -> None:
        """Write as .npz."""
        np.savez(path, **self.kinds, levels=self.levels, seconds=self.seconds)

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read what ``save``, or a program, wrote."""
        with np.load(path) as result:
            kinds = {name: result[name] for name in result.files if name not in ("seconds", "levels")}
            return cls(kinds, result["levels"].astype(str), result["seconds"])


@dataclass(frozen=True, slots=True)
class Rule:
    """How scores become phases: kind of score, level, thresholds and ratios."""

    kind: str
    level: str
    least: tuple[float, float]
    ratio: tuple[float, float]

    def present(self, scores: Scores) -> Array:
        """Which phases are present (n, 2)."""
        values = scores.kinds[self.kind][list(map(str, scores.levels)).index(self.level)]
        return _present(values, self.least, self.ratio)


def run_peer(folder: Path, peer: str, cases: Cases, levels: tuple[str, ...]) -> Scores | None:
    """Run a program on patterns; None where its environment is absent."""
    python = folder / PEERS[peer] / "bin" / "python"
    if not python.exists():
        return None
    script = Path(__file__).parent / "peers" / f"{PEERS[peer]}_identify.py"
    with tempfile.TemporaryDirectory() as work:
        given, answer = Path(work) / "in.npz", Path(work) / "out.npz"
        radii = [1e-3 * PROBES_MRAD[round(e)] / Beam(float(e)).wavelength_a for e in cases.energy_kev]
        values = {
            "counts": cases.counts,
            "energy_kev": cases.energy_kev,
            "disk_radius_px": np.array(radii) / cases.step_inv_a,
            "step_inv_a": cases.step_inv_a,
            "centre_px": cases.centre_px,
            "levels": np.array(levels),
            "phases": json.dumps([_facts(crystal) for crystal in load_phases(PHASES).crystals]),
        }
        np.savez(given, **values)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
        done = subprocess.run([python, script, given, answer], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{peer} failed: {done.stderr[-2000:]}")
        return Scores.load(answer)


def fit_rule(scores: Scores, there: Array) -> Rule:
    """Find the rule that gets most sets of phases right."""
    best, chosen = -1.0, None
    for kind, values in scores.kinds.items():
        for level, table in zip(scores.levels, values, strict=True):
            cuts = [np.quantile(table[:, p], np.linspace(0.02, 0.98, _N_THRESHOLDS)) for p in range(2)]
            for least in itertools.product(*cuts):
                for ratio in itertools.product(_RATIOS, _RATIOS):
                    right = float((_present(table, least, ratio) == there).all(axis=1).mean())
                    if right > best:
                        best, chosen = right, Rule(kind, str(level), (float(least[0]), float(least[1])), ratio)
    assert chosen is not None
    return chosen


def _present(values: Array, least: tuple[float, ...], ratio: tuple[float, ...]) -> Array:
    return (values > 0) & (values >= least) & (values >= np.asarray(ratio) * values[:, ::-1])


def _facts(crystal: Crystal) -> dict[str, object]:
    atoms = unit_cell_atoms(crystal)
    return {
        "name": crystal.name,
        "cell": list(crystal.cell),
        "space_group": crystal.space_group.number,
        "positions": atoms.fract.tolist(),
        "numbers": [_NUMBERS[element] for element in atoms.elements],
        "occupancy": atoms.occupancy.tolist(),
    }
