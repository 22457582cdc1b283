"""The orientations of a run, one per position, for programs of electron backscatter and precession maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.errors import CalibrationError, DataError
from friedel.crystal import load_phases
from friedel.io.maps.types import MapSet
from friedel.pipeline.recipe import load_recipe
from friedel.report.orientation_map import OrientationMap, euler_angles_rad, oriented_phase, zone_frames

_NM_PER_UM = 1000.0


def orientations_of_run(run: Path, maps: MapSet) -> OrientationMap:
    """Return the orientation of the surest phase at each position where one is present.

    It is the fitted one, tilt included, where the scan was mapped by its counts, and that of the zone axis where it was
    mapped by lattices.

    Raises
    ------
    DataError
        If the run has no orientations: a micrograph, or a scan that was mapped by hexagons.
    CalibrationError
        If the step of the scan is not known.
    """
    names = {image.name for image in maps.images}
    if not {"zone_axis", "rotation_deg"} <= names or "t" in {axis.name for axis in maps.image("valid").axes}:
        raise DataError(
            f"{run} holds no orientations: they come from 4D-STEM scans mapped with --template lattice or "
            "counts, not from hexagons or micrographs. Export it as hspy, netcdf, tiff or csv."
        )
    y, x = maps.image("valid").axes
    if y.step is None or x.step is None:
        raise CalibrationError(f"{run} has no scan step, which .ang files need. Map again with --scan-step-nm.")
    crystals = load_phases(load_recipe(run / "recipe.toml").phases).crystals
    rotation, uvw = maps.image("rotation_deg").data, maps.image("zone_axis").data
    presence = np.where(maps.image("valid").data & np.isfinite(rotation), maps.image("presence").data, 0.0)
    surest = presence.argmax(axis=0)
    confidence = presence.max(axis=0)
    phase = np.where(confidence >= maps.facts["min_probability"], surest + 1, 0)
    euler = np.full((*phase.shape, 3), np.nan)
    for p, crystal in enumerate(crystals):
        mine = phase == p + 1
        if "frame" in names:
            frames = maps.image("frame").data[p][:, :, mine].transpose(2, 0, 1)
        else:
            frames = zone_frames(crystal, uvw[p][:, mine].T, rotation[p][mine])
        euler[mine] = euler_angles_rad(frames)
    return OrientationMap(
        tuple(oriented_phase(crystal) for crystal in crystals),
        phase,
        euler,
        np.where(phase > 0, confidence, 0.0),
        _plain(maps, "annular", phase),
        _plain(maps, "bright_field", phase),
        _of_surest(maps, "off_zone_deg", surest),
        (y.step / _NM_PER_UM, x.step / _NM_PER_UM),
    )


def _plain(maps: MapSet, name: str, like: AnyArray) -> FloatArray:
    """Return a map (y, x) of this name, or zeros."""
    found = [image.data for image in maps.images if image.name == name]
    return np.nan_to_num(found[0].astype(np.float64)) if found else np.zeros(like.shape)


def _of_surest(maps: MapSet, name: str, surest: AnyArray) -> FloatArray:
    """Return the values (y, x) of the surest phase in a map (phase, y, x), or zeros."""
    found = [image.data for image in maps.images if image.name == name]
    if not found:
        return np.zeros(surest.shape)
    values = np.take_along_axis(found[0], surest[None], axis=0)[0].astype(np.float64)
    return np.asarray(np.nan_to_num(values))
