"""The road of a micrograph: the region of interest, and its components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from friedel.core.errors import DataError
from friedel.core.images import Micrograph
from friedel.crystal import PhaseSet
from friedel.identify.grains.components import ComponentOptions, MicrographResult, map_micrograph, words_for_holes
from friedel.patterns.masks import find_burned_in_bar, find_holes
from friedel.patterns.repair import saturated_share
from friedel.pipeline.progress import Progress
from friedel.pipeline.region import Region

#: Smaller images have too few pixels for a spectrum in which spots stand out.
_LEAST_SIDE_PX = 32
#: Share of saturated pixels from which on they are told.
_SATURATED_SHARE = 1e-3


def analyse_region(
    micrograph: Micrograph,
    region: Region,
    phases: PhaseSet,
    options: ComponentOptions,
    *,
    progress: Progress = lambda step, done, total: None,
) -> MicrographResult:
    """Map the phases of the bounding box of a region; positions outside the region are not valid in the map.

    Raises
    ------
    DataError
        If the box is smaller than 32 x 32 pixels, or shows nothing at all.
    """
    data = np.asarray(micrograph.data[slice(*region.rows), slice(*region.columns)])
    if min(data.shape) < _LEAST_SIDE_PX:
        raise DataError(f"A region of {data.shape} pixels is too small for an FFT; at least 32 x 32 are needed.")
    if float(np.ptp(data)) == 0.0:
        raise DataError("The image is flat: every pixel has the same value. Is this the right file, or frame?")
    bar = find_burned_in_bar(data)
    saturated = saturated_share(data[~bar])
    if bar.any():
        data = np.where(bar, np.median(data[~bar]), data)
    replaced = None if micrograph.replaced is None else micrograph.replaced[slice(*region.rows), slice(*region.columns)]
    if replaced is not None and not replaced.any():
        replaced = None
    part = Micrograph(data, micrograph.grid, micrograph.beam, replaced)
    result = map_micrograph(part, phases, options, progress=progress)
    warnings = result.warnings
    if bar.any():
        warnings = (
            *warnings,
            "A scale bar is burned into the image; it was painted over, and is not valid in the map.",
        )
    if saturated > _SATURATED_SHARE:
        words = (
            f"{100 * saturated:.2g} % of the pixels show the largest value: they are saturated. Cut-off fringes have "
            "harmonics, spots at twice or three times their frequency that no lattice made, and false powers."
        )
        warnings = (*warnings, words)
    holes = np.zeros_like(bar)
    if replaced is not None:
        holes = find_holes(replaced)
    if holes.any():
        warnings = (*warnings, words_for_holes(int(np.count_nonzero(holes))))
    outside = (~region.mask | bar | holes)[:: result.step_px, :: result.step_px]
    if not outside.any():
        return replace(result, warnings=warnings)
    presence = np.where(outside[..., None], np.float32(0.0), result.phase_map.presence)
    return replace(result, phase_map=replace(result.phase_map, presence=presence, valid=~outside), warnings=warnings)
