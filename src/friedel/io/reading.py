"""Reading any known file into a scan, a micrograph or a series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from friedel.core.arrays import FloatArray, LazyArray
from friedel.core.errors import CalibrationError, DataError, UnsupportedFileError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, MicrographSeries, PatternScan
from friedel.io import calibrate, own
from friedel.io.describe import Axis, Description
from friedel.io.guard import GuardedArray, GuardedFile
from friedel.io.limits import Limits
from friedel.io.options import USER_RELATIVE_SIGMA, Kind, ReadOptions
from friedel.io.views import Lifted, Part, Reframed, Turned

#: Fewest and most axes that each kind of input may have.
_NDIM = {"scan": (2, 4), "micrograph": (2, 2), "series": (2, 3)}
_TURNED = (
    "The scan is stored inside the patterns, as (ky, kx, ry, rx): each block of rows is gathered from the whole file. "
    "Where that is slow, copy it once: fr.write_scan('copy.zarr', fr.read(FILE))."
)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a file holds, as ``friedel info`` prints it.

    Parameters
    ----------
    missing
        What the file lacks for its kind, each with the option that supplies it.
    notes
        Choices made while reading.
    """

    path: Path
    format_name: str
    kind: Kind
    shape: tuple[int, ...]
    dtype: str
    axes: tuple[Axis, ...]
    energy_kev: float | None
    missing: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def inspect(path: str | Path, options: ReadOptions | None = None, limits: Limits | None = None) -> FileInfo:
    """Describe a file without reading its data; FileError subclasses say why one cannot be read."""
    file, options = GuardedFile(path, limits), options or ReadOptions()
    found = in_order(file.description)
    kind = find_kind(file.path, found, options)
    beam = calibrate.beam(found, options)
    notes = found.notes
    if found.energy_kev is not None and beam is None:
        notes = (*notes, f"The beam energy in the file, {found.energy_kev:g} keV, is impossible and ignored.")
    lacks = calibrate.missing_options(found, kind, options)
    energy = beam.energy_kev if beam else None
    return FileInfo(file.path, found.format_name, kind, found.shape, found.dtype, found.axes, energy, lacks, notes)


def read(
    path: str | Path, options: ReadOptions | None = None, limits: Limits | None = None
) -> PatternScan | Micrograph | MicrographSeries:
    """Read a file, or a folder of images, of any known format.

    Parameters
    ----------
    path
        The file. Scans and series stay on disk and are read when sliced, by a child process within ``limits``.
    options
        What the user knows better than the file; it overrides what the file states.
    limits
        Memory and time that opening the file, or reading one block, may take.

    Returns
    -------
    PatternScan, Micrograph or MicrographSeries
        What the file is, from the number of its axes and their units, or ``options.kind``.

    Raises
    ------
    FileError
        One of its six subclasses, or itself for a missing file.
    CalibrationError
        If a scale is missing, or that of a micrograph is stated for a scan; the message names the right option.
    """
    file, options = GuardedFile(path, limits), options or ReadOptions()
    kind = find_kind(file.path, file.description, options)
    if options.frames is not None and kind != "series":
        raise DataError(f"{file.path}: --frames selects frames of a series, but this is a {kind}.")
    if kind == "scan":
        if options.pixel_size_a is not None:
            raise CalibrationError(
                f"{file.path}: --pixel-size-a is the scale of a micrograph, but this is a scan. State the scale of its "
                "patterns with --step-inv-a (1/Å per pixel), the distance of its positions with --scan-step-nm."
            )
        return _scan(file, options)
    grid = calibrate.real_grid(file.path, file.description, options)
    beam = calibrate.beam(file.description, options)
    if kind == "micrograph":
        return Micrograph.mended(np.asarray(GuardedArray(file)), grid, beam)
    return _series(file, grid, options)


def find_kind(path: Path, found: Description, options: ReadOptions) -> Kind:
    """Tell what a file is; UnsupportedFileError if it is nothing that friedel analyses."""
    ndim = len(found.shape)
    if not 2 <= ndim <= 4:
        raise UnsupportedFileError(
            path, f"it holds an array of shape {found.shape}", "friedel reads images, stacks and scans: 2 to 4 axes."
        )
    kind = options.kind or _guess_kind(found, options)
    fewest, most = _NDIM[kind]
    if not fewest <= ndim <= most:
        raise UnsupportedFileError(path, f"shape {found.shape} is not that of a {kind}", "Pass the right --kind.")
    return kind


