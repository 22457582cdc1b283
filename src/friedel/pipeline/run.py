"""Running a recipe: from an input file to a run folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.core.errors import naming
from friedel.core.images import Micrograph, MicrographSeries, PatternScan
from friedel.crystal import PhaseSet
from friedel.identify.grains.table import component_of_spots
from friedel.identify.hexagons.presence import ring_owners
from friedel.io import inspect, read
from friedel.nets.cards import DEFAULT_WEIGHTS, find_card, load_card
from friedel.nets.inference import device_of
from friedel.patterns.survey import virtual_image
from friedel.pipeline.micrographs.report import micrograph_sections
from friedel.pipeline.micrographs.road import analyse_region
from friedel.pipeline.progress import Progress
from friedel.pipeline.recipe import Recipe, dump_recipe, files_of, phases_of
from friedel.pipeline.region import crop_scan, find_region
from friedel.pipeline.runs.files import Summary, plain_values
from friedel.pipeline.runs.folder import RunFolder, open_run
from friedel.pipeline.runs.outcome import Clock, Outcome, answer_of, calibration_entry, write_outcome
from friedel.pipeline.runs.provenance import code_sha256, collect_provenance, sha256_of, sha256_of_text
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.neighbour_report import arrays_with_neighbours, neighbour_sections, words_of_prior
from friedel.pipeline.scans.report import scan_sections
from friedel.pipeline.scans.result import HexagonFindings, LatticeFindings, ScanResult
from friedel.pipeline.scans.road import analyse_scan
from friedel.pipeline.scans.strain import measure_strain, reference_in
from friedel.pipeline.scans.strain_report import strain_sections
from friedel.pipeline.series.outcome import map_series
from friedel.pipeline.workers import ask_worker, workers

Data = PatternScan | Micrograph | MicrographSeries


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a recipe is run; nothing here changes the result.

    Parameters
    ----------
    jobs
        Local processes.
    scheduler
        Address of a Dask scheduler to use instead.
    resume
        Go on with an interrupted run.
    command
        Command line to note in the provenance.
    """

    jobs: int = 1
    scheduler: str | None = None
    resume: bool = False
    command: tuple[str, ...] = ()


def run_recipe(
    recipe: Recipe,
    out: str | Path,
    options: RunOptions | None = None,
    *,
    progress: Progress = lambda step, done, total: None,
) -> Summary:
    """Run a recipe and write its run folder.

    Parameters
    ----------
    out
        The run folder; an earlier run there is replaced when this one is complete.
    progress
        Called with the name of a step, and how much of it is done.

    Raises
    ------
    FriedelError
        Whatever keeps the run from being made; an earlier run at ``out`` stays whole.
    """
    options = options or RunOptions()
    clock = Clock()
    toml = dump_recipe(recipe)
    phases = phases_of(recipe)
    inputs = _input_hashes(recipe, progress)
    provenance = collect_provenance(toml, inputs, seed=recipe.seed, command=options.command)
    key = {"recipe": sha256_of_text(toml), "friedel": provenance.versions.get("friedel", ""), "code": code_sha256()}
    clock.lap("hash")
    with naming(recipe.input):
        data = read(recipe.input, recipe.read)
    doubts = _doubts_of_kind(data, recipe)
    network = _network_wanted(recipe, data)
    weights = _weights_hash(network) if network else {}
    key |= {f"sha256 of {name}": value for name, value in (inputs | weights).items()}
    if network:
        key["network device"] = device_of(network)
    with open_run(out, key, resume=options.resume) as run:
        with naming(recipe.input, *doubts):
            outcome = _analyse(data, recipe, phases, run, options, progress)
        if outcome.network_device:
            provenance = replace(provenance, weights_sha256=weights, network_device=outcome.network_device)
        provenance = replace(provenance, spatial_prior=outcome.spatial_prior)
        outcome = replace(outcome, warnings=(*doubts, *outcome.warnings))
        clock.lap("analyse")
        summary = write_outcome(run, recipe, toml, outcome, provenance, clock)
        progress("report", 1, 1)
    return summary


def _input_hashes(recipe: Recipe, progress: Progress) -> dict[str, str]:
    """Hashes of all files that the result depends on."""
    hashes = {}
    for path in files_of(recipe):
        if not Path(path).exists():
            continue  # reading it gives the better error
        hashes[path] = sha256_of(path, lambda done, total: progress("hash", done, total))
    return hashes


