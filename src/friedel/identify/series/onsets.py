"""When something appears or vanishes in a series: change points with their intervals and false alarms.

All is judged against controls: positions of the FFT at the same distance from the centre where no spot was ever seen,
looked at in the same place of the same frames. What film, camera and beam do to a spot they do to its controls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.errors import DataError

#: Fewest frames in which a change can be told from noise.
LEAST_FRAMES = 6
#: Fewest frames before an onset: fewer give no level to compare with.
LEAST_BEFORE = 2
#: Frames over which a growth may last before it is even, as multiples of one another; and how its power grows with
#: time: as the square where the amplitude follows the area, evenly where the grain fills the mask's response early.
RAMP_RATIO, EXPONENTS = 1.25, (1, 2)
#: Crystals do not grow as evenly as the ramp: the model is trusted to this share of the power above the level before.
MODEL_ERROR = 0.2
#: An onset is sought in the frames up to this share of the highest level and a few more: how a crystal grows long after
#: its onset says nothing of when that was, and would move it where the ramp is not the true law.
EARLY_SHARE, EARLY_MORE = 0.25, 3
#: Fall of -2 log likelihood that bounds a 95 % interval of one parameter (Wilks).
WILKS_95 = 3.84
#: Share of the controls that is taken for the tail, which is continued as an exponential.
TAIL = 0.1
#: The exponential is continued down to this chance, and no farther: beyond it nobody has looked.
LEAST_CHANCE = 1e-6
#: Median of the modulus of a standard normal deviate.
MEDIAN_OF_NORMAL = 0.6744897501960817


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """The likeliest rise of N series of T frames.

    Parameters
    ----------
    frame
        First frame (N,) that is above the level before.
    low, high
        Frames (N,) between which it lies with 95 % confidence.
    statistic
        Fall of -2 log likelihood (N,) against a constant level; 0 where nothing rises.
    before
        Mean (N,) up to the rise, the mean of all frames where nothing rises.
    """

    frame: IntArray
    low: IntArray
    high: IntArray
    statistic: FloatArray
    before: FloatArray


def find_rises(power: FloatArray) -> Changes:
    """Find the likeliest onset in each series of powers (N, T) in units of the noise.

    Notes
    -----
    From its onset on the power of a growing crystal is a constant plus a ramp or its square, which ends as a plateau,
    fitted by weighted least squares over all onsets and lengths. The power |s + n|^2 of a wave s with noise n of mean
    power 1 has the variance 2 <P> - 1; its scale is fitted from the second differences of neighbouring frames (as in
    von Neumann, Ann. Math. Stat. 12 (1941) 367), and the error of the model is added. Frames after the largest mean of
    a tenth of the series are left out, so that what vanishes later does not count against an onset. The frame is then
    fitted to the first part of the rise alone; its interval is that of the profile likelihood (Hinkley, Biometrika 57
    (1970) 1) and a frame more on each side: at first a crystal's wave interferes with that of what was there before.
    """
    n_frames = power.shape[1]
    frames = np.full((3, len(power)), n_frames)
    statistic, before = np.zeros(len(power)), np.asarray(power.mean(axis=1))
    onset, shape = _ramps(n_frames)
    for i, series in enumerate(power):
        noise = _noise_of(series)
        if noise is None:
            continue
        gain = _gains(series, noise.weights(noise.n_rising), shape)
        statistic[i] = gain.max()
        if statistic[i] <= 0.0:
            continue
        gain = _gains(series, noise.weights(noise.n_early), shape)
        likely, first = onset[gain >= gain.max() - WILKS_95], int(onset[np.argmax(gain)])
        frames[:, i] = first, max(int(likely.min()) - 1, 0), min(int(likely.max()) + 1, n_frames - 1)
        before[i] = series[:first].mean()
    return Changes(frames[0], frames[1], frames[2], statistic, before)


def rise_statistics(power: FloatArray) -> FloatArray:
    """``find_rises(power).statistic``, without the frames."""
    _, shape = _ramps(power.shape[1])
    noises = [_noise_of(series) for series in power]
    return np.array([0.0 if noise is None else _gains(series, noise.weights(noise.n_rising), shape).max()
                     for series, noise in zip(power, noises, strict=True)])  # fmt: skip


@lru_cache(maxsize=4)
def _ramps(n_frames: int) -> tuple[IntArray, FloatArray]:
    """Onset (C,) and form (C, T) of all candidates."""
    if n_frames < LEAST_FRAMES:
        raise DataError(f"Onsets need at least {LEAST_FRAMES} frames, got {n_frames}.")
    lengths = [1]
    while lengths[-1] < n_frames:
        lengths.append(max(lengths[-1] + 1, round(lengths[-1] * RAMP_RATIO)))
    t = np.arange(n_frames)
    pairs = [(onset, length) for onset in range(LEAST_BEFORE, n_frames) for length in lengths]
    onset, length = np.array(pairs).T
    ramp = np.clip((t - onset[:, None] + 1) / length[:, None], 0.0, 1.0)
    return np.tile(onset, len(EXPONENTS)), np.concatenate([ramp**exponent for exponent in EXPONENTS])


@dataclass(frozen=True, slots=True, eq=False)
class _Noise:
    """Variance (T,) of one series; how many frames lie up to its summit, and in the first part of its rise."""

    variance: FloatArray
    n_rising: int
    n_early: int

    def weights(self, n_frames: int) -> FloatArray:
        """Weights (T,) that leave out what comes after so many frames."""
        return np.where(np.arange(len(self.variance)) < n_frames, 1.0 / self.variance, 0.0)


def _noise_of(series: FloatArray) -> _Noise | None:
    """Estimate the variance of a series (T,) from itself; None where it cannot rise."""
    some = max(3, len(series) // 10)
    smooth, level = _running_mean(series, some), _running_mean(series, 3)
    n_rising = int(np.argmax(smooth)) + 1
    if n_rising <= LEAST_BEFORE + 1:
        return None
    base = float(np.sort(level)[:some].mean())
    low = np.flatnonzero(level[:n_rising] <= base + EARLY_SHARE * (float(smooth.max()) - base))
    n_early = min(n_rising, max(int(low.max(initial=0)) + 1, LEAST_BEFORE) + EARLY_MORE)
    level = np.maximum(level, base)
    variance = np.maximum(2.0 * level - 1.0, 0.25 * level)
    bends = np.abs(series[:-2] - 2.0 * series[1:-1] + series[2:]) / np.sqrt(6.0 * variance[1:-1])
    scale2 = (float(np.median(bends)) / MEDIAN_OF_NORMAL) ** 2
    if scale2 <= 0.0:
        return None
    return _Noise(scale2 * variance + (MODEL_ERROR * (level - base)) ** 2, n_rising, n_early)


def _gains(series: FloatArray, weight: FloatArray, shape: FloatArray) -> FloatArray:
    """Fall of -2 log likelihood (C,) against a constant, for a constant plus each of the forms; 0 where it falls."""
    total = weight.sum()
    about = series - weight @ series / total
    mean = shape @ weight / total
    spread = (shape**2) @ weight - total * mean**2
    along = shape @ (weight * about)
    fits = (spread > 1e-9 * total) & (along > 0)
    return np.asarray(np.where(fits, along**2 / np.where(fits, spread, 1.0), 0.0))


def _running_mean(series: FloatArray, width: int) -> FloatArray:
    """Mean over so many frames about each, fewer at the ends."""
    taps = np.ones(width)
    return np.asarray(np.convolve(series, taps, "same") / np.convolve(np.ones(len(series)), taps, "same"))


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What is concluded of N units.

    Parameters
    ----------
    appears, is_first
        Whether (N,) a unit appears in the course of the series; whether it is there in the first frames already.
    changes
        The rises.
    false_alarms
        Expected number (N,) of units of the whole series that would rise as much by chance, or more than that number
        where it is below what can be known.
    """

    appears: BoolArray
    is_first: BoolArray
    changes: Changes
    false_alarms: FloatArray


