"""The bank of templates: what every phase shows along every beam direction, ready for fast comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import fft

from friedel.core.arrays import AnyArray, Float32Array, FloatArray, IntArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.crystal import Crystal, PhaseSet, all_reflections, zone_axes
from friedel.identify.orientations import beam_directions, frames_of, proper_rotations

#: Width in 1/Å of the fall of intensity with the excitation error that templates are picked and drawn with; wide, since
#: the tilt is refined later.
_PICK_BLUR_INV_A = 0.01
#: Tilt in mrad up to which a template is refined; reflections that it may bring up belong to the template.
MAX_TILT_MRAD = 30.0
#: Excitation error in 1/Å beyond which a reflection is dark, at the best tilt within reach.
_LIT_INV_A = 0.025
#: Share of the brightest reflection below which a reflection of a template is left out.
_FAINT = 2e-3
_MAX_REFLECTIONS = 48
#: One sigma of the strain of a crystal along its unique axis, beyond that of its phase, where nothing is known of it.
USUAL_AXIAL = 0.01
#: Log odds, before looking, of a direction along an axis of indices 0 and ±1 over an even spread of directions: half of
#: all crystals lie so, but a hundredth of all directions, those within two degrees of such an axis (ln 50 = 3.9).
_LOW_INDEX = 4.0
#: Steps of azimuth, how many of its Fourier coefficients are kept, and most steps of radius.
AZIMUTHS, FREQUENCIES, MAX_RADII = 120, 48, 48
#: Whole numbers that stand for a coefficient: 2 * 48 products of 255 * 255 stay below 2^24.
LEVELS = 255


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """Fourier coefficients over azimuth of the polar pictures of the templates of a phase.

    Parameters
    ----------
    rows
        Radii (L,) at which any of them has a reflection: a third of all, or less.
    coefficients
        In whole numbers up to ``LEVELS`` (F, 2 L, T): the real parts at these radii, then the imaginary ones.
    length
        Largest root of the sum of their squares (F,).
    """

    rows: IntArray
    coefficients: Float32Array
    length: Float32Array

    @classmethod
    def of(cls, rows: IntArray, coefficients: Float32Array) -> Spectra:
        """Measure the length of coefficients."""
        length2 = np.einsum("frt,frt->ft", coefficients, coefficients).max(axis=1)
        return cls(rows, coefficients, np.sqrt(length2))


@dataclass(frozen=True, slots=True, eq=False)
class TemplateBank:
    """Templates of all phases (T), padded to the same number of reflections (J).

    Parameters
    ----------
    phase
        Index of the phase (T,); templates of a phase are consecutive.
    frame
        Rows ky, kx and beam direction (T, 3, 3) in the crystal's Cartesian axes.
    g_inv_a
        Reflections (T, J, 3) in components (ky, kx, beam).
    axis
        Unique axis of the crystal (T, 3) in these components, 0 where it has none.
    axial_sigma
        One sigma of the strain of a crystal of each phase (P,) along that axis, beyond that of the phase.
    coupling2
        Square of the inverse extinction distance, in 1/Å² (T, J); 0 where padded.
    log_prior
        Log odds of each template's direction (T,), before looking, over an even spread of directions.
    radii_inv_a
        Radial grid (R,) of the polar pictures.
    spectra
        Of each phase (P): Fourier coefficients over azimuth of the polar pictures of unit norm.
    curvature_a
        Half the wavelength: a reflection in the plane of a zone has the excitation error -g^2 times this.
    """

    phase: IntArray
    frame: FloatArray
    g_inv_a: FloatArray
    axis: FloatArray
    axial_sigma: FloatArray
    coupling2: FloatArray
    log_prior: FloatArray
    radii_inv_a: FloatArray
    spectra: tuple[Spectra, ...]
    curvature_a: float

    def members(self, phase: int) -> slice:
        """Templates of a phase."""
        first, last = np.searchsorted(self.phase, [phase, phase + 1])
        return slice(int(first), int(last))

    def strained(self, strains: FloatArray, axial: FloatArray, axial_sigma: FloatArray | None = None) -> TemplateBank:
        """Lengthen the reciprocal lattice of each phase (P,), and further along its unique axis (P,).

        The polar pictures, coarser than that, stay; so does ``axial_sigma`` (P,) unless given.
        """
        along = (self.g_inv_a * self.axis[:, None]).sum(axis=2) * axial[self.phase][:, None]
        g = self.g_inv_a + along[..., None] * self.axis[:, None]
        g = g * (1.0 + strains[self.phase])[:, None, None]
        return replace(self, g_inv_a=g, axial_sigma=self.axial_sigma if axial_sigma is None else axial_sigma)


def _typical(s_inv_a: FloatArray, coupling2: FloatArray) -> FloatArray:
    """Rough brightness of reflections: two-beam theory averaged over thickness, with a wide fall with s."""
    return np.asarray(coupling2 / (1.0 + s_inv_a**2 / (coupling2 + _PICK_BLUR_INV_A**2)))


def affordable_spacing_deg(phases: PhaseSet, spacing_deg: float) -> float:
    """Spacing of beam directions, at least that wanted, at which a bank of all phases stays affordable.

    Low symmetries need many directions; a fine bank of ten monoclinic phases would take gigabytes.
    """
    domain = 4.0 * np.pi * sum(1.0 / len(proper_rotations(crystal)) for crystal in phases.crystals)
    n = domain / (np.sqrt(0.75) * np.deg2rad(spacing_deg) ** 2)
    return float(spacing_deg * np.sqrt(max(n / _MAX_TEMPLATES, 1.0)))


_Key = tuple[object, ...]
_BUILT: dict[_Key, TemplateBank] = {}
#: Templates that a bank may hold, about; 20 kB each at most.
_MAX_TEMPLATES = 12_000
#: Banks that a process keeps: one for the scan at hand, one for a scan before; and phases, for both to share.
_MAX_BUILT, _MAX_KEPT = 2, 8


def shared_bank(
    phases: PhaseSet, beam: Beam, annulus_inv_a: tuple[float, float], *, spacing_deg: float, radial_step_inv_a: float
) -> TemplateBank:
    """Bank of equal content, built once in each process, so that parallel work need not carry it along."""
    crystals = tuple((c.cell, c.sites, c.space_group.rotations.tobytes(), c.space_group.translations.tobytes())
                     for c in phases.crystals)  # fmt: skip
    key: _Key = (crystals, beam.energy_kev, annulus_inv_a, spacing_deg, radial_step_inv_a)
    if key not in _BUILT:
        while len(_BUILT) >= _MAX_BUILT:
            _BUILT.pop(next(iter(_BUILT)))
        _BUILT[key] = build_bank(
            phases, beam, annulus_inv_a, spacing_deg=spacing_deg, radial_step_inv_a=radial_step_inv_a
        )
    return _BUILT[key]


def build_bank(
    phases: PhaseSet, beam: Beam, annulus_inv_a: tuple[float, float], *, spacing_deg: float, radial_step_inv_a: float
) -> TemplateBank:
    """Compute the templates of all phases.

    Parameters
    ----------
    spacing_deg
        Angle between neighbouring beam directions.
    radial_step_inv_a
        Least step of the polar pictures; about a pixel.
    """
    low, high = annulus_inv_a
    parts = [_templates_of(crystal, beam, annulus_inv_a, spacing_deg) for crystal in phases.crystals]
    if not all(len(part[0]) for part in parts):
        empty = [c.name for c, part in zip(phases.crystals, parts, strict=True) if not len(part[0])]
        raise DataError(
            f"{', '.join(empty)} has no reflection between {low:.3g} and {high:.3g} 1/Å. Widen --annulus-inv-a, or "
            "check --step-inv-a."
        )
    width = max(part[1].shape[1] for part in parts)
    phase = np.concatenate([np.full(len(part[0]), i) for i, part in enumerate(parts)])
    frame = np.concatenate([part[0] for part in parts])
    g = np.concatenate([np.pad(part[1], ((0, 0), (0, width - part[1].shape[1]), (0, 0))) for part in parts])
    axis = np.concatenate([part[0] @ c.unique_axis for c, part in zip(phases.crystals, parts, strict=True)])
    coupling2 = np.concatenate([np.pad(part[2], ((0, 0), (0, width - part[2].shape[1]))) for part in parts])
    log_prior = np.concatenate([_log_prior(c, part[0][:, 2]) for c, part in zip(phases.crystals, parts, strict=True)])
    n_radii = int(np.clip(np.ceil((high - low) / radial_step_inv_a) + 1, 2, MAX_RADII))
    radii: FloatArray = np.linspace(low, high, n_radii)
    curvature = 0.5 * beam.wavelength_a
    members = [phase == p for p in range(len(parts))]
    pictures = [_pictures(g[mine], coupling2[mine], radii, curvature) for mine in members]
    sigma = np.full(len(parts), USUAL_AXIAL)
    return TemplateBank(phase, frame, g, axis, sigma, coupling2, log_prior, radii, _spectra(pictures), curvature)


def _log_prior(crystal: Crystal, directions: FloatArray) -> FloatArray:
    """Log odds of beam directions (T, 3), before looking (T,): crystals are turned, or grow, along low-index axes."""
    axes = zone_axes(crystal, 1) @ crystal.direct_basis_a
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return np.where(np.abs(directions @ axes.T).max(axis=1) > 1.0 - 1e-9, _LOW_INDEX, 0.0)


@lru_cache(maxsize=_MAX_KEPT)
def _templates_of(
    crystal: Crystal, beam: Beam, annulus_inv_a: tuple[float, float], spacing_deg: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Frames (T, 3, 3), reflections (T, J, 3) and couplings (T, J) of one phase, brightest reflections first."""
    low, high = annulus_inv_a
    table = all_reflections(crystal, high)
    radius = np.linalg.norm(table.g_inv_a, axis=1)
    inside = (radius >= low) & (table.f2 > 1e-6 * table.f2.max(initial=0.0))
    coupling2 = table.f2[inside] * (beam.wavelength_a * beam.gamma / (np.pi * crystal.volume_a3)) ** 2
    frames = frames_of(beam_directions(crystal, spacing_deg))
    g = np.einsum("nj,tij->tni", table.g_inv_a[inside], frames)
    # The best that a tilt within reach can do for each reflection.
    s = np.abs(_excitation(g, 0.5 * beam.wavelength_a))
    s_reached = np.maximum(s - 1e-3 * MAX_TILT_MRAD * radius[inside], 0.0)
    best = _typical(s_reached, coupling2)
    best = np.where(s_reached < _LIT_INV_A, best, 0.0)
    best = np.where(best > _FAINT * best.max(axis=1, keepdims=True, initial=1e-30), best, 0.0)
    width = min(_MAX_REFLECTIONS, int((best > 0).sum(axis=1).max(initial=0)))
    order = np.argsort(-best, axis=1, kind="stable")[:, :width]
    kept = np.take_along_axis(best, order, axis=1) > 0
    chosen = np.take_along_axis(g, order[..., None], axis=1) * kept[..., None]
    usable = kept.any(axis=1)
    return frames[usable], chosen[usable], (coupling2[order] * kept)[usable]


