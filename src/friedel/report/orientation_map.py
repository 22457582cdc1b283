"""Maps of orientations for orix, MTEX and EDAX OIM: Euler angles of zone axes, and .ang files.

The sample's axes are x to the right and y down, as the map is drawn, and z away from the viewer, the way that the
electrons travel; positions and angles are in the same frame. The crystal's are x along a and z along c*. Angles are
Bunge's: turns about z, x and z that lead from the sample's axes to the crystal's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.errors import CorruptFileError, DataError
from friedel.crystal import Crystal, zone_frame
from friedel.report.files import write_atomic

#: Symmetry as EDAX writes it, by crystal system and number of operations of the Laue class.
_SYMMETRY = {
    ("triclinic", 2): "1", ("monoclinic", 4): "20", ("orthorhombic", 8): "22", ("tetragonal", 8): "4",
    ("tetragonal", 16): "42", ("trigonal", 6): "3", ("trigonal", 12): "32", ("hexagonal", 12): "6",
    ("hexagonal", 24): "62", ("cubic", 24): "23", ("cubic", 48): "43",
}  # fmt: skip
#: What EDAX writes where nothing was indexed: angles of 4 pi and a confidence of -1.
_NO_ANGLE, _NO_CONFIDENCE = 4.0 * np.pi, -1.0
_COLUMNS = ("phi1", "PHI", "phi2", "x", "y", "IQ", "CI", "Phase", "SEM", "Fit")


@dataclass(frozen=True, slots=True)
class OrientedPhase:
    """A phase of an orientation map: name, EDAX's code of its Laue class, and a, b, c (Å), alpha, beta, gamma (deg)."""

    name: str
    symmetry: str
    cell: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class OrientationMap:
    """One orientation per position.

    Parameters
    ----------
    phases
        Phases; number i in ``phase`` is the i-th of them, counted from 1.
    phase
        Number of the phase (y, x); 0 where there is none.
    euler_rad
        Bunge's angles phi1, Phi, phi2 (y, x, 3); NaN where there is no phase.
    confidence, quality, signal, fit
        Presence of the phase, light in the annulus, light in the transmitted beam, angle in degrees from zone axis to
        beam, all (y, x); 0 where not known.
    step_um
        Distance of neighbouring positions along (y, x) in µm.
    """

    phases: tuple[OrientedPhase, ...]
    phase: AnyArray
    euler_rad: FloatArray
    confidence: FloatArray
    quality: FloatArray
    signal: FloatArray
    fit: FloatArray
    step_um: tuple[float, float]

    def __post_init__(self) -> None:
        shape = self.phase.shape
        if len(shape) != 2 or self.euler_rad.shape != (*shape, 3):
            raise DataError(f"euler_rad must have the shape {(*shape, 3)} of phase, got {self.euler_rad.shape}.")
        if self.phase.min(initial=0) < 0 or self.phase.max(initial=0) > len(self.phases):
            raise DataError(f"phase must lie between 0 and {len(self.phases)}, the number of phases.")


def oriented_phase(crystal: Crystal) -> OrientedPhase:
    """Return what an orientation file says of a crystal."""
    symmetry = _SYMMETRY[crystal.crystal_system, len(crystal.space_group.laue_rotations)]
    if symmetry == "20" and abs(crystal.cell[5] - 90.0) > abs(crystal.cell[4] - 90.0):
        symmetry = "2"  # the axis is c
    return OrientedPhase(crystal.name, symmetry, crystal.cell)


def zone_frames(crystal: Crystal, uvw: AnyArray, rotation_deg: AnyArray) -> FloatArray:
    """Sample axes y, x and z in rows (N, 3, 3), in the crystal's axes, of zone axes [uvw] (N, 3) along z.

    The zone is turned by ``rotation_deg`` (N,) from +kx towards +ky; at 0 it is as ``zone_net`` draws it.
    """
    frames = np.empty((len(uvw), 3, 3))
    axes, which = np.unique(uvw, axis=0, return_inverse=True)
    for i, axis in enumerate(axes):
        mine = which.ravel() == i
        ky, kx, beam = zone_frame(crystal, axis.astype(np.int64))
        angle = np.deg2rad(rotation_deg[mine].astype(np.float64))[:, None]
        x, y = np.cos(angle) * kx - np.sin(angle) * ky, np.sin(angle) * kx + np.cos(angle) * ky
        frames[mine] = np.stack([y, x, np.broadcast_to(beam, x.shape)], axis=1)
    return frames


def euler_angles_rad(frames: AnyArray) -> FloatArray:
    """Bunge's angles (N, 3), in [0, 2 pi), [0, pi], [0, 2 pi), of frames (N, 3, 3) with rows as in ``zone_frames``.

    They are those of the matrix g that takes components along the sample's axes x, y, z to those along the crystal's
    (Bunge, Texture Analysis in Materials Science, 1982, eq. 2.13): cos Phi = g33, tan phi1 = g31 / -g32 and
    tan phi2 = g13 / g23, with phi2 = 0 where sin Phi vanishes.
    """
    g = np.asarray(frames, dtype=np.float64)[:, [1, 0, 2]].transpose(0, 2, 1)
    tilt = np.arccos(np.clip(g[:, 2, 2], -1.0, 1.0))
    is_flat = np.hypot(g[:, 2, 0], g[:, 2, 1]) < 1e-9
    first = np.where(is_flat, np.arctan2(g[:, 0, 1], g[:, 0, 0]), np.arctan2(g[:, 2, 0], -g[:, 2, 1]))
    last = np.where(is_flat, 0.0, np.arctan2(g[:, 0, 2], g[:, 1, 2]))
    return np.stack([first % (2 * np.pi), tilt, last % (2 * np.pi)], axis=1)


