"""4D-STEM scans of a sample with all that is true of them; patterns are computed when they are read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray, Float32Array
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.simulate.patterns.diffraction import Scattering, SpotPattern, diffract, orient, overlap
from friedel.simulate.patterns.faults import diffract_stack, draw_stack
from friedel.simulate.patterns.noise import Noise, dim_spots, distort, expose, pattern_rng
from friedel.simulate.patterns.render import SpotShape, render
from friedel.simulate.patterns.sample import MIN_COLUMN_SHARE, MIN_THICKNESS_A, Layer, Sample, smooth_field

#: Extent along c of the slabs that the beam sees edge-on.
_EDGE_ON_HEIGHT_A = 250.0
#: No column is thinner than this share of what its layers say.
_THINNEST = 0.1


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How a scan is taken.

    Parameters
    ----------
    pattern_shape
        Pixels (ky, kx).
    step_inv_a
        1/Å per detector pixel, as the file states it.
    scan_step_a
        Distance of neighbouring positions.
    beam
        Energy and convergence.
    noise
        Dose, camera and all else that is the same at every position; the halo and the film are the regions' own.
    spot_blur_px
        One-sigma width of a spot of a parallel beam.
    descan_px
        Drift of the beam over the whole scan, along each axis.
    bend_mrad, thickness_spread
        One-sigma variation over the scan of the mistilt about each axis, and the relative one of the thickness.
    correlation_px
        Over how many positions those vary; 0 for no relation between neighbours.
    scattering
        Model of the intensities.
    """

    pattern_shape: tuple[int, int] = (128, 128)
    step_inv_a: float = 0.0165
    scan_step_a: float = 20.0
    beam: Beam = field(default=Beam(energy_kev=300.0, semi_convergence_mrad=0.8))
    noise: Noise = field(default=Noise(dose_electrons=3000.0))
    spot_blur_px: float = 0.6
    descan_px: float = 2.0
    bend_mrad: float = 2.0
    thickness_spread: float = 0.15
    correlation_px: float = 4.0
    scattering: Scattering = "two-beam"

    @property
    def grid(self) -> ReciprocalGrid:
        """Calibration as the file states it: the beam in the middle of the detector, no distortion."""
        ky, kx = self.pattern_shape
        return ReciprocalGrid((self.step_inv_a,) * 2, ((ky - 1) / 2.0, (kx - 1) / 2.0), source="metadata")

    @property
    def reach_inv_a(self) -> float:
        """Distance of the farthest corner of the detector from the beam, and a little more."""
        return 1.05 * float(np.hypot(*self.pattern_shape)) / 2.0 * self.step_inv_a


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedScan:
    """A scan and what is true of it.

    Parameters
    ----------
    scan
        Electron counts (ry, rx, ky, kx). A pattern is computed whenever it is read, from the seed and its position.
    truth
        Presence 0 or 1 of each phase P: 1 where it fills a tenth of the column and 1.5 nm.
    thickness_a
        Thickness of each phase (ry, rx, P); 0 where there is none.
    zone_axis
        int16 [uvw] of each phase (ry, rx, P, 3); 0 where there is none.
    rotation_deg
        In-plane rotation of each phase (ry, rx, P) from +kx towards +ky; NaN where there is none.
    tilt_mrad
        Mistilt of each phase (ry, rx, P, 2) about the kx and ky axes; NaN where there is none.
    """

    scan: PatternScan
    truth: PhaseMap
    thickness_a: Float32Array
    zone_axis: AnyArray
    rotation_deg: Float32Array
    tilt_mrad: Float32Array

    @property
    def extra(self) -> dict[str, AnyArray]:
        """What goes beside the phase map, by name."""
        names = ("thickness_a", "zone_axis", "rotation_deg", "tilt_mrad")
        return {name: getattr(self, name) for name in names}


def simulate_scan(sample: Sample, acquisition: Acquisition, seed: int) -> SimulatedScan:
    """Simulate a scan of a sample.

    Raises
    ------
    DataError
        If the sample holds no crystal, so that there is no phase to map.
    """
    if not sample.crystals:
        raise DataError("The sample holds no crystal, so that there is no phase to map. Add a region with a layer.")
    patterns = ComputedPatterns(sample, acquisition, seed)
    scan_grid = RealGrid((acquisition.scan_step_a,) * 2)
    scan = PatternScan(patterns, acquisition.grid, scan_grid, acquisition.beam)
    shape = (*sample.where.shape, len(sample.crystals))
    thickness, zone = np.zeros(shape, dtype=np.float32), np.zeros((*shape, 3), dtype=np.int16)
    rotation, tilt = np.full(shape, np.nan, dtype=np.float32), np.full((*shape, 2), np.nan, dtype=np.float32)
    names = tuple(crystal.name for crystal in sample.crystals)
    for i, region in enumerate(sample.regions):
        here = sample.where == i
        # The thinnest first, so that the thickest layer of a phase decides its orientation.
        for layer in sorted(region.layers, key=lambda x: x.thickness_a):
            p = names.index(layer.crystal.name)
            thickness[here, p] += layer.thickness_a * patterns.thickness[here]
            zone[here, p], rotation[here, p] = layer.uvw, layer.rotation_deg
            tilt[here, p] = layer.tilt_mrad + patterns.tilt_mrad[here]
    column = thickness.sum(axis=-1, keepdims=True)
    presence = (thickness >= MIN_THICKNESS_A) & (thickness >= MIN_COLUMN_SHARE * column)
    truth = PhaseMap(names, presence.astype(np.float32), np.ones(shape[:2], dtype=bool), scan_grid)
    return SimulatedScan(scan, truth, thickness, zone, rotation, tilt)