def in_order(found: Description) -> Description:
    """Name the axes of a scan in the order (ry, rx, ky, kx); some programs store them as (ky, kx, ry, rx)."""
    axes = found.axes
    if len(axes) != 4 or not (calibrate.is_reciprocal(axes[0]) and calibrate.is_real(axes[-1])):
        return found
    scan = tuple(replace(axis, role="navigate") for axis in axes[2:])
    pattern = tuple(replace(axis, role="signal") for axis in axes[:2])
    return replace(found, axes=(*scan, *pattern), notes=(*found.notes, _TURNED))


def _guess_kind(found: Description, options: ReadOptions) -> Kind:
    """Guess from the number of axes, then from what the user states, then from the units and the format."""
    if len(found.shape) == 4:
        return "scan"
    flat: Kind = "micrograph" if len(found.shape) == 2 else "series"
    if options.step_inv_a is not None or options.scan_shape is not None:
        return "scan"
    if options.pixel_size_a is not None:
        return flat
    is_scan = calibrate.is_reciprocal(found.axes[-1]) or found.is_scan
    return "scan" if is_scan else flat


def _scan(file: GuardedFile, options: ReadOptions) -> PatternScan:
    data, found = _framed(file, options), in_order(file.description)
    if found.calibration is not None:
        return _override(own.rebuild_scan(data, found.calibration), options)
    return PatternScan(
        data,
        calibrate.reciprocal_grid(file.path, found, options),
        calibrate.scan_grid(found, options),
        calibrate.beam(found, options),
    )


def _override(scan: PatternScan, options: ReadOptions) -> PatternScan:
    """Let the user's options override the calibration of a file that friedel wrote."""
    scan_grid, beam = scan.scan_grid, scan.beam
    options.check_shape(scan.pattern_shape)
    grid = calibrate.user_grid(scan.grid, options)
    if options.centre_px is not None:
        grid = grid.with_centre(options.centre_px)
    if options.scan_step_nm is not None:
        scan_grid = RealGrid((10.0 * options.scan_step_nm,) * 2, "user", USER_RELATIVE_SIGMA)
    if options.energy_kev is not None:
        beam = calibrate.beam(Description("", "", ()), options)
    return replace(scan, grid=grid, scan_grid=scan_grid, beam=beam)


def _framed(file: GuardedFile, options: ReadOptions) -> LazyArray:
    """Give the patterns their scan shape (ry, rx)."""
    stored, wanted = GuardedArray(file), options.scan_shape
    array = stored if in_order(file.description) is file.description else Turned(stored)
    lead = array.shape[:-2]
    if len(lead) == 1 and wanted is not None:
        if wanted[0] * wanted[1] != lead[0]:
            raise CalibrationError(
                f"{file.path}: a scan of {wanted[0]} x {wanted[1]} takes {wanted[0] * wanted[1]} patterns, "
                f"the file holds {lead[0]}. Mend --scan-shape NY,NX."
            )
        return Reframed(array, wanted)
    if len(lead) == 1 and lead[0] > 1 and not calibrate.is_real(file.description.axes[0]):
        raise CalibrationError(
            f"{file.path}: the file holds {lead[0]} patterns and does not tell the shape of the scan. "
            "Pass --scan-shape NY,NX."
        )
    lifted = Lifted(array, 4)
    if wanted is not None and wanted != lifted.shape[:2]:
        raise CalibrationError(f"{file.path}: --scan-shape {wanted} contradicts the file's {lifted.shape[:2]}.")
    return array if array.ndim == 4 else lifted


def _series(file: GuardedFile, grid: RealGrid, options: ReadOptions) -> MicrographSeries:
    array = GuardedArray(file)
    frames: LazyArray = array if array.ndim == 3 else Lifted(array, 3)
    start, stop = options.frames or (0, frames.shape[0])
    if not 0 <= start < stop <= frames.shape[0]:
        raise DataError(f"{file.path}: --frames {start}:{stop} does not fit its {frames.shape[0]} frames.")
    if (start, stop) != (0, frames.shape[0]):
        frames = Part(frames, start, stop)
    seconds = calibrate.frame_time_s(file.description, options)
    time_s: FloatArray | None = None
    if seconds is not None:
        time_s = np.asarray(np.arange(start + 1, stop + 1) * seconds, np.float64)
    dose: FloatArray | None = None
    if options.dose_rate_e_per_a2_s is not None:
        if time_s is None:
            raise CalibrationError(f"{file.path}: a dose takes the time per frame as well. Pass --frame-time-s.")
        dose = np.asarray(time_s * options.dose_rate_e_per_a2_s, np.float64)
    return MicrographSeries(frames, grid, calibrate.beam(file.description, options), time_s, dose)
