"""From what a file states and what the user states to beam and grids; nothing is guessed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from friedel.core import units
from friedel.core.beam import Beam
from friedel.core.errors import CalibrationError
from friedel.core.grids import UNSTATED_RELATIVE_SIGMA, RealGrid, ReciprocalGrid
from friedel.io.describe import Axis, Description
from friedel.io.options import USER_RELATIVE_SIGMA, Kind, ReadOptions

MIN_KEV, MAX_KEV = 1.0, 5000.0


def is_stated(axis: Axis) -> bool:
    """Tell whether an axis has a usable scale; whether its unit means anything is asked of ``core.units``."""
    return axis.scale is not None and math.isfinite(axis.scale) and axis.scale != 0


def is_real(axis: Axis) -> bool:
    """Tell whether an axis is a calibrated length."""
    return is_stated(axis) and units.is_length(axis.unit)


def is_reciprocal(axis: Axis) -> bool:
    """Tell whether an axis is a reciprocal length or an angle, calibrated or not."""
    return units.is_reciprocal_length(axis.unit) or units.is_angle(axis.unit)


def beam(description: Description, options: ReadOptions) -> Beam | None:
    """Beam of the options or else of the file; an impossible energy in the file counts as missing."""
    if options.energy_kev is not None:
        return Beam(options.energy_kev)
    stated = description.energy_kev
    return Beam(stated) if stated is not None and MIN_KEV <= stated <= MAX_KEV else None


def real_grid(path: Path, description: Description, options: ReadOptions) -> RealGrid:
    """Pixel size of a micrograph or series."""
    if options.pixel_size_a is not None:
        return RealGrid((options.pixel_size_a,) * 2, "user", USER_RELATIVE_SIGMA)
    y, x = description.axes[-2:]
    if not (is_real(y) and is_real(x)):
        pattern = (
            "" if options.kind else ", or --kind scan --step-inv-a (1/Å per pixel) if this is a diffraction pattern"
        )
        raise missing(path, description, "pixel size", "--pixel-size-a (Å per pixel)" + pattern)
    return RealGrid((_length_a(y), _length_a(x)), "metadata", UNSTATED_RELATIVE_SIGMA)


def reciprocal_grid(path: Path, description: Description, options: ReadOptions) -> ReciprocalGrid:
    """Scale and centre of the patterns."""
    y, x = description.axes[-2:]
    centre = options.centre_px or _origin_px(y, x) or (y.size // 2, x.size // 2)
    centre_px = (float(centre[0]), float(centre[1]))
    options.check_shape((y.size, x.size))
    if options.step_inv_a is not None:
        return user_grid(ReciprocalGrid((1.0, 1.0), centre_px), options)
    if not (is_stated(y) and is_stated(x) and is_reciprocal(y) and is_reciprocal(x)):
        raise missing(path, description, "scale of the patterns", "--step-inv-a (1/Å per pixel)")
    electrons = beam(description, options)
    return user_grid(
        ReciprocalGrid((_step_inv_a(path, y, electrons), _step_inv_a(path, x, electrons)), centre_px), options
    )


def user_grid(grid: ReciprocalGrid, options: ReadOptions) -> ReciprocalGrid:
    """Lay step and ellipse of the options over a grid."""
    if options.step_inv_a is not None:
        step, sigma = (options.step_inv_a,) * 2, options.step_relative_sigma
        grid = replace(grid, step_inv_a=step, source=options.step_source, relative_sigma=sigma)
    return grid if options.ellipse is None else replace(grid, ellipse=np.array(options.ellipse))


def scan_grid(description: Description, options: ReadOptions) -> RealGrid | None:
    """Step of the scan; None where nobody states it."""
    if options.scan_step_nm is not None:
        return RealGrid((10.0 * options.scan_step_nm,) * 2, "user", USER_RELATIVE_SIGMA)
    steps = [_length_a(axis) for axis in description.axes[:-2] if is_real(axis)]
    if not steps or len(steps) != len(description.axes) - 2:
        return None
    return RealGrid((steps[0], steps[-1]), "metadata", UNSTATED_RELATIVE_SIGMA)


def frame_time_s(description: Description, options: ReadOptions) -> float | None:
    """Seconds per frame; None where nobody states it."""
    if options.frame_time_s is not None:
        if not (math.isfinite(options.frame_time_s) and options.frame_time_s > 0):
            raise CalibrationError(f"The frame time must be a positive number of s, got {options.frame_time_s}.")
        return options.frame_time_s
    time = description.axes[0]
    if not (is_stated(time) and units.is_time(time.unit)):
        return None
    seconds = units.time_s(float(time.scale or 0.0), time.unit)
    return seconds if seconds > 0 else None


def missing(path: Path, description: Description, what: str, option: str) -> CalibrationError:
    """Return the error for a calibration that neither file nor user states."""
    axes = [axis for axis in description.axes[-2:] if axis.scale is not None]
    stated = " and ".join(f"{axis.scale:g} {axis.unit or 'without unit'}" for axis in axes)
    given = f" (its last axes have {stated})" if stated else ""
    return CalibrationError(f"{path}: the file states no {what}{given}. Pass {option}.")


def missing_options(description: Description, kind: Kind, options: ReadOptions) -> tuple[tuple[str, str], ...]:
    """List what a file lacks, and the option that supplies it."""
    y, x = description.axes[-2:]
    known_beam = beam(description, options) is not None
    lacks: list[tuple[str, str]] = []
    if not known_beam:
        lacks.append(("beam energy", "--energy-kev"))
    if kind == "scan":
        has_scale = is_stated(y) and is_stated(x) and is_reciprocal(y) and is_reciprocal(x)
        if options.step_inv_a is None and not has_scale:
            lacks.append(("scale of the patterns", "--step-inv-a"))
        if len(description.axes) == 3 and options.scan_shape is None and not is_real(description.axes[0]):
            lacks.append(("scan shape", "--scan-shape"))
        if len(description.axes) > 2 and scan_grid(description, options) is None:
            lacks.append(("scan step", "--scan-step-nm"))
        return tuple(lacks)
    if options.pixel_size_a is None and not (is_real(y) and is_real(x)):
        lacks.append(("pixel size", "--pixel-size-a"))
    if kind == "series" and frame_time_s(description, options) is None:
        lacks.append(("time per frame", "--frame-time-s"))
    return tuple(lacks)


def _length_a(axis: Axis) -> float:
    return abs(units.length_a(float(axis.scale or 0.0), axis.unit))


def _step_inv_a(path: Path, axis: Axis, electrons: Beam | None) -> float:
    """Step in 1/Å; an angle theta becomes theta / lambda (small angles)."""
    scale = abs(float(axis.scale or 0.0))
    if not units.is_angle(axis.unit):
        return units.reciprocal_length_inv_a(scale, axis.unit)
    if electrons is None:
        raise CalibrationError(
            f"{path}: the patterns are calibrated in {axis.unit}, and turning that into 1/Å takes the beam energy, "
            "which the file lacks. Pass --energy-kev."
        )
    return 1e-3 * units.angle_mrad(scale, axis.unit) / electrons.wavelength_a


def _origin_px(y: Axis, x: Axis) -> tuple[float, float] | None:
    """Pixel where both pattern axes are zero, if the file says so and it lies inside the pattern."""
    if not (is_stated(y) and is_stated(x)) or y.offset == 0 or x.offset == 0:
        return None
    origin = (-y.offset / float(y.scale or 1.0), -x.offset / float(x.scale or 1.0))
    inside = all(0 <= px <= axis.size - 1 for px, axis in zip(origin, (y, x), strict=True))
    return origin if inside else None