def judge_rises(power: FloatArray, controls: FloatArray, false_alarms: float) -> Verdicts:
    """Tell which units appear, with a stated number of false alarms.

    Parameters
    ----------
    power
        Power (N, T) of each unit in units of the noise.
    controls
        The same (N, J, T) at its J controls; NaN where a unit has fewer.
    false_alarms
        Expected number of units that are said to appear, or to be there from the start, in a series where nothing is.

    Notes
    -----
    A rise counts if controls rise as much in fewer than ``false_alarms`` of N cases; a unit is there from the start if
    its level before the rise exceeds that of controls likewise. The upper tenth of all controls is continued by an
    exponential, which is the tail of squared Gaussian amplitudes.
    """
    n = len(power)
    rises = find_rises(power)
    flat = controls.reshape(-1, controls.shape[-1])
    known = np.isfinite(flat).all(axis=1)
    chance = rise_statistics(flat[known])
    expected = n * tail_probability(rises.statistic, chance)
    until = np.where(expected <= false_alarms, rises.frame, power.shape[1])
    early = np.arange(power.shape[1]) < until[:, None]
    level = (power * early).sum(axis=1) / early.sum(axis=1)
    others = np.where(early[:, None], controls, 0.0).sum(axis=2) / early.sum(axis=1)[:, None]
    usual = np.nanmedian(others, axis=1) if others.shape[1] else np.ones(n)
    ratio = (others / usual[:, None])[np.isfinite(others)]
    is_first = n * tail_probability(level / usual, ratio) <= false_alarms
    return Verdicts((expected <= false_alarms) & ~is_first, is_first, rises, expected)


def tail_probability(values: FloatArray, chance: FloatArray) -> FloatArray:
    """Probability (N,) that chance exceeds each value, from a sample of it, with an exponential beyond its quantile.

    It is never below ``LEAST_CHANCE``.
    """
    if len(chance) < 1 / TAIL:
        raise DataError(f"At least {1 / TAIL:g} controls are needed to judge changes, got {len(chance)}.")
    sample = np.sort(chance)
    start = float(np.quantile(sample, 1 - TAIL))
    excess = sample[sample > start] - start
    mean = float(excess.mean()) if len(excess) else 1e-12
    inside = 1 - np.searchsorted(sample, values, side="left") / len(sample)
    return np.asarray(
        np.where(values > start, np.maximum(TAIL * np.exp(-(values - start) / mean), LEAST_CHANCE), inside)
    )
