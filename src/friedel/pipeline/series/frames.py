"""The second look at a series: every frame at the places that the windows have shown, whether or not a spot is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from friedel.core.images import Micrograph
from friedel.identify.grains.fringe_maps import LEAST_RADIUS_INV_A
from friedel.patterns.bragg import (
    BraggSpectrum,
    bragg_spectrum,
    fringe_at,
    fringe_wave_and_weight,
    noise_amplitude,
    power_near,
)
from friedel.patterns.masks import find_holes
from friedel.pipeline.series.windows import Arrays, FrameSource, packed, unpacked

#: Mean over root mean square of the amplitude of noise (Rayleigh).
RAYLEIGH_MEAN = math.sqrt(math.pi) / 2
#: A grain is mapped where its amplitude exceeds half of its plateau over the series, and where noise alone rises in
#: this share of positions; a region must reach a level that noise reaches in the second share somewhere.
HALF, EDGE_CHANCE, SUMMIT_CHANCE = 0.5, 7e-4, 1.8e-6
#: Noise is measured in a ring about a spot, between these multiples of the mask's radius.
NOISE_RING = (1.0, 2.0)


@dataclass(frozen=True, slots=True, eq=False)
class FramePlan:
    """Where every frame is looked at.

    Parameters
    ----------
    source
        The frames.
    shift_px
        Drift (t, 2).
    outlier_sigmas
        See ``FftOptions``.
    k_inv_a
        Position (t, N, 2) of each spot in each frame.
    radius_inv_a, plateau, noise_rms
        Of the mask of each spot, of its amplitude in counts where it fills its region, and of that of noise, (N,).
    grain
        Number of the grain of each spot (N,).
    reach
        Bits of the region that each grain ever fills, on the map's grid (G, bytes).
    core_px
        Where each grain is first and where it is last seen, (2, G, 2), in pixels of the first frame.
    control_inv_a
        Positions (N, J, 2) of the controls of each spot, NaN where there are fewer.
    is_mapped
        Which grains (G,) have a name and are mapped.
    """

    source: FrameSource
    shift_px: FloatArray
    outlier_sigmas: float
    k_inv_a: FloatArray
    radius_inv_a: FloatArray
    plateau: FloatArray
    noise_rms: FloatArray
    grain: IntArray
    reach: AnyArray
    core_px: FloatArray
    control_inv_a: FloatArray
    is_mapped: BoolArray

    def look(self, frame: int) -> Arrays:
        """Measure one frame.

        Returns
        -------
        dict
            ``intensity`` (N,): amplitude of the fringes in counts, less what noise alone gives, integrated over the
            region that the grain ever fills, in counts times nm²; linear in the counts, and 0 on average where there is
            no fringe. ``power`` (2, N) and ``controls`` (2, N, J): squared amplitude over that of noise at the grain's
            cores, of the spots and of their controls. ``mask`` (mapped grains, bytes): bits of their regions.
            ``valid``: bits of the positions that the frame shows.
        """
        shape = self.source.map_shape
        smallest = float(self.radius_inv_a.min(initial=LEAST_RADIUS_INV_A))
        image = self.source.frame(frame)
        spectrum = bragg_spectrum(image, smallest, self.outlier_sigmas)
        valid = self._valid(frame, image)
        reach = unpacked(self.reach, shape) & valid
        intensity = np.zeros(len(self.grain))
        power, controls = np.zeros((2, len(self.grain))), np.full((2, *self.control_inv_a.shape[:2]), np.nan)
        masks = np.zeros((len(self.is_mapped), *shape), dtype=bool)
        for g in range(len(self.is_mapped)):
            box = _box_of(reach[g])
            inside = reach[g][box]
            view = _GrainView(np.zeros(inside.shape, np.float32), np.zeros(inside.shape, np.float32))
            spots = np.flatnonzero(self.grain == g)
            for i in spots.tolist():
                noise = self._noise(spectrum, frame, i)
                intensity[i] = self._add(view, spectrum, frame, i, noise, box, inside)
                power[:, i], controls[:, i] = self._at_cores(spectrum, frame, i, noise)
            if self.is_mapped[g]:
                weight = np.float32(((self.plateau[spots] / self.noise_rms[spots]) ** 2).sum())
                masks[g][box] = _region(view.signal / weight, view.snr2 / np.float32(len(spots)), len(spots)) & inside
        return {"intensity": intensity, "power": power, "controls": controls, "mask": packed(masks[self.is_mapped]),
                "valid": packed(valid[None])}  # fmt: skip

    def _noise(self, spectrum: BraggSpectrum, frame: int, spot: int) -> float:
        """Root mean square amplitude of noise behind the mask of a spot in this frame."""
        radius = float(self.radius_inv_a[spot])
        power = power_near(spectrum, self._k(frame, spot), (NOISE_RING[0] * radius, NOISE_RING[1] * radius))
        return max(noise_amplitude(spectrum, power, radius), 1e-30)

    def _k(self, frame: int, spot: int) -> tuple[float, float]:
        return float(self.k_inv_a[frame, spot, 0]), float(self.k_inv_a[frame, spot, 1])

    def _add(self, view: _GrainView, spectrum: BraggSpectrum, frame: int, spot: int, noise: float,
             box: tuple[slice, slice], inside: BoolArray) -> float:  # fmt: skip
        """Add the fringes of a spot to what is seen of its grain, and return its intensity in counts times nm²."""
        rows, columns = self.source.map_places(self.shift_px[frame])
        wave, share = fringe_wave_and_weight(
            spectrum, self._k(frame, spot), float(self.radius_inv_a[spot]), at_px=(rows[box[0]], columns[box[1]])
        )
        amplitude, local = np.abs(wave), (noise / np.sqrt(share)).astype(np.float32)
        above = amplitude**2 - local**2
        np.add(view.snr2, above / local**2, out=view.snr2)
        np.add(view.signal, above / np.float32(self.noise_rms[spot] ** 2), out=view.signal)
        area_nm2 = math.prod(spectrum.step_a) * self.source.map_step_px**2 / 100
        return float((amplitude - RAYLEIGH_MEAN * local)[inside].sum(dtype=np.float64)) * area_nm2

    def _at_cores(self, spectrum: BraggSpectrum, frame: int, spot: int, noise: float) -> tuple[FloatArray, FloatArray]:
        """Squared amplitude over that of noise at the two cores of a spot's grain: (2,), of its controls (2, J)."""
        radius = float(self.radius_inv_a[spot])
        cores = self.core_px[:, self.grain[spot]] + self.shift_px[frame]
        own = np.abs(fringe_at(spectrum, self._k(frame, spot), radius, cores)) ** 2 / noise**2
        others = np.full((2, self.control_inv_a.shape[1]), np.nan)
        for j, (ky, kx) in enumerate(self.control_inv_a[spot].tolist()):
            if math.isfinite(ky):
                others[:, j] = np.abs(fringe_at(spectrum, (ky, kx), radius, cores)) ** 2 / noise**2
        return own, others

    def _valid(self, frame: int, image: Micrograph) -> BoolArray:
        """Positions (y, x) of the map that lie inside a frame, in the region of interest, and in no hole of it."""
        mask = self.source.region.mask
        if image.replaced is not None:
            mask = mask & ~find_holes(image.replaced)
        if self.source.bar is not None:
            mask = mask & ~self.source.bar
        rows, columns = (np.rint(places).astype(int) for places in self.source.map_places(self.shift_px[frame]))
        inside = ((rows >= 0) & (rows < mask.shape[0]))[:, None] & ((columns >= 0) & (columns < mask.shape[1]))
        seen = mask[np.ix_(rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1))]
        return np.asarray(inside & seen)


@dataclass(frozen=True, slots=True, eq=False)
class _GrainView:
    """Sums over the spots of a grain (y, x): fringe power over that of noise in the series, and in this frame."""

    signal: Float32Array
    snr2: Float32Array


def _box_of(mask: BoolArray) -> tuple[slice, slice]:
    """Smallest box that holds a mask (y, x)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _region(share2: Float32Array, snr2: Float32Array, n_spots: int) -> BoolArray:
    """Region (y, x) of a grain, from its squared amplitude over that of its plateau and over that of noise."""
    edge, summit = (float(special.gammainccinv(n_spots, p)) / n_spots - 1 for p in (EDGE_CHANCE, SUMMIT_CHANCE))
    mask = (share2 > HALF**2) & (snr2 > edge)
    return np.asarray(ndimage.binary_propagation(mask & (snr2 > summit), mask=mask))
