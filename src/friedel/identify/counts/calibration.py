"""Scale, ellipse and centre that all patterns of a scan share, fitted on the crystals that they show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.identify.counts.free_lattice import free_lattice_evidence
from friedel.identify.counts.maps import CountMaps
from friedel.identify.counts.matching import CountOptions, best_of_phases, fit_surest, orientations_of
from friedel.identify.counts.orientation_fit import Fits
from friedel.identify.counts.template_bank import TemplateBank
from friedel.identify.lattices.zone_map import (
    Distortion,
    distortion_prior,
    fitted_grid,
    least_squares_distortion,
    undistorted,
)

#: Log evidence by which a phase must beat any other lattice for its spots to take part.
_SURE = 8.0
#: Widest step of scale, in prior standard deviations and relative, that the next fit bridges.
_STEP_SIGMAS, _STEP = 1.5, 0.015
#: Error of a spot's place that is not shared, in pixels.
_PLACE_PX = 0.25
_ROUNDS = 2
#: Orientations of each phase that are refined; the right scale shows in the best.
_PER_PHASE = 4


def fit_count_distortion(
    maps: CountMaps, bank: TemplateBank, n_phases: int, options: CountOptions, *, relative_sigma: float
) -> Distortion:
    """Fit the distortion that patterns share: scale, ellipse and centre.

    First the scale, over three standard deviations of the calibration, by how far the phases beat free lattices. Then
    matching and least squares in turn, as in ``fit_distortion``; between them lattices may be strained as the
    calibration may be wrong. Where no phase is sure anywhere nothing is fitted.
    """
    nothing = undistorted(relative_sigma)
    loose = replace(
        options,
        strain_sigma=max(relative_sigma, options.strain_sigma),
        per_phase=min(options.per_phase, _PER_PHASE),
    )
    reach = 3.0 * relative_sigma
    steps = int(np.ceil(reach / min(_STEP, _STEP_SIGMAS * relative_sigma))) if relative_sigma > 0 else 0
    scales = 1.0 + np.linspace(-reach, reach, 2 * steps + 1) if steps else np.ones(1)
    support = []
    for scale in scales:
        trial = replace(maps, grid=fitted_grid(maps.grid, replace(nothing, matrix=np.eye(2) * scale, n_spots=1)))
        lead = _lead(trial, bank, n_phases, loose)[2]
        support.append(float(lead[lead > 0].sum()) - 0.5 * ((scale - 1.0) / max(relative_sigma, 1e-9)) ** 2)
    best = float(scales[int(np.argmax(support))])
    fit = replace(nothing, matrix=np.eye(2) * best, n_spots=1)
    prior = distortion_prior(relative_sigma, float(np.mean(maps.grid.step_inv_a)))
    for _ in range(_ROUNDS):
        trial = replace(maps, grid=fitted_grid(maps.grid, fit))
        fits, chosen, lead = _lead(trial, bank, n_phases, loose)
        measured, model = _matched(maps, fits, chosen[lead > _SURE])
        if len(model) < 3:
            return nothing
        sigma = _PLACE_PX * float(np.mean(maps.grid.step_inv_a))
        fit = least_squares_distortion(measured, model, sigma, prior)
    return fit


def _lead(
    maps: CountMaps, bank: TemplateBank, n_phases: int, options: CountOptions
) -> tuple[Fits, IntArray, FloatArray]:
    """Fits, the best candidate of each pattern, and by how much its log evidence beats any free lattice (n,)."""
    fits = fit_surest(maps, bank, n_phases, options)
    best = best_of_phases(fits, maps.n_patterns, n_phases)
    ways = orientations_of(bank, n_phases)
    value = fits.log_evidence[best] - ways
    rows = np.arange(maps.n_patterns)
    surest = value.argmax(axis=1)
    foreign = free_lattice_evidence(maps, (float(bank.radii_inv_a[0]), float(bank.radii_inv_a[-1])))
    return fits, best[rows, surest], value[rows, surest] - foreign


def _matched(maps: CountMaps, fits: Fits, chosen: IntArray) -> tuple[FloatArray, FloatArray]:
    """Measured (N, 2) and model positions (N, 2) of the spots that some candidates explain, in 1/Å."""
    wanted = np.zeros(len(fits.pattern), dtype=bool)
    wanted[chosen] = True
    candidate, spot = fits.reflected.candidate, fits.sight.spot
    mine = np.flatnonzero(wanted[candidate] & (spot >= 0) & (fits.best_gain > 1.0))
    pattern, angle = fits.reflected.pattern[mine], fits.rotation_rad[candidate[mine]]
    ky, kx = fits.reflected.g_inv_a[mine, 0], fits.reflected.g_inv_a[mine, 1]
    model = np.stack([np.cos(angle) * ky + np.sin(angle) * kx, np.cos(angle) * kx - np.sin(angle) * ky], axis=1)
    offset_px = maps.spot_px[pattern, spot[mine]] - maps.beam_px[pattern]
    return maps.grid.k_of(offset_px + np.asarray(maps.grid.centre_px)), model
