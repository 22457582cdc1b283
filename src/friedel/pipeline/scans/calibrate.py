"""Calibrating a scan by a standard, or by a phase that is known to be in it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from friedel.core.errors import CalibrationError, RecipeError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern, PatternScan
from friedel.crystal import Crystal, PhaseSet, reflections
from friedel.identify.lattices.zone_map import fit_distortion, fitted_grid
from friedel.identify.lattices.zones import build_templates
from friedel.patterns.descan import DescanPlane, descan_plane
from friedel.patterns.ring_fit import fit_rings
from friedel.patterns.survey import Survey, survey_scan
from friedel.pipeline.progress import Progress
from friedel.pipeline.recipe import load_values
from friedel.pipeline.runs.folder import writing_to
from friedel.pipeline.scans.blocks import BlockPlan, join_spots, run_blocks
from friedel.pipeline.scans.choices import annulus_of_phases, tuned_detector
from friedel.pipeline.scans.result import ScanOptions
from friedel.report.files import write_atomic

#: Relative error that a stored scale may have: what is to be calibrated is not to be believed.
_STORED_SIGMA = 0.03
#: Relative error of published lattice constants: of a standard, and of a phase in a sample, which may be strained.
_STANDARD_SIGMA, _LATTICE_SIGMA = 0.0005, 0.003
#: A fit that strays further, in prior standard deviations, makes the crystal fit the pattern.
_MAX_STRAIN = 2.5
#: Smallest spacing of a standard's rings that is used, and their least share of the light of the brightest.
_D_MIN_A, _MIN_LIGHT = 0.7, 0.01
_Entry = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What was found, and the grid as the next step should take it.

    Parameters
    ----------
    grid
        Step, ellipse and centre; its source is that of the step.
    pattern_shape
        Pixels (ky, kx) of the patterns.
    entries
        By quantity: ``value`` (the unit is in its name), ``sigma`` (None where not known) and ``source``.
    """

    grid: ReciprocalGrid
    pattern_shape: tuple[int, int]
    entries: dict[str, _Entry]


