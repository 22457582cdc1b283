"""Euler angles put zone axes along the beam and reflections where they were seen."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.core.errors import CorruptFileError
from friedel.crystal import Crystal, load_phase, space_group, zone_axes, zone_net
from friedel.identify.lattices.zones import turned
from friedel.report.orientation_map import (
    OrientationMap,
    OrientedPhase,
    euler_angles_rad,
    from_ang,
    oriented_phase,
    to_ang,
    zone_frames,
)

PHASES = ("lif", "nmc811-o3", "li2co3")


@cache
def crystal_of(name: str) -> Crystal:
    return load_phase(name)


def sample_to_crystal(euler_rad: FloatArray) -> FloatArray:
    """Bunge's matrix (3, 3) as the product of three turns, as the textbook has it."""

    def turn(angle: float, i: int, j: int) -> FloatArray:
        out = np.eye(3)
        out[i, i] = out[j, j] = np.cos(angle)
        out[i, j], out[j, i] = np.sin(angle), -np.sin(angle)
        return out

    first, tilt, last = euler_rad
    return turn(last, 0, 1) @ turn(tilt, 1, 2) @ turn(first, 0, 1)


@pytest.mark.parametrize("name", PHASES)
def test_zone_lies_along_the_beam_and_reflections_where_they_were_seen(name: str) -> None:
    crystal, rng = crystal_of(name), np.random.default_rng(2)
    for uvw in zone_axes(crystal, 2)[:6]:
        rotation = rng.uniform(0, 180)
        (euler,) = euler_angles_rad(zone_frames(crystal, uvw[None], np.array([rotation])))
        to_sample = sample_to_crystal(euler).T
        beam = to_sample @ (uvw @ crystal.direct_basis_a)
        np.testing.assert_allclose(beam / np.linalg.norm(beam), [0, 0, 1], atol=1e-12)
        net = zone_net(crystal, uvw, 0.8)
        ky, kx = turned(net.k_inv_a, np.deg2rad(rotation)).T
        np.testing.assert_allclose(crystal.g_inv_a(net.hkl) @ to_sample.T, np.stack([kx, ky, 0 * kx], 1), atol=1e-12)


def test_angles_of_any_frame_lead_back_to_it() -> None:
    frames = np.linalg.qr(np.random.default_rng(4).normal(size=(50, 3, 3)))[0]
    frames[np.linalg.det(frames[:, [1, 0, 2]]) < 0] *= -1
    frames[0] = np.eye(3)[[1, 0, 2]]
    for frame, euler in zip(frames, euler_angles_rad(frames), strict=True):
        assert (euler >= 0).all()
        np.testing.assert_allclose(sample_to_crystal(euler).T, frame[[1, 0, 2]], atol=1e-9)


@pytest.mark.parametrize(
    ("name", "code"),
    [("lif", "43"), ("nmc811-o3", "32"), ("nmc811-o1", "32"), ("li2co3", "20"), ("li3n", "62"), ("lioh", "42")],
)
def test_symmetry_is_that_of_the_laue_class_in_edax_code(name: str, code: str) -> None:
    assert oriented_phase(crystal_of(name)).symmetry == code


def test_unique_axis_c_of_a_monoclinic_cell_has_its_own_code() -> None:
    beta = crystal_of("li2co3")
    a, b, c, *_ = beta.cell
    group = space_group("P 1 1 2", gamma_deg=100.0)
    assert oriented_phase(Crystal("m", (a, b, c, 90.0, 90.0, 100.0), group, beta.sites)).symmetry == "2"


def a_map() -> OrientationMap:
    rng = np.random.default_rng(7)
    phase = rng.integers(0, 4, (5, 8))
    euler = np.where(phase[..., None] > 0, rng.uniform(0, 3, (5, 8, 3)), np.nan)
    confidence = np.where(phase > 0, rng.random((5, 8)), 0.0)
    others = rng.random((3, 5, 8))
    phases = tuple(oriented_phase(crystal_of(name)) for name in PHASES)
    return OrientationMap(phases, phase, euler, confidence, *others, step_um=(0.0021, 0.00013))


def test_ang_comes_back(tmp_path: Path) -> None:
    wanted = a_map()
    to_ang(tmp_path / "m.ang", wanted)
    found = from_ang(tmp_path / "m.ang")
    assert found.step_um == wanted.step_um
    assert [p.name for p in found.phases] == list(PHASES)
    for a, b in zip(found.phases, wanted.phases, strict=True):
        assert a.symmetry == b.symmetry
        np.testing.assert_allclose(a.cell, b.cell, atol=1e-6)
    np.testing.assert_array_equal(found.phase, wanted.phase)
    np.testing.assert_allclose(found.euler_rad, wanted.euler_rad, atol=1e-6)
    np.testing.assert_allclose(found.confidence, wanted.confidence, atol=1e-4)
    np.testing.assert_allclose(found.quality, wanted.quality, rtol=1e-5)


def test_ang_counts_x_fastest_in_micrometres_and_marks_what_is_empty(tmp_path: Path) -> None:
    wanted = a_map()
    to_ang(tmp_path / "m.ang", wanted)
    lines = (tmp_path / "m.ang").read_text().splitlines()
    rows = [list(map(float, line.split())) for line in lines if not line.startswith("#")]
    assert len(rows) == 40
    assert rows[8 + 3][3:5] == pytest.approx([3 * 0.00013, 0.0021])
    empty = int(np.flatnonzero(wanted.phase.ravel() == 0)[0])
    assert rows[empty][:3] == pytest.approx([4 * np.pi] * 3, abs=1e-6)
    assert rows[empty][6:8] == [-1.0, 0.0]


def test_name_with_a_line_break_stays_in_the_header(tmp_path: Path) -> None:
    shown = a_map()
    phases = (OrientedPhase("a\n1 2 3", "43", (4.0, 4.0, 4.0, 90.0, 90.0, 90.0)), *shown.phases[1:])
    odd = OrientationMap(phases, shown.phase, shown.euler_rad, shown.confidence, shown.quality, shown.signal, shown.fit,
                         shown.step_um)  # fmt: skip
    to_ang(tmp_path / "m.ang", odd)
    assert from_ang(tmp_path / "m.ang").phases[0].name == "a 1 2 3"


@pytest.mark.parametrize("text", ["", "# GRID: SqrGrid\n1 2 3\n", "no map\n"])
def test_other_files_are_no_ang(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.ang").write_text(text)
    with pytest.raises(CorruptFileError, match=r"m\.ang"):
        from_ang(tmp_path / "m.ang")