def _doubts_of_kind(data: Data, recipe: Recipe) -> tuple[str, ...]:
    """Tell where a lone image is taken for a pattern only because its scale is stated as that of one."""
    stated = recipe.read.step_inv_a is not None and recipe.read.kind is None
    if not stated or not isinstance(data, PatternScan) or data.scan_shape != (1, 1):
        return ()
    if inspect(recipe.input, replace(recipe.read, step_inv_a=None)).kind == "scan":
        return ()
    words = (
        "The image is taken for a diffraction pattern, since its scale is stated in 1/Å per pixel (--step-inv-a or "
        "--calibration); nothing in the file says so. If it is a micrograph, pass --pixel-size-a instead; if it is a "
        "pattern, --kind scan says so."
    )
    return (words,)


def _network_wanted(recipe: Recipe, data: Data) -> str | None:
    """Return the network that a recipe asks for with data of this kind."""
    if isinstance(data, PatternScan):
        wanted = DEFAULT_WEIGHTS if recipe.scan.denoise == "auto" else recipe.scan.denoise
        return None if wanted == "none" else wanted
    return recipe.micrograph.segmenter if recipe.micrograph.detector == "net" else None


def _weights_hash(network: str) -> dict[str, str]:
    """Hash of a network, by its name and version."""
    card = load_card(find_card(network))
    return {f"{card.name} {card.version}": card.sha256}


def _analyse(
    data: Data, recipe: Recipe, phases: PhaseSet, run: RunFolder, options: RunOptions, progress: Progress
) -> Outcome:
    if isinstance(data, PatternScan):
        return _map_scan(data, recipe, phases, run, options, progress)
    if isinstance(data, Micrograph):
        return _map_micrograph(data, recipe, phases, progress)
    with workers(options.jobs, options.scheduler) as executor:
        return map_series(data, recipe, phases, run, executor, progress)


def _map_scan(
    scan: PatternScan, recipe: Recipe, phases: PhaseSet, run: RunFolder, options: RunOptions, progress: Progress
) -> Outcome:
    region = find_region(scan.scan_shape, recipe.region.roi, recipe.region.roi_mask)
    reference = reference_in(region, recipe.region.strain_reference)
    with workers(options.jobs, options.scheduler) as executor:
        result = analyse_scan(
            crop_scan(scan, region),
            phases,
            recipe.scan,
            mask=region.mask,
            fit_centre=recipe.read.centre_px is None,
            seed=recipe.seed,
            store=run,
            executor=executor,
            progress=progress,
        )
        whole = result.survey.annular
        if not region.is_whole(scan.scan_shape):
            grid = scan.grid.with_centre(result.survey.centre.px)
            whole = virtual_image(
                PatternScan(scan.data, grid, scan.scan_grid, scan.beam, result.survey.scan.valid),
                result.annulus_inv_a,
                executor=executor,
            )
        used = result.denoiser.network.path if result.denoiser else None
        device = ask_worker(device_of, str(used), executor) if used else ""
    strain = measure_strain(result, phases, min_probability=recipe.min_probability, reference=reference)
    arrays, attributes = _scan_arrays(result)
    attributes["roi"] = [list(region.rows), list(region.columns)]
    arrays |= strain.arrays()
    attributes["spacings"] = plain_values([asdict(found) for found in strain.phases])
    attributes["strain_reference"] = recipe.region.strain_reference
    if result.smoothed is not None:
        arrays |= arrays_with_neighbours(result.smoothed.phase_map, recipe.min_probability)
        attributes["neighbours"] = {"number": 4, "strength": round(result.smoothed.strength, 4)}
    return Outcome(
        "scan",
        result.phase_map,
        answer_of(result.phase_map, "scan", recipe.min_probability),
        result.spots,
        _scan_calibration(scan, result, centre_is_given=recipe.read.centre_px is not None),
        (*result.warnings, *strain.warnings),
        lambda: [
            *scan_sections(result, region, whole, recipe.min_probability),
            *neighbour_sections(result, recipe.min_probability),
            *strain_sections(strain, result.phase_map.phases, scan.scan_grid),
        ],
        arrays,
        attributes,
        network_device=device,
        spatial_prior=words_of_prior(result),
    )


