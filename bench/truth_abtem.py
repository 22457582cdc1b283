"""Clean diffraction patterns with known phases by multislice, from a program that shares no code with friedel.

Run in an environment of its own with abTEM 1.0.11, NumPy and SciPy:
``python bench/truth_abtem.py FOLDER`` writes ``FOLDER/{development,held_out}.npz``, which ``bench/identify.py`` reads.
The halves differ in cells, thicknesses, stacks, distractors and thermal displacements. Ten minutes on one core.

Every column is a block of atoms cut from crystals in any orientation, with one set of thermal displacements; its
borders are not periodic, and the probe stays away from them. Neutral-atom potentials (Lobato and Van Dyck, Acta Cryst.
A 70, 636, 2014), projected slice by slice; mistilt by the tilt of the beam.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import abtem
import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

Array = Any

#: Side of the block and its pixels; the pattern is kept up to this radius.
BOX_A, N_PX, K_MAX_INV_A = 57.6, 300, 1.7
SLICE_A = 2.0
#: Semi-angle (mrad) of the probe by energy (keV).
PROBES = {200: 0.9, 300: 0.8}
#: One-sigma thermal displacements along one axis (Å).
THERMAL_A = {"Li": 0.11, "O": 0.08, "F": 0.09, "Al": 0.10, "Cu": 0.09, "Si": 0.077, "C": 0.0}
METAL_A = 0.07


@dataclass(frozen=True)
class Structure:
    """A crystal: cell vectors (rows, Å), elements and fractional places; "M" is Ni0.8Mn0.1Co0.1 drawn at random."""

    cell: Array
    elements: tuple[str, ...]
    places: Array
    li_share: float = 1.0


@dataclass(frozen=True)
class Layer:
    """A crystal of some thickness in the beam; ``turn`` takes its Cartesian frame to that of the microscope."""

    structure: Structure
    thickness_nm: float
    turn: Array


@dataclass(frozen=True)
class Column:
    """What the beam meets: layers from the top, the thicknesses kept, and the (energy, mistilt) of each exposure."""

    name: str
    kind: str
    where: str
    layers: tuple[Layer, ...]
    exits_nm: tuple[float, ...]
    shots: tuple[tuple[int, float], ...]
    seed: int


def hexagonal(a: float, c: float) -> Array:
    """Cell vectors with a along x and c along z."""
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


def o3(a: float, c: float, metal_to_oxygen_a: float, li_share: float) -> Structure:
    """Layered oxide R-3m in the hexagonal setting: metal on 3a, lithium on 3b, oxygen on 6c."""
    z = 1 / 3 - metal_to_oxygen_a / c
    centring = np.array([[0, 0, 0], [2 / 3, 1 / 3, 1 / 3], [1 / 3, 2 / 3, 2 / 3]])
    sites = [("M", 0.0), ("Li", 0.5), ("O", z), ("O", -z)]
    elements = tuple(element for element, _ in sites for _ in centring)
    return Structure(
        hexagonal(a, c), elements, np.concatenate([centring + np.array([0, 0, h]) for _, h in sites]), li_share
    )


def o1(a: float, c: float, metal_to_oxygen_a: float) -> Structure:
    """Delithiated layered oxide P-3m1."""
    z = metal_to_oxygen_a / c
    places = np.array([[0, 0, 0], [1 / 3, 2 / 3, z], [2 / 3, 1 / 3, -z]])
    return Structure(hexagonal(a, c), ("M", "O", "O"), places)


def cubic(a: float, sites: dict[str, list[tuple[float, float, float]]], centred: bool = True) -> Structure:
    """Cubic crystal from its sites, with face centring unless told otherwise."""
    centring = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])[: 4 if centred else 1]
    elements = tuple(e for e, places in sites.items() for _ in places for _ in centring)
    places = np.concatenate([np.array(place) + centring for e in sites for place in sites[e]])
    return Structure(a * np.eye(3), elements, places)


def spinel(a: float, u: float) -> Structure:
    """LiM2O4, Fd-3m, origin at -3m: Li 8a, metal 16d, oxygen 32e at u."""
    metal = [(0.5, 0.5, 0.5), (0.5, 0.25, 0.25), (0.25, 0.5, 0.25), (0.25, 0.25, 0.5)]
    ops = [(u, u, u), (u, 0.25 - u, 0.25 - u), (0.25 - u, u, 0.25 - u), (0.25 - u, 0.25 - u, u)]
    oxygen = ops + [(-x, -y, -z) for x, y, z in ops]
    return cubic(a, {"Li": [(1 / 8, 1 / 8, 1 / 8), (7 / 8, 7 / 8, 7 / 8)], "M": metal, "O": oxygen})


def rock_salt(a: float, cation: str, anion: str) -> Structure:
    """Fm-3m with ions at 0 and one half."""
    return cubic(a, {cation: [(0, 0, 0)], anion: [(0.5, 0.5, 0.5)]})


def along(structure: Structure, uvw: tuple[int, int, int]) -> Array:
    """Rotation that lays a zone axis along the beam."""
    axis = np.array(uvw) @ structure.cell
    axis = axis / np.linalg.norm(axis)
    side = np.cross(structure.cell[1], axis)
    if np.linalg.norm(side) < 1e-6:
        side = np.cross(structure.cell[0], axis)
    side = side / np.linalg.norm(side)
    return np.stack([side, np.cross(axis, side), axis])


def cut(layer: Layer, rng: np.random.Generator) -> tuple[list[str], Array]:
    """Elements and places (N, 3) of one layer, from z = 0 down the beam."""
    depth = 10.0 * layer.thickness_nm
    cell = layer.structure.cell @ layer.turn.T
    corners = np.array(np.meshgrid([0, BOX_A], [0, BOX_A], [0, depth])).reshape(3, -1).T
    spans = corners @ np.linalg.inv(cell)
    low, high = np.floor(spans.min(axis=0)).astype(int) - 1, np.ceil(spans.max(axis=0)).astype(int) + 1
    lattice = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    start = rng.uniform(0, 1, 3)
    elements: list[str] = []
    places = []
    for element, place in zip(layer.structure.elements, layer.structure.places, strict=True):
        xyz = (lattice.reshape(-1, 3) + place + start) @ cell
        inside = ((xyz >= 0) & (xyz < [BOX_A, BOX_A, depth])).all(axis=1)
        if element == "Li":
            inside &= rng.random(len(xyz)) < layer.structure.li_share
        xyz = xyz[inside]
        names = rng.choice(["Ni", "Mn", "Co"], len(xyz), p=[0.8, 0.1, 0.1]) if element == "M" else [element] * len(xyz)
        elements += list(names)
        places.append(xyz)
    return elements, np.concatenate(places)


def carbon(depth_a: float, rng: np.random.Generator) -> tuple[list[str], Array]:
    """Random places no closer than 1.3 Å, 0.09 per Å^3."""
    wanted = int(0.09 * BOX_A**2 * depth_a)
    places = np.zeros((0, 3))
    while len(places) < wanted:
        drawn = np.concatenate([places, rng.uniform(0, 1, (wanted // 2, 3)) * [BOX_A, BOX_A, depth_a]])
        pairs = cKDTree(drawn).query_pairs(1.3, output_type="ndarray")
        keep = np.ones(len(drawn), dtype=bool)
        keep[pairs.max(axis=1)] = False  # the later of each pair goes, so that those already placed stay
        places = drawn[keep][:wanted]
    return ["C"] * wanted, places


def atoms_of(column: Column) -> Atoms:
    """All atoms of a column, displaced by heat."""
    rng = np.random.default_rng(column.seed)
    depth, elements, places = 0.0, [], []
    for layer in column.layers:
        names, xyz = cut(layer, rng)
        elements += names
        places.append(xyz + np.array([0, 0, depth]))
        depth += 10.0 * layer.thickness_nm
    if column.kind == "carbon":
        depth = 10.0 * max(column.exits_nm)
        elements, xyz = carbon(depth, rng)
        places.append(xyz)
    xyz = np.concatenate(places)
    xyz += rng.normal(0, 1, xyz.shape) * np.array([THERMAL_A.get(e, METAL_A) for e in elements])[:, None]
    xyz[:, 2] = np.clip(xyz[:, 2], 0, depth - 1e-3)
    return Atoms(elements, positions=xyz, cell=[BOX_A, BOX_A, depth], pbc=True)


def expose(column: Column) -> Iterator[tuple[Array, dict[str, Any]]]:
    """Run multislice for every exposure of a column; yields patterns (ky, kx), in shares of the beam, and facts."""
    rng = np.random.default_rng([column.seed, 1])
    if column.kind == "vacuum":
        for energy_kev, _ in column.shots:
            probe = abtem.Probe(semiangle_cutoff=PROBES[energy_kev], energy=energy_kev * 1e3, gpts=N_PX, extent=BOX_A)
            yield crop(diffraction(probe.build(lazy=False))[0].T), facts_of(column, energy_kev, 0.0, 0.0)
        return
    atoms = atoms_of(column)
    n_slices = round(atoms.cell[2, 2] / SLICE_A)
    exits = tuple(round(10 * t / SLICE_A) - 1 for t in column.exits_nm)
    potential = abtem.Potential(
        atoms, gpts=N_PX, slice_thickness=atoms.cell[2, 2] / n_slices, exit_planes=exits, parametrization="lobato"
    ).build(lazy=False)
    for energy_kev, tilt_mrad in column.shots:
        azimuth = rng.uniform(0, 2 * np.pi)
        tilt = (tilt_mrad * np.cos(azimuth), tilt_mrad * np.sin(azimuth))
        probe = abtem.Probe(semiangle_cutoff=PROBES[energy_kev], energy=energy_kev * 1e3, gpts=N_PX, extent=BOX_A,
                            tilt=tilt)  # fmt: skip
        waves = probe.multislice(potential, scan=(BOX_A / 2, BOX_A / 2), lazy=False)
        for pattern, thickness_nm in zip(diffraction(waves), column.exits_nm, strict=True):
            yield crop(pattern.T), facts_of(column, energy_kev, thickness_nm, tilt_mrad)  # abTEM has (kx, ky)


def diffraction(waves: Any) -> Array:
    """Patterns (n, kx, ky) of one or more waves, in shares of the beam."""
    array = np.asarray(waves.diffraction_patterns(max_angle=None).array)
    return array.reshape(-1, *array.shape[-2:])


def facts_of(column: Column, energy_kev: int, thickness_nm: float, tilt_mrad: float) -> dict[str, Any]:
    """What is known of a pattern; ``column`` numbers those that share their atoms."""
    return {
        "column": column.seed, "name": column.name, "kind": column.kind, "where": column.where,
        "energy_kev": energy_kev, "thickness_nm": thickness_nm, "tilt_mrad": tilt_mrad,
    }  # fmt: skip


def crop(pattern: Array) -> Array:
    """Cut a pattern with its centre in the middle to the radius that is kept."""
    half = round(K_MAX_INV_A * BOX_A)
    centre = pattern.shape[0] // 2
    return np.asarray(pattern[centre - half : centre + half + 1, centre - half : centre + half + 1])


SETS: dict[str, dict[str, Any]] = {
    "development": {
        "seed": 10_000, "exits_nm": (6.0, 12.0, 18.0, 26.0, 36.0),
        "o3": (o3(2.861, 14.24, 1.04, 1.0), o3(2.826, 14.42, 0.985, 0.3)), "o1": o1(2.826, 4.52, 0.975),
        "rock_salt": rock_salt(4.152, "M", "O"), "spinel": spinel(8.12, 0.2625),
        "stacks": (((0, 6.0), (1, 6.0), (0, 14.0)), ((1, 3.0), (0, 3.0), (1, 12.0)), ((0, 10.0), (1, 2.0), (0, 6.0))),
        "distractors": {"al": cubic(4.05, {"Al": [(0, 0, 0)]}), "lif": rock_salt(4.027, "Li", "F")},
    },
    "held_out": {
        "seed": 20_000, "exits_nm": (5.0, 9.0, 15.0, 22.0, 40.0),
        "o3": (o3(2.868, 14.17, 1.05, 1.0), o3(2.819, 14.48, 0.98, 0.2)), "o1": o1(2.832, 4.63, 0.98),
        "rock_salt": rock_salt(4.181, "M", "O"), "spinel": spinel(8.21, 0.2635),
        "stacks": (((1, 5.0), (0, 10.0), (1, 7.0)), ((0, 3.0), (1, 3.0), (0, 16.0)), ((1, 9.0), (0, 3.0), (1, 10.0))),
        "distractors": {
            "si": cubic(5.431, {"Si": [(0, 0, 0), (0.25, 0.25, 0.25)]}), "cu": cubic(3.615, {"Cu": [(0, 0, 0)]}),
        },
    },
}  # fmt: skip


def near_001(spec: dict[str, Any], rng: np.random.Generator) -> Iterator[Column]:
    """Columns near [001] of the layered phases and [111] of their cubic mimics."""
    exits, flat, seed = spec["exits_nm"], np.eye(3), spec["seed"]

    def shots() -> tuple[tuple[int, float], ...]:
        return tuple((e, float(rng.uniform(low, low + 4))) for e, low in ((200, 0), (300, 4), (200, 8), (300, 0)))

    for i in range(4):
        for kind, crystal in (("O3", spec["o3"][i % 2]), ("O1", spec["o1"])):
            layer, number = Layer(crystal, max(exits), flat), 2 * i + (kind == "O1")
            yield Column(kind.lower(), kind, "near", (layer,), exits, shots(), seed + number)
    pair = (o3(spec["o1"].cell[0, 0], spec["o3"][1].cell[2, 2], 0.98, 0.25), spec["o1"])
    for i in range(6):
        recipe = spec["stacks"][i % 3]
        layers = tuple(Layer(pair[which], t, flat) for which, t in recipe)
        first, total = recipe[0][1] + recipe[1][1], sum(t for _, t in recipe)
        ends = (first, round(first / 2 + total / 2), total)
        yield Column(f"stack-{i % 3}", "both", "near", layers, ends, shots(), seed + 10 + i)
    for i in range(4):
        name = ("rock_salt", "spinel")[i % 2]
        turned = Layer(spec[name], max(exits), along(spec[name], (1, 1, 1)))
        yield Column(name, name, "near", (turned,), exits, shots()[:3], seed + 20 + i)
    for i in range(4):
        yield Column("carbon", "carbon", "near", (), exits[:3], shots()[:2], seed + 30 + i)
    yield Column("vacuum", "vacuum", "near", (), (0.0,), shots()[:2], seed + 40)


def anywhere(spec: dict[str, Any], rng: np.random.Generator) -> Iterator[Column]:
    """Columns near other zone axes, and in orientations drawn at random."""
    zones = [(1, 0, 0), (1, 1, 0), (2, 1, 1), (-1, 1, 1), (1, 1, 1), (0, 1, 1), (0, 1, 2)]

    def turn(structure: Structure, number: int) -> Array:
        if number % 2:
            return Rotation.random(random_state=rng).as_matrix()
        uvw = zones[int(rng.integers(len(zones)))]
        return Rotation.from_euler("z", rng.uniform(0, 360), degrees=True).as_matrix() @ along(structure, uvw)

    def shot(number: int) -> tuple[tuple[int, float], ...]:
        return (((200, 300)[number // 2 % 2], float(rng.uniform(0, 8))),)

    seed, exits = spec["seed"] + 100, spec["exits_nm"][:4]
    for i in range(40):
        for j, (kind, crystal) in enumerate((("O3", spec["o3"][i % 4 // 2]), ("O1", spec["o1"]))):
            kept = (exits[0], exits[1 + i % 3])
            layer = Layer(crystal, max(kept), turn(crystal, i))
            yield Column(kind.lower(), kind, "any", (layer,), kept, shot(i), seed + 2 * i + j)
    for i in range(40):
        first, second = (spec["o3"][i % 2], spec["o1"])[:: (1, -1)[i // 2 % 2]]
        t = exits[1 + i % 3]
        layers = (Layer(first, t / 2, turn(first, i)), Layer(second, t / 2, turn(second, i)))
        yield Column("pair", "both", "any", layers, (t,), shot(i), seed + 100 + i)
    foreign = {"rock_salt": spec["rock_salt"], "spinel": spec["spinel"], **spec["distractors"]}
    for i in range(10):
        for j, (name, crystal) in enumerate(foreign.items()):
            t = exits[(i + j) % 4]
            layer = Layer(crystal, t, turn(crystal, i))
            yield Column(name, name, "any", (layer,), (t,), shot(i + j), seed + 200 + 4 * i + j)
    for i in range(3):
        yield Column("carbon", "carbon", "any", (), exits[:3], shot(i), seed + 300 + i)


def main() -> None:
    """Simulate both halves, the development one first, each pattern as the square root of its share in 16 bits."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    abtem.config.set({"dask.lazy": False, "fftw.threads": 1, "diagnostics.progress_bar": False})
    for half in sys.argv[2:] or SETS:
        rng = np.random.default_rng(SETS[half]["seed"])
        patterns, facts = [], []
        columns = [*near_001(SETS[half], rng), *anywhere(SETS[half], rng)]
        for i, column in enumerate(columns):
            start = time.perf_counter()
            for pattern, fact in expose(column):
                patterns.append(pattern)
                facts.append(fact)
            print(f"{half} {i + 1}/{len(columns)} {column.name}: {time.perf_counter() - start:.1f} s", flush=True)
        stack = np.stack(patterns)
        scale = stack.max(axis=(1, 2))
        code = np.round(65535 * np.sqrt(np.clip(stack, 0, None) / scale[:, None, None])).astype(np.uint16)
        np.savez_compressed(folder / f"{half}.npz", code=code, scale=scale, step_inv_a=1.0 / BOX_A,
                            facts=json.dumps(facts))  # fmt: skip


if __name__ == "__main__":
    main()