class ComputedPatterns:
    """Patterns (ry, rx, ky, kx) that are computed when they are sliced, the same for any slicing.

    ``thickness`` (ry, rx) is the factor by which all layers are thicker than their mean, ``tilt_mrad`` (ry, rx, 2)
    what bending adds to their mistilt.
    """

    def __init__(self, sample: Sample, acquisition: Acquisition, seed: int) -> None:
        self._sample, self._acquisition, self._seed = sample, acquisition, seed
        layers = [layer for region in sample.regions for layer in region.layers]
        reach_inv_a = acquisition.reach_inv_a
        self._oriented = {(x.crystal.name, x.uvw): orient(x.crystal, x.uvw, reach_inv_a) for x in layers}
        rng = pattern_rng(seed)
        scan_shape = (sample.where.shape[0], sample.where.shape[1])
        fields = [smooth_field(scan_shape, acquisition.correlation_px, rng) for _ in range(3)]
        self.thickness = np.maximum(1.0 + acquisition.thickness_spread * fields[0], _THINNEST)
        self.tilt_mrad = acquisition.bend_mrad * np.stack(fields[1:], axis=-1)
        self.shape = (*scan_shape, *acquisition.pattern_shape)
        self.dtype: np.dtype[Any] = np.dtype(np.uint16 if acquisition.noise.detector.saturation < 65536 else np.uint32)

    def __getitem__(self, key: Any, /) -> AnyArray:
        key = key if isinstance(key, tuple) else (key,)
        positions = np.arange(self.shape[0] * self.shape[1]).reshape(self.shape[:2])[key[:2]]
        patterns = [self.pattern(*divmod(int(i), self.shape[1])) for i in np.ravel(positions)]
        stack = np.asarray(patterns, dtype=self.dtype).reshape(*np.shape(positions), *self.shape[2:])
        return np.asarray(stack[(*[slice(None)] * np.ndim(positions), *key[2:])])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        return np.asarray(self[:], dtype=dtype)

    def pattern(self, ry: int, rx: int) -> AnyArray:
        """Take one pattern (ky, kx)."""
        region, options = self._sample.regions[int(self._sample.where[ry, rx])], self._acquisition
        rng = pattern_rng(self._seed, ry, rx)
        noise = replace(options.noise, halo_share=region.halo_share, amorphous_share=region.amorphous_share)
        layers = [self._spots(layer, ry, rx, rng) for layer in region.layers]
        spots = reduce(overlap, layers) if layers else _EMPTY
        drift = options.descan_px * (np.array([ry, rx]) / self.shape[:2] - 0.5)
        grid = distort(options.grid, replace(noise, shift_y_px=noise.shift_y_px + drift[0],
                                             shift_x_px=noise.shift_x_px + drift[1]))  # fmt: skip
        shape = SpotShape.of(options.beam, options.spot_blur_px)
        share = render(dim_spots(spots, noise, rng), grid, options.pattern_shape, shape)
        return expose(share, noise, grid, rng)

    def _spots(self, layer: Layer, ry: int, rx: int, rng: np.random.Generator) -> SpotPattern:
        options = self._acquisition
        thickness_a = layer.thickness_a * float(self.thickness[ry, rx])
        tilt = layer.tilt_mrad + self.tilt_mrad[ry, rx]
        tilt_mrad, rotation_rad = (float(tilt[0]), float(tilt[1])), float(np.deg2rad(layer.rotation_deg))
        if layer.fault_share:
            in_plan = layer.uvw[2] != 0
            height_a = thickness_a if in_plan else _EDGE_ON_HEIGHT_A
            n_slabs = max(1, round(3.0 * height_a / layer.crystal.cell[2]))
            stack = draw_stack(layer.crystal, n_slabs, layer.fault_share, rng)
            return diffract_stack(stack, layer.uvw, options.beam, thickness_a=thickness_a, rotation_rad=rotation_rad,
                                  tilt_mrad=tilt_mrad, k_max_inv_a=options.reach_inv_a)  # fmt: skip
        oriented = self._oriented[layer.crystal.name, layer.uvw]
        return diffract(oriented, options.beam, thickness_a=thickness_a, rotation_rad=rotation_rad,
                        tilt_mrad=tilt_mrad, scattering=options.scattering)  # fmt: skip


#: The transmitted beam alone.
_EMPTY = SpotPattern(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), np.zeros(0), 1.0)
