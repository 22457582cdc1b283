"""Zone matching over a whole scan, with one scale for all patterns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.grids import ReciprocalGrid
from friedel.core.spots import Spots
from friedel.identify.lattices.zone_match import ZoneMatch, match_pattern, unlisted_evidence
from friedel.identify.lattices.zones import ZoneOptions, ZoneTemplate

#: Patterns whose spots decide the common scale.
_SCALE_PATTERNS = 24
#: Prior one-sigma error of each component of the elliptic distortion.
_ELLIPTICITY_SIGMA = 0.02
_DISTORTION_ROUNDS = 4
#: Patterns, from those with most spots to those with least, and rounds that judge a distortion against free lattices.
_JUDGED_PATTERNS, _JUDGED_ROUNDS = 48, 3
#: A phase may have bent patterns that are this elliptic; by how much another fit must be rounder, and the share of the
#: spots that must be explained with it.
_BENT, _ROUNDER, _AS_MANY = 0.02, 0.005, 0.9
#: Patterns per unit of parallel work.
_CHUNK = 64


@dataclass(frozen=True, slots=True, eq=False)
class ZoneEvidence:
    """Best grain of each phase at each position.

    Parameters
    ----------
    presence
        Score (n, P), 0 where the phase was not found; see ``match_pattern``.
    uvw
        Zone axis (n, P, 3), 0 0 0 where not found.
    rotation_deg
        In-plane rotation (n, P), NaN where not found.
    log10_false_alarms
        Of the match (n, P), NaN where not found.
    spot_phase
        Index of the phase that explains each spot (M,), -1 for none.
    """

    presence: FloatArray
    uvw: IntArray
    rotation_deg: FloatArray
    log10_false_alarms: FloatArray
    spot_phase: IntArray


def match_scan(
    spots: Spots,
    templates: Sequence[ZoneTemplate],
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
    n_phases: int,
    *,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ZoneEvidence:
    """Match the spots of every pattern with the templates; positions are independent of one another."""
    task = partial(_match_chunk, templates=templates, options=options, annulus_inv_a=annulus_inv_a, n_phases=n_phases)
    chunks = [
        Spots.join([spots.of(i) for i in range(first, min(first + _CHUNK, spots.n_patterns))],
                   (min(first + _CHUNK, spots.n_patterns) - first, 1))
        for first in range(0, spots.n_patterns, _CHUNK)
    ]  # fmt: skip
    parts = []
    for part in map(task, chunks) if executor is None else executor.map(task, chunks):
        parts.append(part)
        progress(min(len(parts) * _CHUNK, spots.n_patterns), spots.n_patterns)
    names = ("presence", "uvw", "rotation_deg", "log10_false_alarms", "spot_phase")
    return ZoneEvidence(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _match_chunk(
    spots: Spots,
    *,
    templates: Sequence[ZoneTemplate],
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
    n_phases: int,
) -> ZoneEvidence:
    n = spots.n_patterns
    evidence = ZoneEvidence(
        np.zeros((n, n_phases)),
        np.zeros((n, n_phases, 3), dtype=np.int64),
        np.full((n, n_phases), np.nan),
        np.full((n, n_phases), np.nan),
        np.full(len(spots), -1, dtype=np.int64),
    )
    for i in range(n):
        matches, presence = match_pattern(spots.of(i), templates, options, annulus_inv_a)
        for phase, score in presence.items():
            evidence.presence[i, phase] = score
        for match in reversed(matches):  # the surest is written last
            phase = match.template.phase
            evidence.uvw[i, phase] = match.template.uvw
            evidence.rotation_deg[i, phase] = np.rad2deg(match.rotation_rad) % 180.0
            evidence.log10_false_alarms[i, phase] = match.log10_false_alarms
            evidence.spot_phase[spots.offsets[i] + match.spots] = phase
    return evidence


@dataclass(frozen=True, slots=True, eq=False)
class Distortion:
    """How measured positions differ from true ones: k_measured = matrix @ k + offset.

    Parameters
    ----------
    matrix
        Symmetric (2, 2): the scale is half its trace, the rest is elliptic.
    offset_inv_a
        Centre of the nets from the transmitted beam (2,).
    scale_sigma
        One-sigma error of the scale.
    n_spots
        Spots that took part in the fit; 0 where no phase was found and nothing was fitted.
    """

    matrix: FloatArray
    offset_inv_a: FloatArray
    scale_sigma: float
    n_spots: int

    @property
    def scale(self) -> float:
        """Measured over true length, mean over directions."""
        return float(np.trace(self.matrix)) / 2.0

    @property
    def anisotropy(self) -> float:
        """Long over short axis of what should be a circle, minus 1."""
        low, high = np.linalg.eigvalsh(self.matrix)
        return float(high / low - 1.0)

    def strain(self, relative_sigma: float) -> float:
        """How far the fit strays from the calibration: the larger of scale and ellipse in prior standard deviations."""
        scale_sigma = np.hypot(relative_sigma, _ELLIPTICITY_SIGMA) / np.sqrt(2.0)
        return float(max(abs(self.scale - 1.0) / scale_sigma, self.anisotropy / (2.0 * _ELLIPTICITY_SIGMA)))

    def correct(self, spots: Spots) -> Spots:
        """Take the distortion out of measured positions."""
        inverse = np.linalg.inv(self.matrix)
        k = (spots.k_inv_a - self.offset_inv_a) @ inverse.T
        return Spots(k, spots.sigma_inv_a / self.scale, spots.intensity, spots.snr, spots.offsets, spots.scan_shape)


def undistorted(relative_sigma: float) -> Distortion:
    """Return no distortion, with the scale as uncertain as the calibration."""
    return Distortion(np.eye(2), np.zeros(2), relative_sigma, 0)


def fit_distortion(
    spots: Spots,
    templates: Sequence[ZoneTemplate],
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
    *,
    relative_sigma: float,
    centre_sigma_inv_a: float,
) -> Distortion:
    """Fit scale, ellipse and centre that all patterns share, on the phases that they show.

    First one scale, by the false alarms of the best match (tempered as in ``match_pattern``) over three sigmas of the
    calibration. Then matching and a least-squares fit in turn: five parameters with Gaussian priors, the calibration's
    error and 2 % of ellipticity (stored scales of real files were 1 to 5 % off and 1 % anisotropic), and the error of
    the centre. Only matches with an expected number of false alarms below ``options.max_false_alarms`` take part.

    Such matches may be chance where other crystals lie in the patterns with most spots. The fit is therefore gone on
    with against lattices laid through the spots, from there and from the calibration as stored, over patterns of all
    kinds, and what leads by more is taken. Where neither leads nothing is fitted.
    """
    usable, nothing = _usable(spots), undistorted(relative_sigma)
    if not usable:
        return nothing
    sample, spread = _patterns(spots, usable[:_SCALE_PATTERNS]), _judged_patterns(spots, usable)
    scales = 1.0 + np.linspace(-3.0, 3.0, 25) * relative_sigma
    support = [_log10_support(replace(nothing, matrix=np.eye(2) * s), sample, templates, options,
                              annulus_inv_a) for s in scales]  # fmt: skip
    posterior = np.log(10.0) * np.array(support) - 0.5 * ((scales - 1.0) / max(relative_sigma, 1e-9)) ** 2
    rough = replace(nothing, matrix=np.eye(2) * scales[int(np.argmax(posterior))])
    prior = distortion_prior(relative_sigma, centre_sigma_inv_a)
    for _ in range(_DISTORTION_ROUNDS):
        matched = _matched(rough, sample, templates, options, annulus_inv_a, is_calibrated=False)
        if not len(matched.model_inv_a):
            return nothing
        rough = _fit(matched, options, prior)
    best, most = nothing, 0.0
    for fit in (nothing, rough):
        for _ in range(_JUDGED_ROUNDS):
            matched = _matched(fit, spread, templates, options, annulus_inv_a, is_calibrated=True)
            if not len(matched.model_inv_a):
                break
            fit = _fit(matched, options, prior)
        if matched.lead > most:
            best, most = fit, matched.lead
    return best


def fit_beside(
    fitted: Distortion,
    spots: Spots,
    templates: Sequence[ZoneTemplate],
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
    *,
    relative_sigma: float,
    centre_sigma_inv_a: float,
) -> Distortion:
    """Return a distortion that was fitted to some phases, or a rounder one with which more phases explain as much.

    A wrong phase can bend patterns until they suit it, as O3 along [-111] those of O1 along [001]. Where it is the
    camera that bends them, no phase explains them without.
    """
    if fitted.anisotropy <= _BENT:
        return fitted
    other = fit_distortion(
        spots, templates, options, annulus_inv_a, relative_sigma=relative_sigma, centre_sigma_inv_a=centre_sigma_inv_a
    )
    if other.anisotropy > fitted.anisotropy - _ROUNDER:
        return fitted
    judged = _judged_patterns(spots, _usable(spots))
    before, after = (
        len(_matched(fit, judged, templates, options, annulus_inv_a, is_calibrated=True).model_inv_a)
        for fit in (fitted, other)
    )
    return other if after >= _AS_MANY * before else fitted


def _usable(spots: Spots) -> list[int]:
    """Patterns in which a net shows, those with most spots first."""
    counts = np.diff(spots.offsets)
    return [int(i) for i in np.argsort(-counts, kind="stable") if counts[i] >= 4]


def _judged_patterns(spots: Spots, usable: Sequence[int]) -> Spots:
    return _patterns(spots, usable[:: -(-len(usable) // _JUDGED_PATTERNS)])


def _patterns(spots: Spots, chosen: Sequence[int]) -> Spots:
    return Spots.join([spots.of(i) for i in chosen], (len(chosen), 1))


def distortion_prior(relative_sigma: float, centre_sigma_inv_a: float) -> FloatArray:
    """One-sigma errors (5,) of the three components of the matrix and the two of the offset."""
    return np.array([np.hypot(relative_sigma, _ELLIPTICITY_SIGMA)] * 3 + [centre_sigma_inv_a] * 2)


def _log10_support(
    fit: Distortion,
    spots: Spots,
    templates: Sequence[ZoneTemplate],
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
) -> float:
    corrected = fit.correct(spots)
    best = (
        min(
            (match.log10_false_alarms for match in _uncalibrated(corrected.of(i), templates, options, annulus_inv_a)),
            default=0,
        )
        for i in range(spots.n_patterns)
    )
    return -0.5 * float(sum(best))


@dataclass(frozen=True, slots=True, eq=False)
class _Matched:
    """Measured and model positions (N, 2) of the spots that the surest grain of each pattern explains; sum of leads."""

    measured_inv_a: FloatArray
    model_inv_a: FloatArray
    lead: float


def _matched(
    fit: Distortion,
    spots: Spots,
    templates: Sequence[ZoneTemplate],
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
    *,
    is_calibrated: bool,
) -> _Matched:
    corrected = fit.correct(spots)
    measured, model, lead = [np.zeros((0, 2))], [np.zeros((0, 2))], 0.0
    for i in range(spots.n_patterns):
        seen, given = corrected.of(i), spots.of(i)
        matches, _ = match_pattern(seen, templates, options, annulus_inv_a, is_calibrated=is_calibrated)
        if not matches:
            continue
        if is_calibrated:
            # A net that is not on the list may need no distortion: bent far enough, regular nets fit many a candidate.
            everything = np.ones(len(given), dtype=bool)
            bent, straight = (
                unlisted_evidence(seen, everything, matches[0], options, annulus_inv_a, k)
                for k in (seen.k_inv_a, given.k_inv_a)
            )
            margin = matches[0].lead - max(straight - bent, 0.0)
            if margin <= 0:
                continue
            lead += margin
        measured.append(given.k_inv_a[matches[0].spots])
        model.append(matches[0].model_inv_a)
    return _Matched(np.concatenate(measured), np.concatenate(model), lead)


def _fit(matched: _Matched, options: ZoneOptions, prior: FloatArray) -> Distortion:
    return least_squares_distortion(matched.measured_inv_a, matched.model_inv_a, options.tolerance_inv_a / 2.0, prior)


def _uncalibrated(
    spots: Spots, templates: Sequence[ZoneTemplate], options: ZoneOptions, annulus_inv_a: tuple[float, float]
) -> list[ZoneMatch]:
    return match_pattern(spots, templates, options, annulus_inv_a, is_calibrated=False)[0]


def least_squares_distortion(
    measured: FloatArray, model: FloatArray, sigma_inv_a: float, prior: FloatArray
) -> Distortion:
    """Symmetric matrix and offset that take model to measured positions, with Gaussian priors on each parameter."""
    ky, kx = model.T
    zero, one = np.zeros_like(ky), np.ones_like(ky)
    design = np.concatenate([np.stack([ky, kx, zero, one, zero], axis=1), np.stack([zero, ky, kx, zero, one], axis=1)])
    target = (measured - model).T.ravel()
    normal = design.T @ design / sigma_inv_a**2 + np.diag(prior**-2.0)
    value = np.linalg.solve(normal, design.T @ target / sigma_inv_a**2)
    covariance = np.linalg.inv(normal)
    matrix = np.eye(2) + np.array([[value[0], value[1]], [value[1], value[2]]])
    scale_sigma = 0.5 * np.sqrt(covariance[0, 0] + covariance[2, 2] + 2.0 * covariance[0, 2])
    return Distortion(matrix, value[3:], float(scale_sigma), len(model))


def fitted_grid(grid: ReciprocalGrid, distortion: Distortion) -> ReciprocalGrid:
    """Take a distortion into the calibration: scale into the step, the rest into the ellipse and the centre.

    Where nothing was fitted the calibration stays as it is.
    """
    if not distortion.n_spots:
        return grid
    centre = grid.px_of(distortion.offset_inv_a)
    shape = np.linalg.inv(distortion.matrix) * distortion.scale
    return ReciprocalGrid(
        (grid.step_inv_a[0] / distortion.scale, grid.step_inv_a[1] / distortion.scale),
        (float(centre[0]), float(centre[1])),
        shape @ grid.ellipse,
        grid.rotation_deg,
        "fitted",
        distortion.scale_sigma,
    )
