"""From spots and the places of their fringes to grains with names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.spots import Spots
from friedel.crystal import PhaseSet
from friedel.crystal.hkl import EXTINCT_F2
from friedel.identify.grains.distortion import Stretch, fit_stretch
from friedel.identify.grains.evidence import LogGain
from friedel.identify.grains.groups import group_by_place, on_the_net_of_neighbours
from friedel.identify.grains.joint import SCALE_SIGMAS, Candidates, JointMatch, match_grains
from friedel.identify.grains.phase_model import PhaseModel, cubic_models, phase_model
from friedel.identify.grains.plane_fit import EvidenceOptions, GrainSpots
from friedel.identify.grains.spacings import spot_name

#: Power over the noise of a spot that is found almost always.
FOUND_SNR = 20.0
#: Probability from which on a spot helps to fit the anisotropy.
SURE = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class GrainMatch:
    """Phases of the N spots and G grains of an image.

    Parameters
    ----------
    phases
        P names.
    posterior
        (N, P + 1): probability of each phase and, last, of none of them; rows add up to 1.
    best_hkl, best_d_a
        Family of each phase that explains each spot best, (N, P, 3), and its spacing (N, P).
    names
        For each spot a phase, several joined by "|" where the image does not decide, or "unknown".
    is_twice
        Whether a spot lies where its phase has no reflection of its own, but twice diffracted beams add up (N,).
    grains
        Number of the grain of each spot (N,).
    grain_posterior
        Probabilities (G, P + 1) of the grains.
    scale, scale_sigma
        Factor that turns measured spacings into true ones, and its relative one-sigma error.
    stretch
        Anisotropy of the pixels.
    """

    phases: tuple[str, ...]
    posterior: FloatArray
    best_hkl: IntArray
    best_d_a: FloatArray
    names: tuple[str, ...]
    is_twice: BoolArray
    grains: IntArray
    grain_posterior: FloatArray
    scale: float
    scale_sigma: float
    stretch: Stretch


@dataclass(frozen=True, slots=True)
class NamingOptions:
    """How spots are named.

    Parameters
    ----------
    evidence
        Tolerances; see ``EvidenceOptions``.
    ambiguity_ratio
        A phase is named alone if its probability is above 0.5 and no other one comes within this factor.
    """

    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    ambiguity_ratio: float = 10.0


def name_spots(spots: Spots, masks: Sequence[BoolArray], phases: PhaseSet, annulus_inv_a: tuple[float, float],
               scale_sigma: float, log_gain: LogGain, options: NamingOptions) -> GrainMatch:  # fmt: skip
    """Name the spots of an image, grain by grain.

    Parameters
    ----------
    masks
        Where (y, x) the fringes of each spot are seen.
    annulus_inv_a
        Distances from the centre between which spots were searched.
    scale_sigma
        Relative one-sigma error of the scale.
    log_gain
        Natural logarithm of the expected power over the noise at positions (m, 2), for equal structure factors.

    Notes
    -----
    Spots whose fringes fill the same place are one grain. All are named together; then the anisotropy of the pixels
    is fitted to the spots that are named surely, spots that lie on the net of a grain in the same place join it
    (double diffraction, and parts of a grain that the transfer function moved), and all are named again.
    """
    wider = math.exp(SCALE_SIGMAS * scale_sigma)
    reach = (annulus_inv_a[0] / wider, annulus_inv_a[1] * wider)
    models = tuple(phase_model(crystal, reach) for crystal in phases.crystals)
    log_range = float(np.log(annulus_inv_a[1] / annulus_inv_a[0]))
    priors = np.asarray(phases.priors, dtype=np.float64)
    candidates = Candidates(models, priors, cubic_models(reach), log_range, scale_sigma, log_gain)
    before = Stretch(np.eye(2), options.evidence.stretch_sigma)

    def match(grains: IntArray, stretch: Stretch) -> tuple[GrainSpots, JointMatch]:
        part = grain_spots(spots, stretch, annulus_inv_a[0])
        evidence = replace(options.evidence, stretch_sigma=stretch.sigma)
        return part, match_grains(part, grains, candidates, evidence)

    grains = group_by_place(masks)
    seen, first = match(grains, before)
    stretch = _fit(spots, seen, first, models, scale_sigma, before)
    grains = on_the_net_of_neighbours(
        grain_spots(spots, stretch, annulus_inv_a[0]), first, models, masks, options.evidence
    )
    seen, last = match(grains, stretch)
    return _result(seen, last, models, stretch, options.ambiguity_ratio)


def grain_spots(spots: Spots, stretch: Stretch, innermost_inv_a: float) -> GrainSpots:
    """Undo the anisotropy of spots, and split their errors into radial and azimuthal ones."""
    k = stretch.undo(spots.k_inv_a)
    length = np.maximum(np.hypot(*k.T), 1e-12)
    unit = k / length[:, None]
    radial = np.hypot(*(unit * spots.sigma_inv_a).T) / length
    azimuth = np.hypot(*(unit[:, ::-1] * spots.sigma_inv_a).T) / length
    log_snr = np.log(np.maximum(spots.snr, 1.0))
    least = min(float(log_snr.min(initial=np.inf)), float(np.log(FOUND_SNR)))
    return GrainSpots(k, radial, azimuth, log_snr, least, innermost_inv_a)


def _fit(spots: Spots, seen: GrainSpots, match: JointMatch, models: Sequence[PhaseModel], scale_sigma: float,
         before: Stretch) -> Stretch:  # fmt: skip
    """Fit the anisotropy to the spots that are named surely."""
    phase = match.posterior[:, :-1].argmax(axis=1)
    row = match.rows[np.arange(len(phase)), phase]
    sure = np.flatnonzero((match.posterior[np.arange(len(phase)), phase] >= SURE) & (row >= 0))
    g = np.array([models[phase[i]].radius_inv_a[row[i]] for i in sure])
    sigma = np.hypot(seen.radial_sigma[sure], EvidenceOptions().lattice_tolerance)
    return fit_stretch(spots.k_inv_a[sure], g, sigma, scale_sigma=scale_sigma, stretch_sigma=before.sigma)


def _result(spots: GrainSpots, match: JointMatch, models: Sequence[PhaseModel], stretch: Stretch,
            ambiguity_ratio: float) -> GrainMatch:  # fmt: skip
    """Put indices and names to the spots."""
    n, n_phases = len(spots), len(models)
    hkl = np.zeros((n, n_phases, 3), dtype=np.int64)
    d_a = np.full((n, n_phases), np.nan)
    phases = tuple(model.name for model in models)
    names = tuple(spot_name(row, phases, ambiguity_ratio) for row in match.posterior)
    twice = np.zeros(n, dtype=bool)
    log_d = spots.log_d + np.log(match.scale)
    for p, model in enumerate(models):
        own = np.flatnonzero(model.first_share > 0)
        if not len(own):
            continue
        d_of_family = 1 / model.radius_inv_a[model.first]
        nearest = own[np.abs(np.subtract.outer(log_d, np.log(d_of_family[own]))).argmin(axis=1)]
        family = np.where(match.rows[:, p] >= 0, model.family[match.rows[:, p]], nearest)
        hkl[:, p], d_a[:, p] = model.family_hkl[family], d_of_family[family]
        named = np.array([name == model.name for name in names], dtype=bool)
        twice |= named & (match.rows[:, p] >= 0) & (model.relative_f2[match.rows[:, p]] < EXTINCT_F2)
    return GrainMatch(phases, match.posterior, hkl, d_a, names, twice, match.grains, match.grain_posterior,
                      match.scale, match.scale_sigma, stretch)  # fmt: skip
