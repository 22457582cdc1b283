"""Other programs on the same patterns: each runs in its own environment, arrays in and scores out.

What they answer is kept by pattern, so that a later run asks them for new patterns only.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from identify_cases import PHASES, Array, Cases
from identify_rules import Scores

from friedel.core.beam import Beam
from friedel.crystal import Crystal, load_phases, unit_cell_atoms

PEERS = {"py4DSTEM": "py4dstem", "pyxem": "pyxem"}
#: Patterns that a program is given at once; what it has answered is kept after each.
_CHUNK = 1000
_NUMBERS = {"Li": 3, "O": 8, "Mn": 25, "Co": 27, "Ni": 28}


def scores_of(folder: Path, peer: str, cases: Cases, levels: tuple[str, ...]) -> Scores | None:
    """Scores of a program on patterns; None where it would have to run and its environment is absent."""
    tables = []
    for level in levels:
        kept, kinds = _load(folder, peer, level)
        names = [_name(peer, cases, i) for i in range(len(cases.kind))]
        missing = [i for i, name in enumerate(names) if name not in kept]
        for first in range(0, len(missing), _CHUNK):
            some = missing[first : first + _CHUNK]
            print(f"  {peer}, {level}: {first} of {len(missing)} new patterns", flush=True)
            ran = run_peer(folder, peer, cases.where(np.array(some)), level)
            if ran is None:
                return None
            values, kinds, _ = ran
            kept |= {names[i]: value for i, value in zip(some, values, strict=True)}
            _save(folder, peer, level, kept, kinds)
        tables.append([kept[name] for name in names])
    return Scores(np.array(tables), kinds, levels)


def run_peer(folder: Path, peer: str, cases: Cases, level: str) -> tuple[Array, tuple[str, ...], float] | None:
    """Run a program on patterns: scores (n, kinds, P), their kinds, seconds; None where its environment is absent."""
    python = folder / PEERS[peer] / "bin" / "python"
    if not python.exists():
        return None
    with tempfile.TemporaryDirectory() as work:
        given, answer = Path(work) / "in.npz", Path(work) / "out.npz"
        wavelengths = np.array([Beam(float(e)).wavelength_a for e in cases.energy_kev])
        values = {
            "counts": cases.counts,
            "energy_kev": cases.energy_kev,
            "disk_radius_px": 1e-3 * cases.probe_mrad / wavelengths / cases.step_inv_a,
            "step_inv_a": cases.step_inv_a,
            "centre_px": cases.centre_px,
            "level": level,
            "phases": json.dumps([_facts(crystal) for crystal in load_phases(PHASES).crystals]),
        }
        np.savez(given, **values)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
        done = subprocess.run([python, _script(peer), given, answer], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{peer} failed: {done.stderr[-2000:]}")
        with np.load(answer) as result:
            kinds = tuple(str(name) for name in result["kinds"])
            return np.stack([result[name] for name in kinds], axis=1), kinds, float(result["seconds"])


def _script(peer: str) -> Path:
    return Path(__file__).parent / "peers" / f"{PEERS[peer]}_identify.py"


def _name(peer: str, cases: Cases, i: int) -> str:
    """Tell a pattern, as this version of the script would see it, from all others."""
    seen = f"{cases.step_inv_a} {cases.centre_px} {cases.energy_kev[i]} {_script(peer).read_text(encoding='utf-8')}"
    return hashlib.sha256(cases.counts[i].tobytes() + seen.encode()).hexdigest()[:24]


def _path(folder: Path, peer: str, level: str) -> Path:
    return folder / "answers" / f"{PEERS[peer]}-{level.replace(' ', '-')}.npz"


def _load(folder: Path, peer: str, level: str) -> tuple[dict[str, Array], tuple[str, ...]]:
    path = _path(folder, peer, level)
    if not path.exists():
        return {}, ()
    with np.load(path) as stored:
        return dict(zip(stored["names"].tolist(), stored["values"], strict=True)), tuple(stored["kinds"].tolist())


def _save(folder: Path, peer: str, level: str, kept: dict[str, Array], kinds: tuple[str, ...]) -> None:
    path = _path(folder, peer, level)
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new.npz")
    np.savez(new, names=list(kept), values=np.array(list(kept.values())), kinds=list(kinds))
    new.replace(path)


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