def _excitation(g: FloatArray, curvature_a: float) -> FloatArray:
    """Excitation errors -(2 K g_z + g^2) / (2 K) with K = 1 / lambda."""
    return np.asarray(-(g[..., 2] + curvature_a * (g**2).sum(axis=-1)))


def _pictures(g: FloatArray, coupling2: FloatArray, radii: FloatArray, curvature_a: float) -> Float32Array:
    """Polar pictures (T, R, A) of the amplitudes, one point per reflection."""
    t = len(g)
    amplitude = np.sqrt(_typical(_excitation(g, curvature_a), coupling2))
    picture = np.zeros((t, len(radii), AZIMUTHS), dtype=np.float32)
    radius = (np.hypot(g[..., 0], g[..., 1]) - radii[0]) / (radii[1] - radii[0])
    azimuth = (np.arctan2(g[..., 0], g[..., 1]) / (2.0 * np.pi) * AZIMUTHS) % AZIMUTHS
    inside = (coupling2 > 0) & (radius >= -0.5) & (radius < len(radii) - 0.5)
    row = np.broadcast_to(np.arange(t)[:, None], radius.shape)[inside]
    r0, a0 = np.rint(radius[inside]).astype(int), np.floor(azimuth[inside]).astype(int)
    share = azimuth[inside] - a0
    np.add.at(picture, (row, r0, a0 % AZIMUTHS), amplitude[inside] * (1.0 - share))
    np.add.at(picture, (row, r0, (a0 + 1) % AZIMUTHS), amplitude[inside] * share)
    picture /= np.maximum(np.sqrt((amplitude**2 * inside).sum(axis=1)), 1e-9)[:, None, None]
    return picture


