"""From hexagons to phases: light in the rings of each candidate, and what that says about its presence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.identify.hexagons.halves import CONFUSABLE, light_at_halves
from friedel.identify.hexagons.lattice import SIXTY_DEG, Hexagons
from friedel.identify.hexagons.rings import HexagonalZone, LearnedRings
from friedel.spots.dog import DogResponse

#: Relative half width of a ring: the lattice of a layered oxide changes by 1.8 % with charge.
RING_TOLERANCE = 0.02
#: Azimuths nearer than this belong to one orientation.
_SAME_AZIMUTH_RAD = np.deg2rad(4.0)
#: Weight of a radius that is no phase's own, against 1 for one exactly on its ring: charge changes cells.
_ANY_RADIUS = 0.05
#: Share of the beam in a ring of six spots: at most 0.14 % where dynamical residues of a phase without that ring
#: reach it, 1.2 % to 60 % where the phase is there (multislice of O3 and O1, 5-40 nm, 0-20 mrad).
_RESIDUE, _PRESENT = 0.0014, (0.012, 0.6)
#: Own over shared ring, as ranges of two sigmas of a log-normal law: pure O1 shows {100}/{110} from 0.12 to 8.5, O1
#: with O3 along the beam from 0.039 to 2.15 (development patterns of bench/identify.py near [001]: mean and standard
#: deviation of the logarithm over both sources and all doses, 5-40 nm, 0-12 mrad).
_PURE_RATIO = (np.log(0.12), np.log(8.5))
_STACKED_RATIO = (np.log(0.039), np.log(2.15))


@dataclass(frozen=True, slots=True, eq=False)
class RingEvidence:
    """Light in the rings of each hexagonal zone at each position (n patterns, Z zones, R rings).

    Parameters
    ----------
    hexagon
        Index among the pattern's hexagons of the one that fixes the zone's orientation (n, Z); -1 where none fits.
    scale
        Its radius over the computed one (n, Z), and the error of that, ``scale_sigma``.
    azimuth_rad
        Orientation of the zone's first ring (n, Z), modulo 60 degrees.
    share, share_sigma
        Share of the pattern's electrons in the six spots of each ring (n, Z, R), and its error; NaN where the zone has
        fewer rings or no orientation.
    half_log_ratio
        Of each hexagon of the patterns, not of each position: light where no candidate has any, from
        ``light_at_halves``.
    """

    hexagon: IntArray
    scale: FloatArray
    scale_sigma: FloatArray
    azimuth_rad: FloatArray
    share: FloatArray
    share_sigma: FloatArray
    half_log_ratio: FloatArray

    @staticmethod
    def join(parts: Sequence[RingEvidence]) -> RingEvidence:
        """Join the evidence of consecutive patterns."""
        names = ("hexagon", "scale", "scale_sigma", "azimuth_rad", "share", "share_sigma", "half_log_ratio")
        return RingEvidence(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def measure_rings(
    response: DogResponse,
    shift_px: FloatArray,
    hexagons: Hexagons,
    zones: Sequence[HexagonalZone],
    *,
    max_scale_error: float,
    valid: BoolArray | None = None,
) -> RingEvidence:
    """Measure the light at the six spots of every ring of every zone, oriented by the hexagons found.

    Each hexagon whose radius fits a ring of a zone within ``max_scale_error`` proposes an orientation and a scale; the
    proposal that gathers most light in all rings of the zone wins. Rings are measured whether spots were found there
    or not, so that an absence counts as well.

    Parameters
    ----------
    shift_px
        Beam of each pattern relative to the calibration's centre (n, 2).
    valid
        Pixels that tell (ky, kx).
    """
    n, n_rings = len(response.total), max(len(zone.radius_inv_a) for zone in zones)
    rings = np.concatenate([zone.radius_inv_a for zone in zones])
    shape = (n, len(zones))
    evidence = RingEvidence(
        hexagon=np.full(shape, -1, dtype=np.int64),
        scale=np.full(shape, np.nan),
        scale_sigma=np.full(shape, np.nan),
        azimuth_rad=np.full(shape, np.nan),
        share=np.full((*shape, n_rings), np.nan),
        share_sigma=np.full((*shape, n_rings), np.nan),
        half_log_ratio=light_at_halves(response, shift_px, hexagons, rings, valid),
    )
    pattern = hexagons.pattern_index
    for z, zone in enumerate(zones):
        ratio = hexagons.radius_inv_a[:, None] / zone.radius_inv_a
        hexagon, ring = np.nonzero(np.abs(np.log(ratio)) <= max_scale_error)
        if not len(hexagon):
            continue
        azimuth = (hexagons.azimuth_rad[hexagon] - zone.azimuth_rad[ring]) % SIXTY_DEG
        scale = ratio[hexagon, ring]
        flux, sigma = _ring_flux(response, shift_px, pattern[hexagon], zone, scale, azimuth)
        gathered = flux.sum(axis=1)
        order = np.lexsort((-gathered, pattern[hexagon]))
        best = order[np.unique(pattern[hexagon][order], return_index=True)[1]]
        rows = pattern[hexagon[best]]
        total = np.maximum(response.total[rows], 1.0)[:, None]
        k = len(zone.radius_inv_a)
        evidence.hexagon[rows, z] = hexagon[best] - hexagons.offsets[rows]
        evidence.scale[rows, z] = scale[best]
        relative = hexagons.sigma_inv_a[hexagon[best]] / hexagons.radius_inv_a[hexagon[best]]
        evidence.scale_sigma[rows, z] = scale[best] * relative
        evidence.azimuth_rad[rows, z] = azimuth[best]
        evidence.share[rows, z, :k] = flux[best] / total
        evidence.share_sigma[rows, z, :k] = sigma[best] / total
    return evidence


def _ring_flux(
    response: DogResponse,
    shift_px: FloatArray,
    pattern: IntArray,
    zone: HexagonalZone,
    scale: FloatArray,
    azimuth: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Electrons in each ring of a zone for each proposal (N, R), and their errors."""
    angle = azimuth[:, None, None] + zone.azimuth_rad[None, :, None] + SIXTY_DEG * np.arange(6)
    radius = scale[:, None, None] * zone.radius_inv_a[None, :, None]
    k = radius[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    px = response.grid.px_of(k) + shift_px[pattern][:, None, None, :]
    index = np.broadcast_to(pattern[:, None, None], px.shape[:-1])
    flux, sigma = response.flux(index.ravel(), px.reshape(-1, 2))
    seen = np.isfinite(sigma)
    variance = np.where(seen, sigma, 0.0) ** 2
    return (
        flux.reshape(px.shape[:-1]).sum(axis=-1),
        np.sqrt(np.maximum(variance.reshape(px.shape[:-1]).sum(axis=-1), 1e-12)),
    )


def presence_from_rings(
    evidence: RingEvidence, zones: Sequence[HexagonalZone], n_phases: int, *, scale: float, known: FloatArray
) -> FloatArray:
    """Presence, 0 to 1, of each phase at each position (n, P).

    Parameters
    ----------
    scale
        Of the scan.
    known
        Probability that a candidate made the hexagon that orients each zone (n, Z), from ``known_by_zone``.

    Notes
    -----
    1. A ring tells a phase if no other candidate has a ring within 4 % of it. The share of the beam in the telling
       rings decides by the ratio of two likelihoods: a residue of at most 0.14 %, or 1.2 % to 60 %. Thresholding the
       share, not its significance, keeps faint dynamical residues at high dose from becoming a phase.
    2. A phase without a telling ring (O3 beside O1, whose {110} rings coincide) shares its ring among all such phases
       by how well the radius fits, and with cells that charge has changed.
    3. All is multiplied by ``known``: the hexagon may be of a crystal that is no candidate.
    4. Where a phase that has a telling ring is present too and explains the shared ring, the other is present as well
       if the shared ring is too bright for the first alone: by the likelihood of the ratio of the two rings for the
       pure and the stacked case. "A hexagon at each radius" does not mean both: pure O1 shows both.
    """
    telling = _telling_rings(zones)
    fit = _radius_fit(evidence, scale)
    has_telling = [bool(mask.any()) for mask in telling]
    scores = np.zeros(evidence.hexagon.shape)
    for z in (z for z in range(len(zones)) if has_telling[z]):
        share, sigma = _sum_rings(evidence, z, telling[z])
        scores[:, z] = _present_share(share, sigma) * known[:, z]
    for z in (z for z in range(len(zones)) if not has_telling[z]):
        scores[:, z] = _score_of_shared(evidence, zones, z, telling, fit, known, scores)
    presence = np.zeros((len(scores), n_phases))
    for z, zone in enumerate(zones):
        presence[:, zone.phase] = np.maximum(presence[:, zone.phase], scores[:, z])
    return presence


def known_by_zone(evidence: RingEvidence, hexagons: Hexagons, known: FloatArray) -> FloatArray:
    """Probability that a candidate made the hexagon by which each zone is oriented (n, Z); 0 where there is none.

    ``known`` is that of each hexagon.
    """
    index = np.where(evidence.hexagon >= 0, hexagons.offsets[:-1, None] + evidence.hexagon, len(known))
    return np.append(known, 0.0)[index]


def _telling_rings(zones: Sequence[HexagonalZone]) -> list[BoolArray]:
    """For each zone, which of its rings no other phase has."""
    out = []
    for zone in zones:
        others = [other.radius_inv_a for other in zones if other.phase != zone.phase]
        rivals = np.concatenate([*others, np.zeros(0)])
        off = np.abs(np.log(zone.radius_inv_a[:, None] / rivals))
        out.append(np.asarray(off.min(axis=1, initial=np.inf) > CONFUSABLE))
    return out


def _radius_fit(evidence: RingEvidence, scale: float) -> FloatArray:
    """How well the radius fits each zone after the scan's scale is divided out: 1 at the computed radius, (n, Z)."""
    width = np.hypot(RING_TOLERANCE / 2.0, evidence.scale_sigma)
    fit = np.exp(-0.5 * (np.log(evidence.scale / scale) / width) ** 2)
    return np.where(evidence.hexagon >= 0, np.nan_to_num(fit), 0.0)


def _sum_rings(evidence: RingEvidence, z: int, rings: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Share of the beam in some rings of a zone and its error (n,); 0 where the zone has no orientation."""
    index = np.flatnonzero(rings)
    share = np.nan_to_num(evidence.share[:, z, index]).sum(axis=1)
    sigma = np.sqrt(np.nan_to_num(evidence.share_sigma[:, z, index] ** 2).sum(axis=1))
    return share, sigma


def _normal(value: FloatArray, mean: FloatArray | float, sigma: FloatArray | float) -> FloatArray:
    """Density of a normal law."""
    return np.asarray(np.exp(-0.5 * ((value - mean) / sigma) ** 2) / (np.sqrt(2.0 * np.pi) * sigma))


def _present_share(share: FloatArray, sigma: FloatArray) -> FloatArray:
    """Probability, at even prior odds, that a share of the beam stems from a phase and not from a residue (n,)."""
    absent = _normal(share, 0.0, np.hypot(sigma, _RESIDUE))
    levels = np.geomspace(*_PRESENT, 24)
    widths = np.hypot(sigma[:, None], 0.3 * levels)
    present = _normal(share[:, None], levels, widths).mean(axis=1)
    # Above the brightest level the density of both vanishes: such a share is a phase.
    sure = share > _PRESENT[1]
    return np.where(sure, 1.0, present / np.maximum(present + absent, 1e-300))


def _score_of_shared(
    evidence: RingEvidence,
    zones: Sequence[HexagonalZone],
    z: int,
    telling: Sequence[BoolArray],
    fit: FloatArray,
    known: FloatArray,
    scores: FloatArray,
) -> FloatArray:
    """Score of a zone all of whose rings are shared with other phases (n,)."""
    share, sigma = _sum_rings(evidence, z, np.ones(len(zones[z].radius_inv_a), dtype=bool))
    rivals = [q for q in range(len(zones)) if zones[q].phase != zones[z].phase and not telling[q].any()]
    total = fit[:, z] + _ANY_RADIUS + sum((fit[:, q] for q in rivals), np.zeros(len(fit)))
    score = _present_share(share, sigma) * known[:, z] * fit[:, z] / total
    for q in (q for q in range(len(zones)) if zones[q].phase != zones[z].phase and telling[q].any()):
        common = _common_ring(zones[z], zones[q])
        if common is None:
            continue
        own, shared = common
        explains = _same_azimuth(
            evidence.azimuth_rad[:, z] + zones[z].azimuth_rad[own],
            evidence.azimuth_rad[:, q] + zones[q].azimuth_rad[shared],
        )
        other = scores[:, q] * explains
        light, _ = _sum_rings(evidence, q, telling[q])
        score *= 1.0 - other + other * _stacked(light, np.nan_to_num(evidence.share[:, q, shared]))
    return score


def _common_ring(zone: HexagonalZone, other: HexagonalZone) -> tuple[int, int] | None:
    """Rings (of zone, of other) that coincide most nearly, or None if none do."""
    off = np.abs(np.log(zone.radius_inv_a[:, None] / other.radius_inv_a))
    i, j = np.unravel_index(int(np.argmin(off)), off.shape)
    return (int(i), int(j)) if off[i, j] <= CONFUSABLE else None


def _same_azimuth(first: FloatArray, second: FloatArray) -> BoolArray:
    """Whether two hexagons point the same way (n,)."""
    off = np.abs((first - second + SIXTY_DEG / 2.0) % SIXTY_DEG - SIXTY_DEG / 2.0)
    return np.asarray(np.nan_to_num(off, nan=np.inf) <= _SAME_AZIMUTH_RAD)


def _stacked(own: FloatArray, shared: FloatArray) -> FloatArray:
    """Probability, at even prior odds, that a second phase adds to the shared ring, from own / shared light (n,)."""
    log_ratio = np.log(np.maximum(own, 1e-6) / np.maximum(shared, 1e-6))
    pure, both = (
        _normal(log_ratio, 0.5 * (low + high), 0.25 * (high - low)) for low, high in (_PURE_RATIO, _STACKED_RATIO)
    )
    return np.asarray(both / (pure + both))


def ring_owners(hexagons: Hexagons, rings: LearnedRings, n_phases: int) -> BoolArray:
    """Whether a phase has a ring of the radius of a hexagon (N, P), within 1.5 tolerances, and may have made it."""
    off = np.abs(np.log(hexagons.radius_inv_a[:, None] / (rings.computed_inv_a * rings.scale)))
    near = (off <= 1.5 * RING_TOLERANCE) & (rings.known >= 0.5)[:, None]
    return np.stack([near[:, rings.phase == p].any(axis=1) for p in range(n_phases)], axis=1)