def to_ang(path: str | Path, orientations: OrientationMap) -> None:
    """Write an .ang file in EDAX's columns, which orix, MTEX and OIM read; lengths in µm, angles in rad.

    Angles are kept to 1e-6 rad. A position holds one phase; without one its angles are 4 pi and its confidence is -1.
    """
    ny, nx = orientations.phase.shape
    step_y, step_x = orientations.step_um
    is_empty = orientations.phase == 0
    y, x = np.mgrid[:ny, :nx]
    columns = (
        *np.moveaxis(np.where(is_empty[..., None], _NO_ANGLE, orientations.euler_rad), -1, 0),
        x * step_x, y * step_y, orientations.quality, np.where(is_empty, _NO_CONFIDENCE, orientations.confidence),
        orientations.phase, orientations.signal, orientations.fit,
    )  # fmt: skip
    row = "%.6f %.6f %.6f %.9f %.9f %.6g %.4f %d %.6g %.4f"
    table = np.stack([np.asarray(column, dtype=np.float64).ravel() for column in columns], axis=1)
    lines = [*_header(orientations), *(row % tuple(values) for values in table.tolist())]
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def from_ang(path: str | Path) -> OrientationMap:
    """Read an .ang file on a square grid with EDAX's columns; CorruptFileError if it is none."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        header = [line[1:].strip() for line in lines if line.startswith("#")]
        table = np.array([[float(value) for value in line.split()[:10]] for line in lines if line[:1] not in ("#", "")])
        ny, nx = int(_entry(header, "NROWS")), int(_entry(header, "NCOLS_ODD"))
        steps = float(_entry(header, "YSTEP")), float(_entry(header, "XSTEP"))
        maps = table.reshape(ny, nx, len(_COLUMNS))
        phases = _phases(header)
    except (OSError, ValueError, IndexError) as error:
        raise CorruptFileError(path, f"it is no .ang file on a square grid ({error})", "Export it again.") from error
    is_empty = (maps[..., 6] == _NO_CONFIDENCE) | (maps[..., 7] == 0)
    euler = np.where(is_empty[..., None], np.nan, maps[..., :3])
    phase = np.where(is_empty, 0, maps[..., 7]).astype(np.int64)
    confidence = np.where(is_empty, 0.0, maps[..., 6])
    return OrientationMap(phases, phase, euler, confidence, maps[..., 5], maps[..., 8], maps[..., 9], steps)


def _header(orientations: OrientationMap) -> list[str]:
    ny, nx = orientations.phase.shape
    step_y, step_x = orientations.step_um
    lines = [
        "TEM_PIXperUM          1.000000",
        "x-star                0.000000",
        "y-star                0.000000",
        "z-star                0.000000",
        "WorkingDistance       0.000000",
        "",
        "Sample axes: x right, y down (as x and y below), z along the beam, away from the viewer",
        "Crystal axes: x along a, z along c*. Angles: Bunge, in rad",
        "A pattern that shows one zone leaves the turn about the beam open by 180 degrees",
        "IQ: light in the annulus. CI: presence of the phase. SEM: transmitted beam",
        "Fit: angle from the nearest zone axis to the beam in degrees",
        "",
    ]
    # OIM takes the phases of a header in reverse order.
    for number, phase in reversed(list(enumerate(orientations.phases, start=1))):
        name = re.sub(r"\s+", " ", phase.name).strip()
        lines += [f"Phase {number}", f"MaterialName     {name}", f"Formula          {name}", "Info",
                  f"Symmetry         {phase.symmetry}",
                  "LatticeConstants " + " ".join(f"{value:.6f}" for value in phase.cell),
                  "NumberFamilies   0", "Categories 0 0 0 0 0", ""]  # fmt: skip
    lines += ["GRID: SqrGrid", f"XSTEP: {step_x:.9f}", f"YSTEP: {step_y:.9f}", f"NCOLS_ODD: {nx}", f"NCOLS_EVEN: {nx}",
              f"NROWS: {ny}", "", "OPERATOR: friedel", "SAMPLEID:", "SCANID:", ""]  # fmt: skip
    return [f"# {line}".rstrip() for line in lines]


def _entry(header: Sequence[str], name: str) -> str:
    """Return what stands after a name in the header."""
    found = [line.partition(name)[2].lstrip(": \t") for line in header if re.match(rf"{name}[: \t]", line)]
    if not found:
        raise ValueError(f"its header lacks {name}")
    return found[0]


def _phases(header: Sequence[str]) -> tuple[OrientedPhase, ...]:
    starts = [i for i, line in enumerate(header) if re.fullmatch(r"Phase\s+\d+", line)]
    found = {}
    for i, stop in zip(starts, [*starts[1:], len(header)], strict=True):
        part = header[i:stop]
        cell = tuple(float(value) for value in _entry(part, "LatticeConstants").split())
        found[int(part[0].split()[1])] = OrientedPhase(_entry(part, "MaterialName"), _entry(part, "Symmetry"), cell)
    return tuple(found[number] for number in sorted(found))
