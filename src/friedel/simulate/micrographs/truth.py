"""What is in a simulated micrograph: spots of its diffractogram, masks of them, maps of phases and grains."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray, read_only
from friedel.core.errors import DataError
from friedel.core.phase_map import PhaseMap
from friedel.simulate.micrographs.imaging import Imaging
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.specimen import Specimen

#: A spot of the mask ends where its power has fallen to this share of its peak.
MASK_SHARE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class SpotLabels:
    """Spots of a diffractogram, one of each Friedel pair: that with ky > 0, or ky = 0 and kx > 0.

    Parameters
    ----------
    grain
        Number of the grain, from 0, (N,).
    hkl
        Miller indices (N, 3).
    k_true_inv_a
        True frequency (N, 2) in order (ky, kx).
    k_inv_a
        Frequency (N, 2) that one finds with the stated pixel size.
    px
        The same in pixels (N, 2) of the diffractogram, from its centre.
    snr
        Expected power at that frequency over that of the noise there (N,), for a ``diffractogram`` with its standard
        window: the unit of ``Spots.snr``.
    spread_px
        One-sigma width (N, 2, 2), as a covariance, of the peak of the spot's power in pixels: the transform of the
        grain's shape.
    """

    grain: IntArray
    hkl: IntArray
    k_true_inv_a: FloatArray
    k_inv_a: FloatArray
    px: FloatArray
    snr: FloatArray
    spread_px: FloatArray

    def __post_init__(self) -> None:
        for name, ndim, dtype in (("grain", 1, np.int64), ("hkl", 2, np.int64), ("k_true_inv_a", 2, float),
                                  ("k_inv_a", 2, float), ("px", 2, float), ("snr", 1, float),
                                  ("spread_px", 3, float)):  # fmt: skip
            object.__setattr__(self, name, read_only(getattr(self, name), ndim=ndim, name=name, dtype=dtype))

    def __len__(self) -> int:
        return len(self.snr)

    def where(self, keep: BoolArray) -> SpotLabels:
        """Return the spots for which ``keep`` (N,) is true."""
        return SpotLabels(
            self.grain[keep], self.hkl[keep], self.k_true_inv_a[keep], self.k_inv_a[keep], self.px[keep],
            self.snr[keep], self.spread_px[keep],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class MicrographTruth:
    """Everything that is true of a simulated micrograph; the maps are drawn when they are asked for."""

    specimen: Specimen
    imaging: Imaging
    spots: SpotLabels

    @property
    def phase_map(self) -> PhaseMap:
        """Presence 1 of each phase within the outlines of its grains; fringes spill beyond, as in a microscope."""
        return phase_map_of(self.specimen, self.imaging.sampling)

    @property
    def grain_map(self) -> AnyArray:
        """Numbers of the grains, from 1, int16 (layers, y, x); as many layers as grains lie over each other."""
        return grain_map_of(self.specimen, self.imaging.sampling.shape)


def phase_map_of(specimen: Specimen, sampling: Sampling) -> PhaseMap:
    """Draw where each phase of a specimen is."""
    presence = np.zeros((*sampling.shape, len(specimen.phases)), dtype=np.float32)
    for grain in specimen.grains:
        part = presence[(*grain.region.window, specimen.phases.index(grain.crystal.name))]
        np.maximum(part, grain.region.mask, out=part)
    return PhaseMap(specimen.phases, presence, np.ones(sampling.shape, dtype=bool), sampling.grid)


def grain_map_of(specimen: Specimen, shape: tuple[int, int]) -> AnyArray:
    """Draw the number of each grain, from 1, into the lowest layer (layers, y, x) that is free below all of it."""
    layers = [np.zeros(shape, dtype=np.int16)]
    for number, grain in enumerate(specimen.grains, 1):
        window, mask = grain.region.window, grain.region.mask
        free = next((layer for layer in layers if not layer[window][mask].any()), None)
        if free is None:
            free = np.zeros(shape, dtype=np.int16)
            layers.append(free)
        free[window][mask] = number
    return np.stack(layers)


def spot_mask(labels: SpotLabels, shape: tuple[int, int], *, min_snr: float) -> BoolArray:
    """Mark the pixels of the spots in a diffractogram (ky, kx) with its centre at ``(ky // 2, kx // 2)``.

    Each spot of at least ``min_snr`` is an ellipse, to where its power has fallen to a quarter, and its Friedel mate
    another; the pixel nearest to its centre always belongs to it. ``mask[:, kx // 2:]`` is the half with kx >= 0.
    """
    if not min_snr > 0:
        raise DataError(f"min_snr must be positive, got {min_snr}.")
    mask = np.zeros(shape, dtype=bool)
    centre = np.array([shape[0] // 2, shape[1] // 2])
    for px, spread in zip(labels.px[labels.snr >= min_snr], labels.spread_px[labels.snr >= min_snr], strict=True):
        inverse = np.linalg.inv(spread)
        reach = np.ceil(np.sqrt(2 * math.log(1 / MASK_SHARE) * spread.diagonal())).astype(int) + 1
        for middle in (centre + px, centre - px):
            _draw_ellipse(mask, middle, inverse, reach)
    return mask


def _draw_ellipse(mask: BoolArray, middle: FloatArray, inverse: FloatArray, reach: IntArray) -> None:
    nearest = np.rint(middle).astype(int)
    low = np.maximum(nearest - reach, 0)
    high = np.minimum(nearest + reach + 1, mask.shape)
    if (low >= high).any():
        return
    y, x = np.arange(low[0], high[0])[:, None] - middle[0], np.arange(low[1], high[1]) - middle[1]
    fall = 0.5 * (inverse[0, 0] * y**2 + 2 * inverse[0, 1] * y * x + inverse[1, 1] * x**2)
    mask[low[0] : high[0], low[1] : high[1]] |= fall <= math.log(1 / MASK_SHARE)
    if (nearest >= 0).all() and (nearest < mask.shape).all():
        mask[tuple(nearest)] = True


def spot_arrays(labels: SpotLabels) -> dict[str, AnyArray]:
    """Return the columns of a table of spots by the names under which they are stored."""
    names = ("grain", "hkl", "k_true_inv_a", "k_inv_a", "px", "snr", "spread_px")
    return {f"spot_{name}": np.asarray(getattr(labels, name)) for name in names}


def truth_attributes(truth: MicrographTruth) -> dict[str, Any]:
    """Return what describes the whole micrograph, in JSON's types."""
    imaging = truth.imaging
    return {
        "grains": [
            {
                "phase": grain.crystal.name,
                "zone_axis": list(grain.uvw),
                "rotation_deg": grain.rotation_deg,
                "tilt_mrad": list(grain.tilt_mrad),
                "thickness_a": grain.thickness_a,
                "wedge": list(grain.wedge),
                "origin_a": list(grain.origin_a),
                "area_px": grain.region.area_px,
            }
            for grain in truth.specimen.grains
        ],
        "film_a": truth.specimen.film_a,
        "true_matrix_a": imaging.sampling.matrix_a.tolist(),
        "sampling": asdict(imaging.sampling),
        "optics": asdict(imaging.optics),
        "exposure": asdict(imaging.exposure),
        "is_strong": imaging.is_strong,
    }
