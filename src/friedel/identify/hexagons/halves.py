"""Light at the halves of a hexagon, where layered oxides have no reflections and spinel has."""

from __future__ import annotations

import numpy as np
from scipy import special

from friedel.core.arrays import BoolArray, FloatArray
from friedel.identify.hexagons.lattice import SIXTY_DEG, Hexagons
from friedel.spots.dog import DogResponse

#: Rings nearer than this, relatively, may be confused for one another.
CONFUSABLE = 0.04
#: Share of the beam in six spots: of no reflections (residues), and of reflections.
_NO_LIGHT, _LIGHT = np.array([0.0, 0.00025, 0.0005]), np.geomspace(0.003, 0.2, 12)
#: A fifth of a spot's light is taken for its surroundings, and must be given back.
_LEAKAGE = 1.25
#: Electrons that surroundings without a single count may have held all the same.
_LEAST_BACKGROUND = 0.1
#: No light tells more than this, in natural logarithms.
_MOST_TOLD = 12.0


def light_at_halves(
    response: DogResponse,
    shift_px: FloatArray,
    hexagons: Hexagons,
    rings_inv_a: FloatArray,
    valid: BoolArray | None = None,
) -> FloatArray:
    """Log likelihood ratio of light at the halves of each hexagon (N,): a reflection there, or none.

    A net twice as fine has spots at half of the radius, at the same azimuth, and at sqrt(3)/2 of it, 30 degrees off:
    {220} and {422} of spinel beside its {440}. Their Poisson likelihood is averaged over shares of the beam from 0.3 %
    to 20 %, that of no reflection over residues up to 0.05 %. The outer ones may be dark, as they are in LiMn2O4.

    Parameters
    ----------
    shift_px
        Beam of each pattern relative to the calibration's centre (n, 2).
    rings_inv_a
        Rings of the candidates: light near these is expected, and tells nothing.
    valid
        Pixels that tell (ky, kx).
    """
    inner, outer = (
        _ring_ratio(response, shift_px, hexagons, factor, turn, rings_inv_a, valid)
        for factor, turn in ((0.5, 0.0), (np.sqrt(0.75), 0.5 * SIXTY_DEG))
    )
    return np.asarray(np.minimum(inner + np.logaddexp(0.0, outer) - np.log(2.0), _MOST_TOLD))


def _ring_ratio(
    response: DogResponse, shift_px: FloatArray, hexagons: Hexagons, factor: float, turn_rad: float,
    rings_inv_a: FloatArray, valid: BoolArray | None,
) -> FloatArray:  # fmt: skip
    """Log likelihood ratio of light in a ring of six spots (N,); 0 where it cannot be seen or is expected."""
    pattern, radius = hexagons.pattern_index, factor * hexagons.radius_inv_a
    angle = hexagons.azimuth_rad[:, None] + turn_rad + SIXTY_DEG * np.arange(6)
    k = radius[:, None, None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    px = (response.grid.px_of(k) + shift_px[pattern][:, None]).reshape(-1, 2)
    flux, sigma = response.flux(np.repeat(pattern, 6), px)
    seen = np.isfinite(sigma) & _on_valid(px, valid)
    # The error of ``flux`` is that of the counts that it saw, and of a quarter of a count.
    counts, light = (
        np.where(seen, values, 0.0).reshape(-1, 6).sum(axis=1)
        for values in (np.where(seen, sigma, 0.5) ** 2 - 0.25, flux)
    )
    background = np.maximum(counts - _LEAKAGE * light, 0.0) + _LEAST_BACKGROUND
    total = response.total[pattern] * seen.reshape(-1, 6).mean(axis=1)
    expected = (np.abs(np.log(radius[:, None] / rings_inv_a)) <= CONFUSABLE).any(axis=1)
    ratio = _log_evidence(counts, background, total, _LIGHT) - _log_evidence(counts, background, total, _NO_LIGHT)
    return np.where(expected, 0.0, ratio)


def _on_valid(px: FloatArray, valid: BoolArray | None) -> BoolArray:
    if valid is None:
        return np.ones(len(px), dtype=bool)
    y, x = (np.clip(np.round(px[:, i]).astype(int), 0, valid.shape[i] - 1) for i in range(2))
    return np.asarray(valid[y, x])


def _log_evidence(counts: FloatArray, background: FloatArray, total: FloatArray, shares: FloatArray) -> FloatArray:
    """Log of the Poisson likelihood of counts (N,), averaged over shares of the beam, up to a constant."""
    mean = background[:, None] + shares * total[:, None]
    return np.asarray(special.logsumexp(special.xlogy(counts[:, None], mean) - mean, axis=1) - np.log(len(shares)))