def calibrate_scan(
    scan: PatternScan,
    *,
    standard: Crystal | None = None,
    phases: PhaseSet | None = None,
    executor: Executor | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Calibration:
    """Find centre and descan of a scan, and its scale and ellipse where something in it is known.

    Parameters
    ----------
    standard
        A polycrystal whose rings the mean pattern shows.
    phases
        Phases that are in the scan as single crystals, near any zone axis up to index 2.

    Raises
    ------
    CalibrationError
        If neither rings nor spots fit what is said to be there.
    """
    if standard is not None and phases is not None:
        raise CalibrationError("Calibrate by a standard or by phases of the scan, not by both: pass one of them.")
    low = 0.05 * scan.grid.radius_inv_a(scan.pattern_shape).max()
    annulus = (low, 10 * low) if phases is None else annulus_of_phases(scan, phases, "lattice")
    survey = survey_scan(scan, annulus_inv_a=annulus, executor=executor, progress=partial(progress, "survey"))
    entries = _centre_entries(survey)
    grid = survey.scan.grid
    if standard is not None:
        grid, found = _by_rings(survey, standard)
        entries |= found
    elif phases is not None:
        grid, found = _by_spots(survey, phases, annulus, executor, progress)
        entries |= found
    return Calibration(grid, scan.pattern_shape, entries)


def _centre_entries(survey: Survey) -> dict[str, _Entry]:
    """Centre and descan of a survey."""
    centre = survey.centre
    entries = {"centre_px": _entry(list(centre.px), centre.sigma_px, centre.method)}
    if centre.method == "direct beam" and survey.valid.size > 1:
        plane: DescanPlane = descan_plane(survey.shift_px, survey.valid)
        for name, slope, sigma in zip(("ry", "rx"), plane.slope_px, plane.slope_sigma_px, strict=True):
            entries[f"descan_px_per_{name}"] = _entry(list(slope), sigma, "direct beam")
        entries["wandering_px"] = _entry(plane.left_px, None, "direct beam")
    return entries


def _by_rings(survey: Survey, standard: Crystal) -> tuple[ReciprocalGrid, dict[str, _Entry]]:
    """Fit the rings of the mean pattern."""
    table = reflections(standard, _D_MIN_A)
    light = table.multiplicity * table.f2 / table.radius_inv_a
    keep = light > _MIN_LIGHT * light.max()
    pattern = Pattern(survey.mean_pattern, survey.scan.grid, survey.scan.valid)
    fit = fit_rings(pattern, table.radius_inv_a[keep], light[keep])
    sigma = float(np.hypot(fit.grid.relative_sigma, _STANDARD_SIGMA))
    source = f"{fit.n_points} places on {fit.n_rings} rings of {standard.name}"
    step = fit.grid.step_inv_a[0]
    return replace(fit.grid, relative_sigma=sigma), {
        "centre_px": _entry(list(fit.grid.centre_px), fit.centre_sigma_px, source),
        "step_inv_a": _entry(step, step * sigma, source),
        "scale_over_stored": _entry(fit.scale, fit.scale * sigma, source),
        "ellipticity": _entry(fit.ellipticity, fit.ellipticity_sigma, source),
        "long_axis_deg": _entry(fit.long_axis_deg, None, source),
    }


def _by_spots(
    survey: Survey,
    phases: PhaseSet,
    annulus: tuple[float, float],
    executor: Executor | None,
    progress: Callable[[str, int, int], None],
) -> tuple[ReciprocalGrid, dict[str, _Entry]]:
    """Fit the zone nets of known phases to the spots of all patterns together."""
    options = ScanOptions(template="lattice")
    plan = BlockPlan(tuned_detector(survey, options, annulus, "lattice"), annulus)
    blocks = run_blocks(survey, plan, store=None, executor=executor, progress=progress)
    spots = join_spots(blocks, survey.scan.scan_shape)
    stored = survey.scan.grid
    sigma = max(stored.relative_sigma, _STORED_SIGMA)
    fit = fit_distortion(
        spots,
        build_templates(phases, options.lattice, annulus),
        options.lattice,
        annulus,
        relative_sigma=sigma,
        centre_sigma_inv_a=float(np.mean(stored.step_inv_a)),
    )
    if not fit.n_spots or fit.strain(sigma) > _MAX_STRAIN:
        raise CalibrationError(
            f"The spots fit no zone axis of {', '.join(phases.names)} with a scale within "
            f"{100 * _MAX_STRAIN * sigma:.0f} % of the stored one. Check --phases and --step-inv-a."
        )
    scale_sigma = float(np.hypot(fit.scale_sigma, _LATTICE_SIGMA))
    grid = replace(_one_step(fitted_grid(stored, fit)), relative_sigma=scale_sigma)
    step, source = grid.step_inv_a[0], f"{fit.n_spots} spots of {', '.join(phases.names)}"
    # Shared by n spots, an error of s per spot gives s / sqrt(n) of the centre, and that over their distance of scale.
    centre_sigma = fit.scale_sigma * float(np.sqrt(np.mean(spots.radius_inv_a**2))) / step
    lengths = np.linalg.svd(grid.ellipse)[1]
    return grid, {
        "centre_px": _entry(list(grid.centre_px), centre_sigma, source),
        "step_inv_a": _entry(step, step * grid.relative_sigma, source),
        "scale_over_stored": _entry(1.0 / fit.scale, scale_sigma / fit.scale, source),
        # Spots on all sides fix the sum and the difference of the axes equally well.
        "ellipticity": _entry(float(lengths[0] / lengths[1] - 1.0), 2.0 * fit.scale_sigma, source),
        "long_axis_deg": _entry(_long_axis_deg(grid), None, source),
    }


def _one_step(grid: ReciprocalGrid) -> ReciprocalGrid:
    """Put what differs between the two steps into the ellipse."""
    total = grid.ellipse @ np.diag(grid.step_inv_a)
    step = float(np.sqrt(np.linalg.det(total)))
    return replace(grid, step_inv_a=(step, step), ellipse=total / step)


def _long_axis_deg(grid: ReciprocalGrid) -> float:
    """Azimuth, from +kx towards +ky, of the longest axis of what should be a circle on the detector."""
    axes = np.linalg.svd(np.linalg.inv(grid.ellipse))[0]
    return float(np.degrees(np.arctan2(axes[0, 0], axes[1, 0])) % 180.0)


def _entry(value: Any, sigma: float | None, source: str) -> _Entry:
    return {"value": value, "sigma": sigma, "source": source}


def write_calibration(path: Path, calibration: Calibration, made_from: str) -> None:
    """Write a TOML file: ``[read]`` as in a recipe, for ``--calibration``, and ``[found]`` for the reader.

    Centre and descan are not in ``[read]``: they change from scan to scan, and every analysis finds them anew.
    """
    grid = calibration.grid
    read: dict[str, Any] = {"calibrated_shape": list(calibration.pattern_shape)}
    if "step_inv_a" in calibration.entries:
        read |= {
            "step_inv_a": grid.step_inv_a[0],
            "step_relative_sigma": grid.relative_sigma,
            "step_source": grid.source,
            "ellipse": grid.ellipse.tolist(),
        }
    found = {
        name: {key: value for key, value in entry.items() if value is not None}
        for name, entry in calibration.entries.items()
    }
    text = f"# Calibration from {made_from}\n# Use it with: friedel map SCAN --calibration {path.name}\n\n"
    with writing_to(path):
        write_atomic(path, (text + tomli_w.dumps({"read": read, "found": found})).encode("utf-8"))


def load_calibration(path: Path) -> dict[str, Any]:
    """Return the ``[read]`` section of a calibration; RecipeError if the file has none."""
    values = load_values(path).get("read")
    if not isinstance(values, dict) or "calibrated_shape" not in values:
        raise RecipeError(f"{path}: this is no calibration, it has no [read] section with calibrated_shape.")
    return values