def _scan_arrays(result: ScanResult) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Return what the phase map carries beside presence: orientations, virtual images, and where spots lie in px."""
    shape = result.phase_map.valid.shape
    arrays: dict[str, AnyArray] = {
        "bright_field": result.survey.bright_field.astype(np.float32),
        "annular": result.survey.annular.astype(np.float32),
        "beam_shift_px": result.survey.shift_px.reshape(*shape, 2).astype(np.float32),
    }
    grid = result.survey.scan.grid
    attributes: dict[str, Any] = {
        "lookalikes": list(result.lookalikes),
        "annulus_inv_a": list(result.annulus_inv_a),
        "pattern_grid": {**asdict(grid), "ellipse": grid.ellipse.tolist()},
    }
    found = result.found
    if isinstance(found, HexagonFindings):
        owners = ring_owners(found.hexagons, found.rings, len(result.phase_map.phases))
        arrays["hexagon_offsets"] = found.hexagons.offsets
        arrays["hexagon_radius_inv_a"] = found.hexagons.radius_inv_a
        arrays["hexagon_azimuth_rad"] = found.hexagons.azimuth_rad
        arrays["hexagon_phases"] = owners
    else:
        arrays["zone_axis"] = found.uvw.reshape(*shape, -1, 3).astype(np.int16)
        arrays["rotation_deg"] = found.rotation_deg.reshape(*shape, -1).astype(np.float32)
    if isinstance(found, LatticeFindings):
        arrays["log10_false_alarms"] = found.evidence.log10_false_alarms.reshape(*shape, -1).astype(np.float32)
    if isinstance(found, CountFindings):
        evidence = found.evidence
        arrays["frame"] = evidence.frame.reshape(*shape, -1, 3, 3).astype(np.float32)
        arrays["off_zone_deg"] = found.off_deg.reshape(*shape, -1).astype(np.float32)
        arrays["strain"] = found.strain.reshape(*shape, -1).astype(np.float32)
        arrays["log_evidence"] = evidence.single.reshape(*shape, -1).astype(np.float32)
        arrays["log_evidence_foreign"] = evidence.foreign.reshape(shape).astype(np.float32)
        attributes["energy_kev"] = found.plan.beam.energy_kev
    return arrays, attributes


def _scan_calibration(scan: PatternScan, result: ScanResult, *, centre_is_given: bool) -> dict[str, dict[str, Any]]:
    """Return the calibration as used, with where each value is from."""
    survey, stored = result.survey, scan.grid
    out: dict[str, dict[str, Any]] = {
        "step_inv_a": calibration_entry(stored.step_inv_a, stored.source, stored.relative_sigma),
        "centre_px": calibration_entry(survey.scan.grid.centre_px, "user" if centre_is_given else "fitted", None),
        "gain_per_electron": calibration_entry(survey.gain, "fitted", None),
    }
    if isinstance(result.found, HexagonFindings):
        rings = result.found.rings
        out["scale"] = calibration_entry(rings.scale, "fitted", rings.scale_sigma)
    else:
        fit = result.found.distortion
        out["scale"] = calibration_entry(fit.scale, "fitted" if fit.n_spots else stored.source, fit.scale_sigma)
        if fit.n_spots:
            out["anisotropy"] = calibration_entry(fit.anisotropy, "fitted", None)
    if scan.scan_grid is not None:
        out["scan_step_a"] = calibration_entry(
            scan.scan_grid.step_a, scan.scan_grid.source, scan.scan_grid.relative_sigma
        )
    return out


def _map_micrograph(micrograph: Micrograph, recipe: Recipe, phases: PhaseSet, progress: Progress) -> Outcome:
    region = find_region(micrograph.shape, recipe.region.roi, recipe.region.roi_mask)
    result = analyse_region(micrograph, region, phases, recipe.micrograph, progress=progress)
    grid = micrograph.grid
    return Outcome(
        "micrograph",
        result.phase_map,
        answer_of(result.phase_map, "micrograph", recipe.min_probability),
        result.spots,
        {
            "pixel_size_a": calibration_entry(grid.step_a, grid.source, grid.relative_sigma),
            "scale": calibration_entry(result.match.scale, "fitted", result.match.scale_sigma),
        },
        result.warnings,
        lambda: micrograph_sections(micrograph, region, result, recipe.min_probability),
        {"amplitude": result.amplitude},
        {"step_px": result.step_px, "roi": [list(region.rows), list(region.columns)]},
        [component.as_row() for component in result.components],
        {"component": component_of_spots(result.components, len(result.spots))},
        network_device=device_of(recipe.micrograph.segmenter) if result.network is not None else "",
    )
