"""The road of a scan gives the right map, and the same bytes however the work is divided."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from friedel.core.arrays import AnyArray, BoolArray
from friedel.core.beam import Beam
from friedel.core.blocks import row_blocks
from friedel.core.errors import CalibrationError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phases
from friedel.identify.counts.hypotheses import SharedFacts
from friedel.identify.counts.matching import CountOptions
from friedel.io import write_scan
from friedel.pipeline.progress import BlockStore
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.region import crop_scan, find_region
from friedel.pipeline.run import RunOptions, run_recipe
from friedel.pipeline.runs.files import load_phase_map
from friedel.pipeline.scans import road
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.result import HexagonFindings, LatticeFindings, ScanResult
from friedel.pipeline.scans.road import ScanOptions, analyse_scan, find_scan_spots, lies_along_zones
from friedel.pipeline.workers import workers
from friedel.simulate.patterns.diffraction import diffract, orient
from friedel.simulate.patterns.noise import Noise, expose
from friedel.simulate.patterns.render import SpotShape, render
from friedel.simulate.patterns.scan import ScanOptions as Simulated
from friedel.simulate.patterns.scan import simulate_nmc811_scan

CATHODE = load_phases(["nmc811-o3", "nmc811-o1"])
#: A coarser bank of templates, to be quick.
QUICK = ScanOptions(template="counts", counts=CountOptions(spacing_deg=5.0, per_phase=6))
SMALL = Simulated((10, 12), (96, 100), step_inv_a=0.0205)


@pytest.fixture(scope="module")
def simulated() -> tuple[PatternScan, PhaseMap]:
    return simulate_nmc811_scan(3, Simulated((20, 26), (112, 112), step_inv_a=0.0185))


@pytest.fixture(scope="module")
def mapped(simulated: tuple[PatternScan, PhaseMap]) -> ScanResult:
    return analyse_scan(simulated[0], CATHODE, QUICK)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> PatternScan:
    """A small scan that is cut into blocks of two rows."""
    scan, _ = simulate_nmc811_scan(5, SMALL)
    monkeypatch.setattr(row_blocks, "__defaults__", (2 * np.asarray(scan.data[0]).nbytes,))
    return scan


def assert_same(one: ScanResult, two: ScanResult) -> None:
    """Same bytes of presence, spots and virtual images."""
    pairs = [
        (one.phase_map.presence, two.phase_map.presence),
        (one.spots.k_inv_a, two.spots.k_inv_a),
        (one.spots.intensity, two.spots.intensity),
        (one.spots.offsets, two.spots.offsets),
        (one.survey.annular, two.survey.annular),
    ]
    assert all(a.tobytes() == b.tobytes() for a, b in pairs)


def recall_and_precision(found: BoolArray, truth: BoolArray) -> tuple[float, float]:
    both = int((found & truth).sum())
    return both / int(truth.sum()), both / max(int(found.sum()), 1)


@pytest.mark.parametrize("phase", [0, 1])
def test_phases_of_the_simulated_cathode_are_found_where_they_are(
    simulated: tuple[PatternScan, PhaseMap], mapped: ScanResult, phase: int
) -> None:
    """At 3000 electrons a pattern; measured on 21 November 2026: recall 0.96 (O3) and 1.00 (O1), precision 1.00."""
    found, truth = (m.presence[..., phase] >= 0.5 for m in (mapped.phase_map, simulated[1]))
    recall, precision = recall_and_precision(found, truth)
    assert recall > 0.85
    assert precision > 0.97


def test_vacuum_and_carbon_are_none(simulated: tuple[PatternScan, PhaseMap], mapped: ScanResult) -> None:
    nothing = (simulated[1].presence < 0.5).all(axis=-1)
    assert (mapped.phase_map.labels()[nothing] != 0).mean() < 0.02


def test_layered_phases_are_told_by_hexagons_unless_another_template_is_asked_for(mapped: ScanResult) -> None:
    assert isinstance(mapped.found, CountFindings)
    scan, _ = simulate_nmc811_scan(5, SMALL)
    assert isinstance(analyse_scan(scan, CATHODE).found, HexagonFindings)
    lattice = analyse_scan(scan, CATHODE, ScanOptions(template="lattice"))
    assert isinstance(lattice.found, LatticeFindings)
    hexagon = analyse_scan(scan, CATHODE, ScanOptions(template="hexagon"))
    assert isinstance(hexagon.found, HexagonFindings)


def test_scale_of_a_good_file_stays(mapped: ScanResult) -> None:
    assert isinstance(mapped.found, CountFindings)
    assert mapped.found.distortion.scale == pytest.approx(1.0, abs=0.006)


@pytest.mark.parametrize(
    ("asked", "template"),
    [("nmc811-o3", "hexagon"), ("nmc811-o3", "counts"), ("nmc811-o3", "lattice"), ("linio2", "lattice")],
)
def test_a_phase_left_out_is_not_bent_into_one_that_is_asked_for(
    simulated: tuple[PatternScan, PhaseMap], asked: str, template: Literal["hexagon", "counts", "lattice"]
) -> None:
    """O1 along [001] has the spots of O3 in another zone, were the camera elliptic by 3 %."""
    scan, truth = simulated
    part = replace(scan, data=scan.data[:8, :8], scan_grid=None)
    there = truth.presence[:8, :8] >= 0.5
    o1_alone = there[..., 1] & ~there[..., 0]
    assert o1_alone.sum() >= 10
    result = analyse_scan(part, load_phases([asked]), replace(QUICK, template=template))
    assert (result.phase_map.presence[o1_alone, 0] >= 0.5).mean() < 0.1
    assert any("nmc811-o1, which is not among the phases" in said for said in result.warnings)
    assert not any("none of the candidate phases" in said for said in result.warnings), "O1 explains the rest"


def test_strains_are_relative_to_the_files_of_the_phases(mapped: ScanResult) -> None:
    """What all positions share is taken into the lattices first, and belongs to their strain all the same."""
    found = mapped.found
    assert isinstance(found, CountFindings)
    shared = replace(SharedFacts.nothing(2), strains=np.array([0.02, -0.01]))
    counted = replace(found, plan=replace(found.plan, shared=shared))
    alone = np.asarray(found.evidence.strain, np.float64)
    assert np.allclose(counted.strain - alone, [0.02, -0.01], atol=0.0005)


def test_drift_of_the_beam_is_followed(mapped: ScanResult) -> None:
    shift = mapped.survey.shift_px.reshape(20, 26, 2)
    assert shift[-1, :, 0].mean() - shift[0, :, 0].mean() == pytest.approx(2.0 * 19 / 20, abs=0.2)
    assert shift[:, -1, 1].mean() - shift[:, 0, 1].mean() == pytest.approx(2.0 * 25 / 26, abs=0.2)


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_wrong_scale_in_the_file_is_learned_and_told(simulated: tuple[PatternScan, PhaseMap], factor: float) -> None:
    scan, truth = simulated
    step = scan.grid.step_inv_a[0] * factor
    wrong = PatternScan(scan.data, ReciprocalGrid((step, step), scan.grid.centre_px), scan.scan_grid, scan.beam)
    result = analyse_scan(wrong, CATHODE, QUICK)
    assert isinstance(result.found, CountFindings)
    assert result.found.distortion.scale == pytest.approx(factor, abs=0.006)
    assert any("The scale is" in warning for warning in result.warnings)
    for phase in (0, 1):
        found, true = (m.presence[..., phase] >= 0.5 for m in (result.phase_map, truth))
        assert min(recall_and_precision(found, true)) > 0.8


def test_region_is_the_crop_of_the_whole(simulated: tuple[PatternScan, PhaseMap], mapped: ScanResult) -> None:
    scan, _ = simulated
    region = find_region(scan.scan_shape, ((4, 16), (5, 23)), None)
    part = analyse_scan(crop_scan(scan, region), CATHODE, QUICK, mask=region.mask)
    whole = mapped.phase_map.labels()[4:16, 5:23]
    assert (part.phase_map.labels() == whole).mean() > 0.97


def test_positions_outside_a_mask_are_not_valid(small: PatternScan) -> None:
    mask = np.zeros(small.scan_shape, dtype=bool)
    mask[2:6, 3:9] = True
    part = analyse_scan(small, CATHODE, QUICK, mask=mask).phase_map
    whole = analyse_scan(small, CATHODE, QUICK).phase_map
    np.testing.assert_array_equal(part.valid, mask)
    assert (part.labels()[~mask] == 0).all()
    np.testing.assert_array_equal(part.labels()[mask], whole.labels()[mask])


def test_dark_positions_are_not_valid_and_are_told(small: PatternScan) -> None:
    data = np.array(small.data)
    data[3, 4:7] = 0
    result = analyse_scan(PatternScan(data, small.grid, small.scan_grid, small.beam), CATHODE, QUICK)
    assert np.argwhere(~result.phase_map.valid).tolist() == [[3, 4], [3, 5], [3, 6]]
    assert any(warning.startswith("3 of 120 positions") for warning in result.warnings)


def test_scan_without_a_single_spot_is_none() -> None:
    """Nothing to fit scale or lattices on, and nothing to tell where crystals lie."""
    rng = np.random.default_rng(1)
    beam = 2000.0 * np.exp(-0.5 * (np.hypot(*(np.indices((96, 96)) - 47.5)) / 1.2) ** 2)
    data = rng.poisson(beam / beam.sum() * 2000.0 + 0.02, (3, 4, 96, 96)).astype(np.uint16)
    scan = PatternScan(data, ReciprocalGrid((0.0205, 0.0205), (47.5, 47.5)), None, Beam(300.0, 0.8))
    assert (analyse_scan(scan, CATHODE, QUICK).phase_map.labels() == 0).all()
    assert isinstance(analyse_scan(scan, CATHODE).found, HexagonFindings)


def o1_along_010(electrons: float, n: int, turn_rad: float = 0.3) -> PatternScan:
    """Patterns of O1 that show rows and rectangles, and no hexagon, each turned by so much."""
    grid, beam, rng = ReciprocalGrid((0.0185, 0.0185), (55.5, 55.5)), Beam(300.0, 0.8), np.random.default_rng(2)
    layer, noise = orient(CATHODE.crystals[1], (0, 1, 0), 1.2), Noise(electrons, halo_share=0.15, halo_width_inv_a=0.15)
    turned = [
        diffract(layer, beam, thickness_a=120.0, rotation_rad=turn_rad * i, tilt_mrad=(2.0, i % 8 - 4.0))
        for i in range(n)
    ]
    drawn = [expose(render(one, grid, (112, 112), SpotShape.of(beam, 0.8)), noise, grid, rng) for one in turned]
    return PatternScan(np.stack(drawn)[:, None], grid, None, beam)


def test_crystals_off_their_six_fold_zones_are_told_by_counts() -> None:
    result = analyse_scan(o1_along_010(5000, 8), CATHODE)
    assert isinstance(result.found, CountFindings)
    assert (result.phase_map.labels() == 2).mean() > 0.7


def test_a_few_electrons_are_enough_to_see_that_crystals_lie_off_their_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few that only some of the patterns show three spots of a crystal, and hardly one shows four."""
    monkeypatch.setattr(road, "NEIGHBOURS_BELOW", 0.0)  # a scan that shows too few crystals would count as along them
    assert not lies_along_zones(o1_along_010(50, 24, 0.13), CATHODE, ScanOptions(), fit_centre=True)


