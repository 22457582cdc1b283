"""The maps of a run as named arrays with calibrated axes, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from friedel.core.arrays import AnyArray
from friedel.core.errors import DataError, RunFolderError
from friedel.core.grids import RealGrid
from friedel.core.phase_map import PhaseMap
from friedel.io.maps.types import MapAxis, MapImage, MapSet
from friedel.pipeline.runs.files import load_map_attributes, load_summary

#: What the arrays of a phase map hold, and their unit; others go without.
_MEANINGS = {
    "presence": ("how surely the phase is present, 0 to 1", ""),
    "presence_neighbours": ("presence with the say of neighbouring positions (a spatial prior), 0 to 1", ""),
    "label_neighbours": ("as label, of presence_neighbours", ""),
    "label": ("bit i is set where phase i is present at the threshold of the run; 0 where none is", ""),
    "valid": ("False where nothing can be said", ""),
    "amplitude": ("amplitude of the fringes of the phase", ""),
    "bright_field": ("electrons in the transmitted beam", ""),
    "annular": ("electrons in the annulus of the spots", ""),
    "zone_axis": ("nearest zone axis [uvw] of the phase", ""),
    "beam_shift_px": ("transmitted beam relative to centre_px, in pixels of the detector", "px"),
    "rotation_deg": ("rotation about the zone axis, from +kx towards +ky, modulo 180", "deg"),
    "frame": ("axes y, x and beam of the pattern in the crystal's axes, x along a and z along c*", ""),
    "off_zone_deg": ("angle between zone axis and beam", "deg"),
    "strain": ("reciprocal length of the phase over that of its file, minus 1", ""),
    "d_spacing_a": ("spacing of the reflections of the phase that the report names", "Å"),
    "d_spacing_sigma_a": ("its error, one sigma, without that of the scale", "Å"),
    "strain_yy": ("strain along y of the scan, against the reference or the file", ""),
    "strain_yy_sigma": ("its error, one sigma", ""),
    "strain_xx": ("strain along x of the scan, against the reference or the file", ""),
    "strain_xx_sigma": ("its error, one sigma", ""),
    "strain_xy": ("shear strain, half the change of the right angle, against the reference or the file", ""),
    "strain_xy_sigma": ("its error, one sigma", ""),
    "lattice_turn_deg": ("rotation against the reference, from +x towards +y", "deg"),
    "lattice_turn_sigma_deg": ("its error, one sigma", "deg"),
    "log10_false_alarms": ("expected number of equally good matches among random spots, log10", ""),
}
#: Names of an axis after y, x (and the phases, where it has them), and of its elements.
_ELEMENTS = {
    ("beam_shift_px", 0): ("k", ("ky", "kx")),
    ("zone_axis", 1): ("uvw", ("u", "v", "w")),
    ("frame", 1): ("row", ("ky", "kx", "beam")),
    ("frame", 2): ("xyz", ("x", "y", "z")),
}
_A_PER_NM = 10.0


def maps_of_run(run: str | Path) -> MapSet:
    """Read every array of a run's phase map that lies on its grid.

    Returns
    -------
    MapSet
        Maps on the axes (t,) (phase,) (uvw,) y, x; y and x in nm from the corner of the scan or micrograph, or counted
        where the scale is not known. The facts hold kind, phases, threshold, scale and the region of interest.

    Raises
    ------
    RunFolderError
        If this is no finished run.
    """
    run = Path(run)
    require_finished(run)
    summary, attributes = load_summary(run), load_map_attributes(run)
    store = zarr.open_group(run / "phase_map.zarr", mode="r")
    arrays = {name: np.asarray(array) for name, array in sorted(store.arrays(), key=_first_things_first)}
    frame_axes = _axes_of(arrays["valid"].shape, attributes)
    phase = MapAxis("phase", len(summary.phases), labels=summary.phases)
    images = []
    for name, data in arrays.items():
        if data.shape[: len(frame_axes)] != arrays["valid"].shape:
            continue
        extra = _extra_axes(name, data.shape[len(frame_axes) :], phase)
        images.append(_image(name, data, frame_axes, extra))
    kept = ("phases", "min_probability", "scale", "step_px", "roi", "annulus_inv_a")
    facts = {"kind": summary.kind, **{key: attributes[key] for key in kept if key in attributes}}
    return MapSet(tuple(images), facts)


def phase_map_of(maps: MapSet, frame: int | None = None) -> PhaseMap:
    """Return the phase map in maps that were exported and read back, of one frame if they are those of a series."""
    presence, valid = maps.image("presence"), maps.image("valid")
    is_series = presence.axes[0].name == "t"
    if is_series != (frame is not None):
        raise DataError(f"These maps are {'a series: give a frame' if is_series else 'no series: give no frame'}.")
    part: Any = ... if frame is None else frame
    scale = maps.facts["scale"]
    grid = None if scale is None else RealGrid(**{**scale, "step_a": tuple(scale["step_a"])})
    last = np.ascontiguousarray(np.moveaxis(presence.data[part], 0, -1))
    return PhaseMap(tuple(maps.facts["phases"]), last, valid.data[part], grid)


def require_finished(run: Path) -> None:
    """Raise RunFolderError unless a folder is a finished run."""
    if (run / "summary.json").is_file() and (run / "phase_map.zarr").is_dir():
        return
    if run.with_name(f"{run.name}.partial").is_dir() or run.name.endswith(".partial"):
        raise RunFolderError(f"{run} is not finished. Give the same command again with --resume.")
    what = "does not exist" if not run.exists() else "is no run folder (no summary.json and phase_map.zarr)"
    raise RunFolderError(f"{run} {what}. Give the folder that a finished run wrote, the value of its --out.")


def _first_things_first(item: tuple[str, Any]) -> tuple[int, str]:
    names = list(_MEANINGS)
    return names.index(item[0]) if item[0] in names else len(names), item[0]


def _axes_of(shape: tuple[int, ...], attributes: dict[str, Any]) -> tuple[MapAxis, ...]:
    """Return the axes (t,) y, x; positions count from the corner of the whole image, not of the region."""
    scale = attributes["scale"]
    corner = [span[0] for span in attributes.get("roi", [[0], [0]])]
    step_px = int(attributes.get("step_px", 1))
    steps = [None, None] if scale is None else [step / _A_PER_NM for step in scale["step_a"]]
    time = [MapAxis("t", shape[0])] if len(shape) == 3 else []
    for name, size, step, first in zip("yx", shape[-2:], steps, corner, strict=True):
        known = step is not None
        time.append(MapAxis(name, size, step, "nm" if known else "", first / step_px * step if known else 0.0))
    return tuple(time)


def _extra_axes(name: str, shape: tuple[int, ...], phase: MapAxis) -> tuple[MapAxis, ...]:
    """Return the axes after y, x: the phases first, where the length is theirs."""
    axes: list[MapAxis] = []
    for i, size in enumerate(shape):
        if (name, i) in _ELEMENTS:
            axis, labels = _ELEMENTS[name, i]
            axes.append(MapAxis(axis, size, labels=labels))
        elif i == 0 and size == phase.size:
            axes.append(phase)
        else:
            axes.append(MapAxis(f"{name}_{i}", size))
    return tuple(axes)


def _image(name: str, data: AnyArray, frame_axes: tuple[MapAxis, ...], extra: tuple[MapAxis, ...]) -> MapImage:
    """Return a map with y, x last."""
    time, plane = frame_axes[:-2], frame_axes[-2:]
    first = len(time)
    order = [*range(first), *range(first + 2, data.ndim), first, first + 1]
    description, unit = _MEANINGS.get(name, ("", ""))
    return MapImage(name, np.ascontiguousarray(data.transpose(order)), (*time, *extra, *plane), description, unit)
