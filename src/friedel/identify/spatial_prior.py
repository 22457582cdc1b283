"""A spatial prior over a map: neighbouring positions are likelier to hold the same phases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.errors import DataError

#: Most that a neighbour of the same phases adds to the log odds. Above ln(1 + sqrt 2) = 0.88 neighbours agree over any
#: distance without any evidence (Onsager, Phys. Rev. 65, 117, 1944; for more states than two the point lies higher):
#: grains out of nothing. This was chosen below it on simulated scans.
MAX_STRENGTH = 0.7
#: Sweeps over the map until the strength is learned, and over which the map is averaged; every how many sweeps the
#: strength is learned anew, and from how many of these its mean is.
_LEARNING, _AVERAGED, _EVERY, _LATEST = 48, 96, 4, 4
#: Steps in which strength and shares are fitted, and the longest of the strength.
_STEPS, _LONGEST = 12, 0.5
#: Explanations that no position holds for as likely as this are left out.
_LEAST = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Smoothed:
    """Probability of every explanation with the say of neighbours.

    Parameters
    ----------
    posterior
        (ry, rx, H), 0 where a position is not valid.
    strength
        Log odds that a neighbour of the same phases adds.
    """

    posterior: FloatArray
    strength: float


def agreement_of(names: Sequence[tuple[int, ...]]) -> FloatArray:
    """Share of phases (H, H) that two explanations have in common, of those that either has; 1 for none and none."""
    sets = [set(name) for name in names]
    return np.array([[len(a & b) / len(a | b) if a | b else 1.0 for b in sets] for a in sets])


def smooth_posterior(
    posterior: FloatArray,
    valid: BoolArray,
    agreement: FloatArray,
    *,
    strength: float | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Smoothed:
    """Combine what each position says with what its four neighbours say.

    Parameters
    ----------
    posterior
        Probability of every explanation at each position by its own evidence (ry, rx, H).
    valid
        Positions that have evidence (ry, rx); the others have no say.
    agreement
        How well two explanations agree (H, H), 0 to 1 (``agreement_of``).
    strength
        Log odds that a neighbour of the same phases adds; None learns it from the map.
    seed
        Of the sampling.

    Notes
    -----
    A hidden Markov random field (Potts's model; Besag, J. R. Stat. Soc. B 48, 259, 1986): an explanation h has the log
    probability ln posterior(h) + strength x sum over neighbours of agreement(h, theirs). The result is the mean of that
    probability over samples of the whole map (Gibbs sampling: Geman and Geman, IEEE Trans. Pattern Anal. 6, 721, 1984),
    so that unsure neighbours have little say. At a straight edge between two grains both sides say the same.

    The strength maximises the pseudo-likelihood of the samples (Besag, The Statistician 24, 179, 1975) with a free
    share of each explanation. It lies between 0 and ``MAX_STRENGTH``: a map whose positions do not resemble their
    neighbours stays as it is.
    """
    if posterior.ndim != 3 or valid.shape != posterior.shape[:2] or agreement.shape != (posterior.shape[2],) * 2:
        shapes = f"{posterior.shape}, {valid.shape} and {agreement.shape}"
        raise DataError(f"posterior (ry, rx, H), valid (ry, rx) and agreement (H, H) must go together, got {shapes}.")
    if strength is not None and not 0.0 <= strength <= MAX_STRENGTH:
        raise DataError(f"The strength must lie in [0, {MAX_STRENGTH}], got {strength:g}.")
    if not valid.any():
        return Smoothed(np.zeros(posterior.shape), 0.0)
    kept = np.flatnonzero((posterior * valid[..., None]).max(axis=(0, 1)) >= _LEAST)
    own = np.log(np.maximum(posterior[..., kept], 1e-12))
    # One more state, which says nothing, for positions that are not valid.
    table = np.concatenate([agreement[np.ix_(kept, kept)], np.zeros((1, len(kept)))])
    rng = np.random.default_rng(seed)
    state = np.where(valid, _draw(_normalised(own), rng), len(kept))
    learned: list[float] = []
    held = strength or 0.0
    total = np.zeros(own.shape)
    for sweep in range(_LEARNING + _AVERAGED):
        probability = _sweep(state, own, valid, table, held, rng)
        progress(sweep + 1, _LEARNING + _AVERAGED)
        if sweep >= _LEARNING:
            total += probability
        elif strength is None and sweep % _EVERY == _EVERY - 1:
            learned.append(_pseudo_likelihood_strength(state[valid], _say_of_neighbours(state, table)[valid]))
            held = float(np.clip(np.mean(learned[-_LATEST:]), 0.0, MAX_STRENGTH))
    out = np.zeros(posterior.shape)
    out[..., kept] = np.where(valid[..., None], total / _AVERAGED, 0.0)
    return Smoothed(out, held)


def _sweep(
    state: IntArray, own: FloatArray, valid: BoolArray, table: FloatArray, strength: float, rng: np.random.Generator
) -> FloatArray:
    """Draw the positions of one colour of a chessboard anew, then those of the other; return the probability used."""
    colour = np.add.outer(np.arange(state.shape[0]), np.arange(state.shape[1])) % 2
    out = np.zeros(own.shape)
    for which in (0, 1):
        mine = valid & (colour == which)
        probability = _normalised(own + strength * _say_of_neighbours(state, table))
        state[mine] = _draw(probability, rng)[mine]
        out[mine] = probability[mine]
    return out


def _normalised(log_weight: FloatArray) -> FloatArray:
    weight = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def _draw(probability: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draw a state at each position (ry, rx)."""
    limit = rng.random((*probability.shape[:2], 1))
    index = (np.cumsum(probability, axis=-1) < limit).sum(axis=-1)
    return np.asarray(np.minimum(index, probability.shape[-1] - 1), dtype=np.int64)


def _say_of_neighbours(state: IntArray, table: FloatArray) -> FloatArray:
    """Sum over the four neighbours of what each says of each state (ry, rx, H)."""
    says = table[state]
    out = np.zeros(says.shape)
    out[1:] += says[:-1]
    out[:-1] += says[1:]
    out[:, 1:] += says[:, :-1]
    out[:, :-1] += says[:, 1:]
    return out


def _pseudo_likelihood_strength(state: IntArray, says: FloatArray) -> float:
    """Strength that best foretells states (N,) by what their neighbours say (N, H), with a free share of each state.

    Newton's steps for the strength, and iterative scaling for the shares.
    """
    rows, n_states = np.arange(len(state)), says.shape[1]
    observed = (np.bincount(state, minlength=n_states) + 0.5) / (len(state) + 0.5 * n_states)
    log_share, strength = np.log(observed), 0.0
    for _ in range(_STEPS):
        expected = _normalised(log_share + strength * says)
        mean = (expected * says).sum(axis=1)
        slope = float((says[rows, state] - mean).sum())
        bend = float((expected * (says - mean[:, None]) ** 2).sum())
        strength += float(np.clip(slope / (bend + 1.0), -_LONGEST, _LONGEST))
        expected = _normalised(log_share + strength * says)
        log_share += np.log(observed) - np.log(np.maximum(expected.mean(axis=0), 1e-9))
    return strength