def test_a_scan_too_dim_to_show_crystals_one_by_one_may_hold_them_in_any_orientation() -> None:
    """At 15 electrons no pattern shows a crystal by itself; with its neighbours each does, by counts alone."""
    dim = o1_along_010(15, 40, 0.0)
    assert not lies_along_zones(dim, CATHODE, ScanOptions(), fit_centre=True)
    scan = replace(dim, data=np.asarray(dim.data).reshape(5, 8, *dim.pattern_shape))
    result = analyse_scan(scan, CATHODE)
    assert isinstance(result.found, CountFindings)
    assert (result.phase_map.labels() == 2).mean() > 0.8
    alone = analyse_scan(scan, CATHODE, ScanOptions(template="hexagon"))
    assert (alone.phase_map.labels() == 2).mean() < 0.2


def test_a_phase_without_a_ring_to_look_at_is_told_rather_than_absent_in_silence() -> None:
    scan, _ = simulate_nmc811_scan(5, SMALL)
    alone = analyse_scan(scan, CATHODE, ScanOptions(template="hexagon", annulus_inv_a=(0.35, 0.5)))
    assert any("six-fold zone of nmc811-o3 lies" in warning for warning in alone.warnings)
    whole = analyse_scan(scan, CATHODE, ScanOptions(template="hexagon"))
    assert not any("six-fold zone" in warning for warning in whole.warnings)


