"""What a run found at one position of a scan: presence, orientations, and where it lies on the pattern."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from friedel.core.arrays import AnyArray
from friedel.core.beam import Beam
from friedel.core.errors import CrystalError, DataError
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import load_phase, zone_net
from friedel.identify.lattices.zones import turned
from friedel.pipeline.runs.files import load_map_attributes, load_phase_map, load_spots, plain_values
from friedel.pipeline.scans.outlines import diamonds, hexagon_owner, near_sphere
from friedel.report.colours import phase_colours
from friedel.report.diffraction import Outline, hexagon

#: Presence from which the reflections of a phase are drawn.
_DRAWN = 0.1
#: Orientation of each phase (y, x, P, ...), as far as the template finds it.
_ORIENTATION = ("zone_axis", "rotation_deg", "off_zone_deg", "frame")


def evidence_at(folder: Path, y: int, x: int, sources: Sequence[str]) -> dict[str, Any]:
    """Say what was found at a position (y, x) of the map of a scan.

    Parameters
    ----------
    sources
        Names or files that the phases are loaded from, in the map's order.

    Returns
    -------
    dict
        ``candidates`` with presence and orientation; ``spots`` (ky, kx, snr) and ``outlines``, hexagons or the marks
        of reflections, in pixels of the pattern about its own beam.
    """
    found, attributes = load_phase_map(folder), load_map_attributes(folder)
    ny, nx = found.valid.shape
    if not (0 <= y < ny and 0 <= x < nx):
        raise DataError(f"The map has {ny} x {nx} positions, got {y}, {x}.")
    if "pattern_grid" not in attributes:
        raise DataError(f"{folder.name} does not say where its spots lie on the patterns. Map the scan again.")
    store = zarr.open_group(folder / "phase_map.zarr", mode="r")
    grid, index = _grid_at(store, attributes["pattern_grid"], y, x), y * nx + x
    presence, colours = found.presence[y, x], phase_colours(found.phases)
    oriented = {name: np.asarray(store[name][y, x]) for name in _ORIENTATION if name in store}
    if "hexagon_offsets" in store:
        outlines = _hexagons(store, index, presence, colours)
    else:
        outlines = _reflections(oriented, attributes, presence, colours, sources)
    spots = load_spots(folder).of(index)
    rows = [
        {"phase": name, "colour": colour, "presence": presence[p], **_orientation(oriented, p)}
        for p, (name, colour) in enumerate(colours.items())
    ]
    out: dict[str, Any] = plain_values(
        {
            "y": y,
            "x": x,
            "valid": bool(found.valid[y, x]),
            "candidates": rows,
            "spots": np.column_stack([grid.px_of(spots.k_inv_a), spots.snr]).tolist() if len(spots) else [],
            "outlines": [
                {"label": o.label, "colour": o.colour, "px": grid.px_of(o.vertices_inv_a).tolist()} for o in outlines
            ],
        }
    )
    return out


def _grid_at(store: Any, stored: dict[str, Any], y: int, x: int) -> ReciprocalGrid:
    """Calibration about the beam of one position."""
    tuples = {key: tuple(stored[key]) for key in ("step_inv_a", "centre_px")}
    grid = ReciprocalGrid(**{**stored, **tuples, "ellipse": np.array(stored["ellipse"])})
    shift = store["beam_shift_px"][y, x]
    return grid.with_centre((grid.centre_px[0] + float(shift[0]), grid.centre_px[1] + float(shift[1])))


def _orientation(oriented: dict[str, AnyArray], p: int) -> dict[str, Any]:
    """Zone axis, rotation about it and angle to the beam of a phase; None where it has none here."""
    rotation = oriented["rotation_deg"][p] if "rotation_deg" in oriented else np.nan
    if not np.isfinite(rotation) or not oriented["zone_axis"][p].any():
        return {"zone": None, "rotation_deg": None, "off_zone_deg": None}
    off = float(oriented["off_zone_deg"][p]) if "off_zone_deg" in oriented else None
    return {"zone": oriented["zone_axis"][p].tolist(), "rotation_deg": float(rotation), "off_zone_deg": off}


def _hexagons(store: Any, index: int, presence: AnyArray, colours: dict[str, str]) -> list[Outline]:
    first, last = (int(i) for i in store["hexagon_offsets"][index : index + 2])
    radius, azimuth, owners = (
        np.asarray(store[f"hexagon_{name}"][first:last]) for name in ("radius_inv_a", "azimuth_rad", "phases")
    )
    return [
        hexagon(*hexagon_owner(owners[j], presence, colours), float(radius[j]), float(azimuth[j]))
        for j in range(len(radius))
    ]


def _reflections(
    oriented: dict[str, AnyArray],
    attributes: dict[str, Any],
    presence: AnyArray,
    colours: dict[str, str],
    sources: Sequence[str],
) -> list[Outline]:
    """Mark the reflections of each phase that is not ruled out, in the orientation that was found."""
    out = []
    low, high = attributes["annulus_inv_a"]
    for p, (name, colour) in enumerate(colours.items()):
        facts = _orientation(oriented, p)
        if presence[p] < _DRAWN or facts["zone"] is None:
            continue
        try:
            crystal = load_phase(sources[p])
        except CrystalError:
            continue  # its file is not there any more; presence and zone axis are shown all the same
        if "frame" in oriented:
            nodes = near_sphere(crystal, oriented["frame"][p], Beam(attributes["energy_kev"]), (low, high))
        else:
            net = zone_net(crystal, np.array(facts["zone"]), high)
            nodes = turned(net.k_inv_a[~net.is_extinct], float(np.deg2rad(facts["rotation_deg"])))
        out += diamonds(nodes, f"{name} [{' '.join(map(str, facts['zone']))}]", colour, high)
    return out
