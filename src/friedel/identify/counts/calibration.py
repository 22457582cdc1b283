"""Scale, ellipse and centre that all patterns of a scan share, fitted on the crystals that they show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.identify.counts.candidates import Candidates, find_candidates
from friedel.identify.counts.free_lattice import free_lattice_evidence
from friedel.identify.counts.hypotheses import ANY_LATTICE, USUAL_SPREAD
from friedel.identify.counts.maps import CountMaps
from friedel.identify.counts.matching import CountOptions, best_of_phases, orientations_of, refine
from friedel.identify.counts.orientation_fit import PLACE_RELATIVE, Fits
from friedel.identify.counts.template_bank import USUAL_AXIAL, TemplateBank
from friedel.identify.lattices.zone_map import (
    Distortion,
    distortion_prior,
    fitted_grid,
    least_squares_distortion,
    undistorted,
)

#: Log evidence by which a phase must beat any other lattice for its spots to take part.
_SURE = 8.0
#: Or log evidence over no crystal, and over every other candidate.
_CRYSTAL, _OVER_OTHERS = 12.0, 3.0
#: Widest step of scale, in prior standard deviations and relative, that the next fit bridges.
_STEP_SIGMAS, _STEP = 1.5, 0.015
#: Error of a spot's place that is not shared, in pixels.
_PLACE_PX = 0.25
_ROUNDS = 2
#: One sigma of the strain that a phase has throughout a scan: composition, charge and temperature.
PHASE_SIGMA = 0.004
#: One sigma of the strain with which it is sought there, and patterns from which it is learned.
_LATTICE_SIGMA, _LEAST_PATTERNS = 0.01, 3
#: Spreads of strain that are told apart, and the share of sure patterns that are of mistaken or stacked crystals.
_SPREADS: FloatArray = 0.001 * np.array([0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0])
_MISTAKEN = 0.25
#: The same along the unique axis, where mistaken crystals are strained by about so much.
_AXIAL_SPREADS: FloatArray = USUAL_AXIAL * 2.0 ** np.arange(-3.0, 1.25, 0.5)
_ANY_AXIAL = 0.03
#: Strains along a unique axis, beyond that of the other axes, that are tried, of which the outermost are too large to
#: be believed; one sigma of what to expect; and by how much, in natural logarithms, one must beat none at all.
_AXIAL_STEP, _NO_AXIAL = 0.02, 4
_AXIAL: FloatArray = _AXIAL_STEP * (np.arange(9.0) - _NO_AXIAL)
AXIAL_SIGMA, _AXIAL_GAIN = 0.02, 4.0
#: Rounds of least squares with weights of Cauchy's law, and its width in standard deviations.
_REWEIGHTED, _CAUCHY = 10, 2.0
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
        fits, chosen, lead, sure = _lead(trial, bank, n_phases, loose)
        measured, model = _matched(maps, fits, chosen[sure])
        if len(model) < 3:
            return nothing
        sigma = _PLACE_PX * float(np.mean(maps.grid.step_inv_a))
        fit = least_squares_distortion(measured, model, sigma, prior)
    return fit


def learn_strains(
    maps: CountMaps, bank: TemplateBank, n_phases: int, options: CountOptions, orientations: Candidates
) -> tuple[FloatArray, float, FloatArray]:
    """Strain that each phase has throughout a scan (P,), measured over stored length minus 1, and how it spreads.

    Composition and charge change a lattice by up to 2 %, and the whole sample with it. Learned from the patterns in
    which a phase is sure with a strain that free, in one of these orientations; 0 where fewer than three are. The
    spread of the strain along the unique axis of each phase (P,) as well.
    """
    loose = replace(options, strain_sigma=max(_LATTICE_SIGMA, options.strain_sigma))
    fits, chosen, _, is_sure = _lead(maps, bank, n_phases, loose, orientations)
    sure = chosen[is_sure]
    phase = fits.phase[sure]
    strains, spread = likeliest_strains(
        fits.free_strain(loose.strain_sigma)[sure], fits.strain_sigma[sure], phase, n_phases
    )
    axial = fits.free_axial(bank.axial_sigma[fits.phase])[sure]
    axial_spread = likeliest_axial_spread(axial, fits.axial_sigma[sure])
    told = np.bincount(phase, minlength=n_phases) >= _LEAST_PATTERNS
    return strains, spread, np.where(told, axial_spread, bank.axial_sigma)


def likeliest_axial_spread(strain: FloatArray, sigma: FloatArray) -> float:
    """Likeliest spread of strains along the unique axis (N,) about those of their phases, given their errors.

    A share of mistaken crystals, as in ``likeliest_strains``, is strained by about ``_ANY_AXIAL``; spreads are likely
    within a factor of two of ``USUAL_AXIAL``. What a zone tells nothing of, of large error, speaks for no spread.
    """
    own, other = (
        np.exp(-0.5 * strain**2 / variance) / np.sqrt(2.0 * np.pi * variance)
        for variance in (_AXIAL_SPREADS[:, None] ** 2 + sigma**2, _ANY_AXIAL**2 + sigma**2)
    )
    value = np.log((1.0 - _MISTAKEN) * own + _MISTAKEN * other).sum(axis=1)
    value -= 0.5 * (np.log(_AXIAL_SPREADS / USUAL_AXIAL) / np.log(2.0)) ** 2
    return float(_AXIAL_SPREADS[value.argmax()])


def support_of(
    maps: CountMaps, bank: TemplateBank, n_phases: int, options: CountOptions, distortion: Distortion,
    relative_sigma: float,
) -> float:  # fmt: skip
    """Log evidence of a distortion: by how much phases beat free lattices with it, less what it costs itself."""
    loose = replace(options, per_phase=min(options.per_phase, _PER_PHASE))
    lead = _lead(replace(maps, grid=fitted_grid(maps.grid, distortion)), bank, n_phases, loose)[2]
    return float(lead[lead > 0].sum()) - 0.5 * distortion.strain(relative_sigma) ** 2


def learn_axial(
    maps: CountMaps, bank: TemplateBank, n_phases: int, options: CountOptions, orientations: Candidates
) -> FloatArray:
    """Further strain that each phase has along its unique axis throughout a scan (P,), 0 where it has none.

    Layers move apart or together by several percent as ions leave them, with hardly a change within the layers. Of a
    few strains the likeliest is taken, where a pattern shows the phase or anything else, in the best few of these
    orientations; then least squares on the spots that it explains.
    """
    unstrained = np.zeros(n_phases)
    free = np.array([bool(bank.axis[bank.members(p)].any()) for p in range(n_phases)])
    if not free.any():
        return unstrained
    loose = replace(options, strain_sigma=max(_LATTICE_SIGMA, options.strain_sigma))
    orientations, ways = orientations.best(_PER_PHASE), orientations_of(bank, n_phases)

    def value_of(axial: FloatArray) -> FloatArray:
        """Log evidence of each phase in each pattern (n, P) with these strains (P,)."""
        fits = refine(maps, bank.strained(unstrained, axial), orientations, loose)
        return np.asarray(fits.log_evidence[best_of_phases(fits, maps.n_patterns, n_phases)] - ways)

    lattice = np.maximum(free_lattice_evidence(maps, (float(bank.radii_inv_a[0]), float(bank.radii_inv_a[-1]))), 0.0)
    values = np.stack([value_of(tried * free) for tried in _AXIAL])
    rough: FloatArray = likeliest_axial(values, lattice) * free
    axial = rough
    for _ in range(_ROUNDS):
        strained = bank.strained(unstrained, axial)
        fits, chosen, _, sure = _lead(maps, strained, n_phases, loose, orientations)
        left = _axial_left(maps, strained, fits, chosen[sure], axial)
        axial = np.clip(axial + left, rough - _AXIAL_STEP, rough + _AXIAL_STEP)
    gained = np.maximum(value_of(axial), lattice[:, None]) - np.maximum(values[_NO_AXIAL], lattice[:, None])
    cost = 0.5 * (axial / AXIAL_SIGMA) ** 2
    return np.where(gained.sum(axis=0) - cost > _AXIAL_GAIN, axial, 0.0)


def likeliest_axial(values: FloatArray, lattice: FloatArray) -> FloatArray:
    """Likeliest of the strains tried for each phase (P,), given the log evidence (X, n, P) with each, and of a lattice.

    Each pattern shows the phase, or the likelier of any lattice (n,) and the other phases at their likeliest strains.
    A strain must make more likely what is seen in three patterns at least, and more so than greater and lesser ones.
    """
    n_phases = values.shape[2]
    chosen = np.full(n_phases, _NO_AXIAL)
    for _ in range(_ROUNDS):
        for p in range(n_phases):
            others = [values[chosen[q], :, q] for q in range(n_phases) if q != p]
            rival = np.max([lattice, *others], axis=0)
            lead = np.maximum(values[:, :, p] - rival, 0.0)
            support = lead.sum(axis=1) - 0.5 * (_AXIAL / AXIAL_SIGMA) ** 2
            best = int(support.argmax())
            enough = (lead[best] > 0.0).sum() >= _LEAST_PATTERNS and 0 < best < len(_AXIAL) - 1
            chosen[p] = best if enough and support[best] - support[_NO_AXIAL] > _AXIAL_GAIN else _NO_AXIAL
    return np.asarray(_AXIAL[chosen])


def _axial_left(maps: CountMaps, bank: TemplateBank, fits: Fits, chosen: IntArray, axial: FloatArray) -> FloatArray:
    """What is left of each phase's axial strain (P,) in the lengths of the spots that some candidates explain.

    A reflection g at a part a along the axis grows by x a, and its projection k by x (a · k) / |k|², relative to |k|.
    Weights as of Cauchy's law keep mistaken spots from counting; all lattice constants together are free as well.
    """
    mine = _explained(fits, chosen)
    pattern, g = fits.reflected.pattern[mine], fits.reflected.g_inv_a[mine, :2]
    spot, candidate = fits.sight.spot[mine], fits.reflected.candidate[mine]
    length = np.hypot(g[:, 0], g[:, 1])
    off = np.hypot(*_measured(maps, pattern, spot).T) / length - 1.0
    share = (fits.reflected.axial_inv_a[mine, :2] * g).sum(axis=1) / length**2
    variance = (_PLACE_PX * float(np.mean(maps.grid.step_inv_a)) / length) ** 2 + PLACE_RELATIVE**2
    prior = np.diag([PHASE_SIGMA**-2, AXIAL_SIGMA**-2])
    left = np.zeros(len(axial))
    for p in range(len(axial)):
        own = np.flatnonzero(fits.phase[candidate] == p)
        if len(np.unique(candidate[own])) < _LEAST_PATTERNS:
            continue
        design, x = np.stack([np.ones(len(own)), share[own]], axis=1), np.zeros(2)
        for _ in range(_REWEIGHTED):
            weight = 1.0 / (variance[own] + (off[own] - design @ x) ** 2 / _CAUCHY**2)
            right = design.T @ (weight * off[own]) - np.array([0.0, axial[p] / AXIAL_SIGMA**2])
            x = np.linalg.solve(design.T @ (design * weight[:, None]) + prior, right)
        left[p] = x[1]
    return left


def likeliest_strains(
    strain: FloatArray, sigma: FloatArray, phase: IntArray, n_phases: int
) -> tuple[FloatArray, float]:
    """Likeliest strain of each phase (P,), and the spread that all share, given strains (N,) with their errors.

    A mixture of normal laws about each phase's own strain, and a share of mistaken or stacked crystals, whose strain
    may be anything. Strains are likely within ``PHASE_SIGMA`` of 0, the spread within a factor of two of
    ``USUAL_SPREAD``.
    """
    tried: FloatArray = np.linspace(-3.0, 3.0, 121) * _LATTICE_SIGMA
    total = -0.5 * (np.log(_SPREADS / USUAL_SPREAD) / np.log(2.0)) ** 2
    best = np.zeros((n_phases, len(_SPREADS)))
    for p in range(n_phases):
        own = phase == p
        off = np.where(own.sum() >= _LEAST_PATTERNS, tried, 0.0)[:, None] - strain[own]
        variance = _SPREADS[:, None, None] ** 2 + sigma[own] ** 2
        normal = np.exp(-0.5 * off**2 / variance) / np.sqrt(2.0 * np.pi * variance)
        value = np.log((1.0 - _MISTAKEN) * normal + _MISTAKEN / (2.0 * ANY_LATTICE)).sum(axis=2)
        value -= 0.5 * (tried / PHASE_SIGMA) ** 2
        total += value.max(axis=1)
        best[p] = tried[value.argmax(axis=1)]
    likeliest = int(np.argmax(total))
    return best[:, likeliest], float(_SPREADS[likeliest])


def _lead(
    maps: CountMaps, bank: TemplateBank, n_phases: int, options: CountOptions, orientations: Candidates | None = None
) -> tuple[Fits, IntArray, FloatArray, BoolArray]:
    """Fits, the best candidate of each pattern, how far it beats any free lattice, and whether it is sure.

    It is sure where it beats free lattices well, or is much likelier than no crystal and than any other candidate: a
    simple net that any lattice would fit tells the scale as well. Orientations are sought where none are given.
    """
    if orientations is None:
        orientations = find_candidates(maps, bank, n_phases, per_phase=options.per_phase)
    fits = refine(maps, bank, orientations, options)
    best = best_of_phases(fits, maps.n_patterns, n_phases)
    ways = orientations_of(bank, n_phases)
    value = fits.log_evidence[best] - ways
    rows = np.arange(maps.n_patterns)
    surest = value.argmax(axis=1)
    foreign = free_lattice_evidence(maps, (float(bank.radii_inv_a[0]), float(bank.radii_inv_a[-1])))
    ranked = np.sort(np.concatenate([value, np.zeros((len(value), 1))], axis=1), axis=1)
    top = value[rows, surest]
    sure = (top - foreign > _SURE) | ((top > _CRYSTAL) & (top - ranked[:, -2] > _OVER_OTHERS))
    return fits, best[rows, surest], top - foreign, sure


def _explained(fits: Fits, chosen: IntArray) -> IntArray:
    """Index of the reflections of some candidates that explain a spot."""
    wanted = np.zeros(len(fits.pattern), dtype=bool)
    wanted[chosen] = True
    return np.flatnonzero(wanted[fits.reflected.candidate] & (fits.sight.spot >= 0) & (fits.best_gain > 1.0))


def _measured(maps: CountMaps, pattern: IntArray, spot: IntArray) -> FloatArray:
    """Places (N, 2) of spots in 1/Å about the beam of their pattern."""
    offset_px = maps.spot_px[pattern, spot] - maps.beam_px[pattern]
    return np.asarray(maps.grid.k_of(offset_px + np.asarray(maps.grid.centre_px)))


def _matched(maps: CountMaps, fits: Fits, chosen: IntArray) -> tuple[FloatArray, FloatArray]:
    """Measured (N, 2) and model positions (N, 2) of the spots that some candidates explain, in 1/Å."""
    mine = _explained(fits, chosen)
    pattern, angle = fits.reflected.pattern[mine], fits.rotation_rad[fits.reflected.candidate[mine]]
    ky, kx = fits.reflected.g_inv_a[mine, 0], fits.reflected.g_inv_a[mine, 1]
    model = np.stack([np.cos(angle) * ky + np.sin(angle) * kx, np.cos(angle) * kx - np.sin(angle) * ky], axis=1)
    return _measured(maps, pattern, fits.sight.spot[mine]), model