def _spectra(pictures: Sequence[Float32Array]) -> tuple[Spectra, ...]:
    """Fourier coefficients of the polar pictures of each phase, in whole numbers on one scale."""
    rows = [np.flatnonzero(picture.any(axis=(0, 2))) for picture in pictures]
    waves = [fft.rfft(picture[:, lit], axis=2)[..., :FREQUENCIES] for picture, lit in zip(pictures, rows, strict=True)]
    # No coefficient of a picture of unit norm, a point per reflection, exceeds the sum of its amplitudes.
    largest = max(float(np.abs(wave).max(initial=0.0)) for wave in waves)
    whole_waves = [np.concatenate([whole(wave.real, largest), whole(wave.imag, largest)], axis=1) for wave in waves]
    coefficients = [np.ascontiguousarray(wave.transpose(2, 1, 0)) for wave in whole_waves]
    return tuple(Spectra.of(lit, wave) for lit, wave in zip(rows, coefficients, strict=True))


def whole(values: AnyArray, largest: Any) -> Float32Array:
    """Round to whole numbers from -LEVELS to LEVELS.

    Sums of products of such numbers are exact in float32 as long as they stay below 2^24, whatever the order: the same
    on every machine and however patterns are put together in one matrix product.
    """
    return np.asarray(np.rint(values * (LEVELS / np.maximum(largest, 1e-30))), dtype=np.float32)
