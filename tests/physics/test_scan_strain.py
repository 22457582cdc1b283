"""A scan of which one half is strained by 0.8 % shows that against the other half, however wrong its scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import zarr

from friedel.core.arrays import BoolArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.crystal import PhaseSet, load_phases
from friedel.identify.counts.matching import CountOptions
from friedel.io import write_scan
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.region import find_region
from friedel.pipeline.run import run_recipe
from friedel.pipeline.runs.files import load_summary
from friedel.pipeline.runs.maps import maps_of_run
from friedel.pipeline.scans.result import ScanOptions, ScanResult
from friedel.pipeline.scans.road import analyse_scan
from friedel.pipeline.scans.strain import StrainMaps, measure_strain, reference_in
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient
from friedel.simulate.patterns.noise import Noise, expose
from friedel.simulate.patterns.render import SpotShape, render

CATHODE, SALTS = load_phases(["nmc811-o3", "nmc811-o1"]), load_phases(["lif", "li2o"])
STEP, SIDE, SHAPE = 0.0165, 128, (6, 10)
#: Displacement gradient (y, x) of the right half.
GRADIENT = np.array([[0.002, 0.001], [0.003, 0.008]])
TRUTH = np.array([0.002, 0.008, 0.002])
LEFT = np.broadcast_to(np.arange(SHAPE[1]) < SHAPE[1] // 2, SHAPE)
Template = Literal["hexagon", "lattice", "counts"]


def half_strained(phases: PhaseSet, p: int, uvw: tuple[int, int, int], stored: float = 1.0) -> PatternScan:
    """Patterns of a crystal, 5000 electrons each, strained on the right; stated is ``stored`` times the true scale."""
    beam, centre = Beam(300.0), (0.5 * (SIDE - 1),) * 2
    grid, noise, spot = ReciprocalGrid((STEP, STEP), centre), Noise(dose_electrons=5000.0), SpotShape(blur_px=0.9)
    spots = diffract(orient(phases.crystals[p], uvw), beam, thickness_a=120.0, rotation_rad=0.2)
    reciprocal = np.linalg.inv(np.eye(2) + GRADIENT)
    data = np.zeros((*SHAPE, SIDE, SIDE), dtype=np.uint16)
    for ry, rx in np.ndindex(SHAPE):
        k = spots.k_inv_a if LEFT[ry, rx] else spots.k_inv_a @ reciprocal
        drawn = render(SpotPattern(spots.hkl, k, spots.share, spots.direct), grid, (SIDE, SIDE), spot)
        data[ry, rx] = expose(drawn, noise, grid, np.random.default_rng([7, ry, rx]))
    stated = replace(grid, step_inv_a=(stored * STEP, stored * STEP))
    return PatternScan(data, stated, RealGrid((20.0, 20.0)), beam)


def measured(
    phases: PhaseSet, scan: PatternScan, template: Template, reference: BoolArray | None = LEFT
) -> tuple[ScanResult, StrainMaps]:
    options = ScanOptions(template=template, counts=CountOptions(spacing_deg=5.0, per_phase=6))
    result = analyse_scan(scan, phases, options)
    return result, measure_strain(result, phases, reference=reference)


@pytest.mark.parametrize(
    ("template", "phases", "p", "uvw"),
    [("hexagon", CATHODE, 1, (0, 0, 1)), ("lattice", SALTS, 0, (0, 1, 1)), ("counts", SALTS, 0, (0, 1, 1))],
    ids=["hexagon", "lattice", "counts"],
)
def test_strain_of_one_half_is_recovered_with_every_template(
    template: Template, phases: PhaseSet, p: int, uvw: tuple[int, int, int]
) -> None:
    _, maps = measured(phases, half_strained(phases, p, uvw), template)
    strain, sigma = maps.strain[~LEFT][:, p], maps.strain_sigma[~LEFT][:, p]
    assert np.isfinite(strain).all()
    # Beyond chance, places are off by some hundredths of a pixel that do not average out: 0.1 px is in the error.
    assert (np.abs(strain.mean(axis=0) - TRUTH) < sigma.mean(axis=0)).all()
    assert (np.abs(strain - TRUTH) < 3.5 * sigma).mean() > 0.97
    assert np.abs(maps.strain[LEFT][:, p].mean(axis=0)).max() < 1e-4
    assert sigma.max() < 0.004
    assert maps.rotation_deg[~LEFT][:, p].mean() == pytest.approx(np.rad2deg(-0.001), abs=0.06)


def test_a_scale_that_is_off_by_two_per_cent_changes_no_strain_and_every_spacing_stays() -> None:
    right, wrong = (
        measured(CATHODE, half_strained(CATHODE, 1, (0, 0, 1), stored), "hexagon")[1] for stored in (1.0, 1.02)
    )
    assert np.abs(wrong.strain - right.strain)[..., 1, :].max() < 0.0012
    assert np.abs((wrong.strain - right.strain)[~LEFT][:, 1].mean(axis=0)).max() < 2e-4


def test_reference_is_told_with_its_scatter() -> None:
    _, maps = measured(CATHODE, half_strained(CATHODE, 1, (0, 0, 1)), "hexagon")
    (found,) = maps.phases
    assert (found.phase, found.hkl, found.uvw) == ("nmc811-o1", (1, 0, 0), (0, 0, 1))
    assert found.n == 60
    assert found.n_reference == 30
    assert found.d_reference_a == pytest.approx(maps.d_a[LEFT][:, 1].mean())
    assert found.d_reference_scatter_a == pytest.approx(maps.d_a[LEFT][:, 1].std())
    assert found.strain_reference_scatter == pytest.approx(maps.strain[LEFT][:, 1].std(axis=0))
    assert found.rotation_reference_scatter_deg == pytest.approx(maps.rotation_deg[LEFT][:, 1].std())
    assert found.rotation_reference_scatter_deg < 0.2
    grown = maps.d_a[~LEFT][:, 1].mean() / found.d_reference_a
    assert grown == pytest.approx(1.005, abs=0.001)


def test_without_a_reference_strain_is_that_against_the_file() -> None:
    """The scale is fitted to the one crystal there is, so that its mean strain is nearly none."""
    result, maps = measured(CATHODE, half_strained(CATHODE, 1, (0, 0, 1)), "hexagon", None)
    assert np.isnan(maps.rotation_deg).all()
    assert "lattice_turn_deg" not in maps.arrays()
    strain = maps.strain[..., 1, :]
    assert strain[~LEFT, 1].mean() - strain[LEFT, 1].mean() == pytest.approx(0.008, abs=0.0015)
    assert abs(strain[..., :2].mean()) < 0.004
    assert maps.phases[0].d_file_a == pytest.approx(2.442, abs=0.001)
    assert maps.d_a[..., 1].mean() == pytest.approx(2.442 * (1 + strain[..., :2].mean()), rel=3e-4)
    assert result.phase_map.valid.shape == maps.d_a.shape[:2]


def test_a_phase_is_not_alone_where_a_lookalike_is_likely() -> None:
    result, maps = measured(CATHODE, half_strained(CATHODE, 1, (0, 0, 1)), "hexagon", None)
    beside = np.zeros(SHAPE, dtype=bool)
    beside[2, 3:6] = True
    fewer = measure_strain(replace(result, is_lookalike=beside), CATHODE)
    assert np.isfinite(maps.d_a[..., 1]).all()
    assert np.array_equal(np.isfinite(fewer.d_a[..., 1]), ~beside)


def test_a_reference_without_the_phase_is_told_and_gives_no_strain() -> None:
    scan = half_strained(CATHODE, 1, (0, 0, 1))
    dark = np.array(scan.data)
    dark[:, :5] = np.random.default_rng(0).poisson(0.2, dark[:, :5].shape)
    _, maps = measured(CATHODE, replace(scan, data=dark), "hexagon")
    assert len(maps.warnings) == 1
    assert "nmc811-o1 alone" in maps.warnings[0]
    assert "--strain-reference" in maps.warnings[0]
    assert np.isnan(maps.strain).all()
    assert np.isfinite(maps.d_a[~LEFT][:, 1]).all()


def test_reference_counts_in_the_whole_scan_and_must_lie_in_what_is_analysed() -> None:
    region = find_region((20, 30), ((4, 14), (6, 26)), None)
    inside = reference_in(region, ((5, 7), (6, 9)))
    assert inside is not None
    assert np.argwhere(inside).tolist() == [[y, x] for y in (1, 2) for x in (0, 1, 2)]
    assert reference_in(region, None) is None
    for outside in (((0, 3), (6, 9)), ((5, 7), (20, 27)), ((5, 5), (6, 9)), ((-1, 7), (6, 9))):
        with pytest.raises(DataError, match="--strain-reference"):
            reference_in(region, outside)


def test_run_folder_holds_the_maps_and_the_report_shows_them(tmp_path: Path) -> None:
    write_scan(tmp_path / "scan.zarr", half_strained(CATHODE, 1, (0, 0, 1)))
    values = {
        "input": str(tmp_path / "scan.zarr"),
        "phases": list(CATHODE.names),
        "scan": {"template": "hexagon"},
        "region": {"strain_reference": [[0, 6], [0, 5]]},
    }
    run_recipe(parse_recipe(values), tmp_path / "run")
    maps = maps_of_run(tmp_path / "run")
    strain = maps.image("strain_xx")
    assert strain.data.shape == (2, *SHAPE)
    assert np.nanmean(strain.data[1][~LEFT]) == pytest.approx(0.008, abs=0.0015)
    assert maps.image("d_spacing_a").unit == "Å"
    assert all(maps.image(f"strain_{name}_sigma").description for name in ("yy", "xx", "xy"))
    attributes = dict(zarr.open_group(tmp_path / "run" / "phase_map.zarr", mode="r").attrs)
    assert attributes["strain_reference"] == [[0, 6], [0, 5]]
    assert attributes["spacings"][0]["n_reference"] == 30
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert 'alt="Spacing and strain of nmc811-o1"' in report
    assert "The reference: mean spacing" in report
    assert load_summary(tmp_path / "run").warnings == ()