def test_counts_need_no_six_fold_ring_on_the_camera() -> None:
    """O3 along [010] on a camera that ends at 0.57 1/Å, short of its ring {110} at 0.70 1/Å."""
    grid, beam, rng = ReciprocalGrid((0.0185, 0.0185), (31.5, 31.5)), Beam(300.0, 0.8), np.random.default_rng(2)
    layer, noise = orient(CATHODE.crystals[0], (0, 1, 0), 1.2), Noise(5000, halo_share=0.15, halo_width_inv_a=0.15)
    turned = [diffract(layer, beam, thickness_a=120.0, rotation_rad=0.3 * i) for i in range(6)]
    drawn = [expose(render(one, grid, (64, 64), SpotShape.of(beam, 0.8)), noise, grid, rng) for one in turned]
    o3 = load_phases(["nmc811-o3"])
    result = analyse_scan(PatternScan(np.stack(drawn)[:, None], grid, None, beam), o3, QUICK)
    assert (result.phase_map.labels() == 1).mean() > 0.6


class Memory(BlockStore):
    """Keeps blocks, and fails after some of them if told so."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.blocks: dict[int, dict[str, AnyArray]] = {}
        self.fail_after = fail_after

    def finished_blocks(self) -> frozenset[int]:
        return frozenset(self.blocks)

    def save_block(self, first_row: int, arrays: dict[str, AnyArray]) -> None:
        if self.fail_after is not None and len(self.blocks) >= self.fail_after:
            raise KeyboardInterrupt
        self.blocks[first_row] = arrays

    def load_block(self, first_row: int) -> dict[str, AnyArray]:
        return self.blocks[first_row]


def analyse(scan: PatternScan, store: BlockStore | None = None, executor: Executor | None = None) -> ScanResult:
    return analyse_scan(scan, CATHODE, QUICK, seed=4, store=store, executor=executor)


def test_resumed_run_gives_the_same_bytes_and_repeats_no_block(small: PatternScan) -> None:
    whole, store = analyse(small), Memory(fail_after=2)
    with pytest.raises(KeyboardInterrupt):
        analyse(small, store)
    assert sorted(store.blocks) == [0, 2]
    kept, store.fail_after = dict(store.blocks), None
    assert_same(analyse(small, store), whole)
    assert sorted(store.blocks) == [0, 2, 4, 6, 8]
    assert all(store.blocks[row] is arrays for row, arrays in kept.items())


def test_two_jobs_give_the_same_bytes_as_one(small: PatternScan) -> None:
    whole = analyse(small)
    with workers(2, None) as executor:
        assert_same(analyse(small, executor=executor), whole)


def test_size_of_the_blocks_changes_nothing(small: PatternScan, monkeypatch: pytest.MonkeyPatch) -> None:
    by_two = analyse(small)
    monkeypatch.setattr(row_blocks, "__defaults__", (1 << 30,))
    assert_same(analyse(small), by_two)


def test_run_folders_of_one_and_two_jobs_and_of_a_resumed_run_agree(
    small: PatternScan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_file = tmp_path / "scan.zarr"
    write_scan(scan_file, small)
    quick = {"counts": {"spacing_deg": 5.0, "per_phase": 6}}
    recipe = parse_recipe({"input": str(scan_file), "phases": list(CATHODE.names), "seed": 4, "scan": quick})
    run_recipe(recipe, tmp_path / "one")
    run_recipe(recipe, tmp_path / "two", RunOptions(jobs=2))

    def stop(step: str, done: int, total: int) -> None:
        if step == "spots" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path / "resumed", progress=stop)
    run_recipe(recipe, tmp_path / "resumed", RunOptions(resume=True))
    one, *others = (load_phase_map(tmp_path / name) for name in ("one", "two", "resumed"))
    assert one.presence.any()
    assert all(other.presence.tobytes() == one.presence.tobytes() for other in others)


def test_spots_alone_need_an_annulus_and_lie_in_it(small: PatternScan) -> None:
    with pytest.raises(CalibrationError, match="--annulus-inv-a"):
        find_scan_spots(small, ScanOptions())
    spots = find_scan_spots(small, ScanOptions(annulus_inv_a=(0.35, 0.5)))
    assert len(spots) > 100
    assert spots.scan_shape == small.scan_shape
    slack = 3 * small.grid.step_inv_a[0]  # the drift of the beam and half a pixel
    assert spots.radius_inv_a.min() > 0.35 - slack
    assert spots.radius_inv_a.max() < 0.5 + slack


def test_phases_outside_the_pattern_name_the_options() -> None:
    scan = PatternScan(np.ones((2, 2, 32, 32)), ReciprocalGrid((0.002, 0.002), (15.5, 15.5)), RealGrid((1.0, 1.0)))
    with pytest.raises(CalibrationError, match="--step-inv-a"):
        analyse_scan(scan, CATHODE, QUICK)
    with pytest.raises(CalibrationError, match="--step-inv-a"):
        analyse_scan(scan, load_phases(["lif"]), ScanOptions())
