"""Speed of simulated diffraction per core-second, as ratios to diffsims and py4DSTEM on the same crystals.

The peers are measured where they are installed, and left out with a message where not. CPU time of one process; set
OMP_NUM_THREADS=1. Writes its section of docs/bench/speed.md when given --write.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import importlib.util
import io
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import Crystal, load_phase, unit_cell_atoms, zone_axes
from friedel.simulate.patterns.acquisition import Acquisition, simulate_scan
from friedel.simulate.patterns.diffraction import Conditions, Scattering, diffract, diffract_many, orient
from friedel.simulate.patterns.noise import Noise, draw_noise, expose, pattern_rng
from friedel.simulate.patterns.render import SpotShape, render
from friedel.simulate.patterns.sample import cathode_sample

DOCS = Path(__file__).parents[1] / "docs" / "bench" / "speed.md"
BEAM = Beam(200.0, 0.5)
GRID = ReciprocalGrid((0.0165, 0.0165), (63.5, 63.5))
SHAPE, K_MAX_INV_A, N_ZONES = (128, 128), 1.2, 30
NAMES = ("au", "si", "lif", "tio2-rutile", "al2o3", "nmc811-o3", "li2co3", "li2mno3")
#: With atoms that no program needs to share among elements.
PEER_NAMES = ("au", "si", "lif", "tio2-rutile")


@dataclass(frozen=True, slots=True)
class Row:
    """One measured rate."""

    what: str
    program: str
    per_core_second: float


def rate(work: Callable[[], int]) -> float:
    """Return what is done in a second of CPU time, the best of three runs."""
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        done = work()
        best = max(best, done / (time.process_time() - start))
    return best


def zones_of(crystal: Crystal) -> list[tuple[int, int, int]]:
    """Return the first zone axes."""
    return [(int(u), int(v), int(w)) for u, v, w in zone_axes(crystal, 4)[:N_ZONES]]


def spot_lists(names: tuple[str, ...], scattering: Scattering = "kinematic") -> int:
    """Lay crystals along their zone axes and list the spots of each."""
    done = 0
    for name in names:
        crystal = replace(load_phase(name))  # a new object, of which nothing is remembered
        for uvw in zones_of(crystal):
            diffract(orient(crystal, uvw, K_MAX_INV_A), BEAM, thickness_a=200.0, scattering=scattering)
            done += 1
    return done


def many_conditions() -> int:
    """List the spots of one zone under many conditions at once."""
    rng, n = np.random.default_rng(0), 2000
    conditions = Conditions(rng.uniform(50, 400, n), rng.uniform(0, 6, n), rng.normal(0, 4, (n, 2)))
    diffract_many(orient(load_phase("lif"), (0, 0, 1), K_MAX_INV_A), BEAM, conditions)
    return n


def rendered(*, is_noisy: bool, draw: bool = False) -> int:
    """Make whole patterns under random conditions: spots, picture, counts."""
    rng, n, done = np.random.default_rng(0), 40, 0
    for name in NAMES:
        oriented = orient(load_phase(name), (0, 0, 1), K_MAX_INV_A)
        tilts = rng.normal(0, 4, (n, 2))
        patterns = diffract_many(oriented, BEAM, Conditions.of(rng.uniform(50, 400, n), rng.uniform(0, 6, n), tilts))
        for i in range(n):
            share = render(patterns.pattern(i), GRID, SHAPE, SpotShape.of(BEAM))
            if is_noisy:
                own = pattern_rng(0, i)
                expose(share, draw_noise(own) if draw else Noise(3000.0, halo_share=0.25), GRID, own)
            done += 1
    return done


def scanned() -> int:
    """Read a simulated scan of a cathode particle."""
    simulated = simulate_scan(cathode_sample((16, 20)), Acquisition(), 0)
    return int(np.prod(np.asarray(simulated.scan.data).shape[:2]))


def own_rows() -> list[Row]:
    """Measure friedel."""
    works: dict[str, Callable[[], int]] = {
        "spot lists, each crystal along up to 30 zone axes, single scattering": partial(spot_lists, NAMES),
        "the same for four simple crystals": partial(spot_lists, PEER_NAMES),
        "the same four, all beams together": partial(spot_lists, PEER_NAMES, "bloch"),
        "spot lists of one zone axis, 2,000 conditions at once": many_conditions,
        "rendered patterns, 128 x 128": partial(rendered, is_noisy=False),
        "rendered patterns with halo and counts, 128 x 128": partial(rendered, is_noisy=True),
        "rendered patterns with noise drawn from all ranges": partial(rendered, is_noisy=True, draw=True),
        "patterns of a scan with its film, stacks and descan": scanned,
    }
    return [Row(what, "friedel", rate(work)) for what, work in works.items()]


def diffsims_rows() -> list[Row]:
    """Measure the generator of diffsims on the same crystals, as many orientations each, and its renderer."""
    from diffpy.structure import Atom, Lattice, Structure
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.crystal_map import Phase
    from orix.quaternion import Rotation

    generator = SimulationGenerator(BEAM.energy_kev, shape_factor_model="sin2c", minima_number=10.0)
    crystals = [load_phase(name) for name in PEER_NAMES]
    turns = Rotation.random(N_ZONES)

    def simulate(crystal: Crystal) -> Any:
        atoms = unit_cell_atoms(crystal)
        structure = Structure(
            [Atom(e, f) for e, f in zip(atoms.elements, atoms.fract, strict=True)], Lattice(*crystal.cell)
        )
        phase = Phase(space_group=1, structure=structure)
        return generator.calculate_diffraction2d(
            phase, turns, reciprocal_radius=K_MAX_INV_A, max_excitation_error=0.05, with_direct_beam=True
        )

    def lists() -> int:
        for crystal in crystals:
            simulate(crystal)
        return len(crystals) * N_ZONES

    def pictures() -> int:
        made = simulate(crystals[0])
        for i in range(N_ZONES):
            made.irot[i].get_diffraction_pattern(shape=SHAPE, sigma=1.0, calibration=0.0165)
        return N_ZONES

    return [
        Row("the same for four simple crystals", f"diffsims {_version('diffsims')}", rate(lists)),
        Row("rendered patterns, 128 x 128", f"diffsims {_version('diffsims')}", rate(pictures)),
    ]


def py4dstem_rows() -> list[Row]:
    """Measure the generators of py4DSTEM, single scattering and Bloch waves, on the same crystals and zone axes."""
    from py4DSTEM.process.diffraction import Crystal as Peer

    numbers = {"Au": 79, "Si": 14, "Li": 3, "F": 9, "Ti": 22, "O": 8}

    def prepared(name: str, *, bloch: bool) -> tuple[Any, list[tuple[int, int, int]]]:
        crystal = load_phase(name)
        atoms = unit_cell_atoms(crystal)
        peer = Peer(atoms.fract, [numbers[e] for e in atoms.elements], list(crystal.cell))
        peer.setup_diffraction(BEAM.energy_kev * 1e3)
        peer.calculate_structure_factors(K_MAX_INV_A)
        if bloch:
            peer.calculate_dynamical_structure_factors(BEAM.energy_kev * 1e3, "Lobato", 2 * K_MAX_INV_A)
        return peer, zones_of(crystal)

    def lists(*, bloch: bool) -> int:
        done = 0
        for name in PEER_NAMES:
            peer, zones = prepared(name, bloch=bloch)
            for uvw in zones:
                axis = np.array(uvw)
                beams = peer.generate_diffraction_pattern(
                    zone_axis_lattice=axis, sigma_excitation_error=0.05 / 3, tol_excitation_error_mult=3
                )
                if bloch:
                    peer.generate_dynamical_diffraction_pattern(beams, [200.0], zone_axis_lattice=axis)
                done += 1
        return done

    program = f"py4DSTEM {_version('py4DSTEM')}"
    return [
        Row("the same for four simple crystals", program, rate(partial(lists, bloch=False))),
        Row("the same four, all beams together", program, rate(partial(lists, bloch=True))),
    ]


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def table(rows: list[Row]) -> str:
    """Write the rates with friedel's over each peer's."""
    own = {row.what: row.per_core_second for row in rows if row.program == "friedel"}
    lines = ["| what | program | per core-second | friedel is faster by |", "|---|---|---|---|"]
    for what in own:
        for row in rows:
            if row.what == what:
                ratio = "" if row.program == "friedel" else f"{own[what] / row.per_core_second:.1f}"
                lines.append(f"| {what} | {row.program} | {row.per_core_second:,.0f} | {ratio} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all, print the table, and write its section of the docs if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the section of docs/bench/speed.md")
    write = parser.parse_args().write
    rows = own_rows()
    for package, measure in (("diffsims", diffsims_rows), ("py4DSTEM", py4dstem_rows)):
        if importlib.util.find_spec(package) is None:
            print(f"{package} is not installed here; it is left out.")
            continue
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            rows += measure()
    text = table(rows)
    print(text)
    if write:
        day = dt.datetime.now(tz=dt.UTC).date()
        head = (
            f"## Simulated diffraction\n\nMade by `python bench/simulate.py --write` on {day}, in CPU time of one "
            f"process, {platform.machine()}, Python {platform.python_version()}. Peers get the same crystals, as many "
            "orientations and the same reach; quote the ratios.\n\n"
        )
        before, _, rest = DOCS.read_text(encoding="utf-8").partition("## Simulated diffraction\n")
        after = rest[rest.find("\n## ") + 1 :] if "\n## " in rest else ""
        DOCS.write_text(f"{before.rstrip()}\n\n{head}{text}" + (f"\n{after}" if after else ""), encoding="utf-8")


if __name__ == "__main__":
    main()
