"""How good found spots are: matching with the true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray, IntArray

#: Kinds of true spots: to be found; too faint to be asked for, and not wrong if found.
FAINT, WANTED = 1, 2
#: Verdicts on found spots: there is none; it is true; it is at a faint one.
FALSE, HIT, EXCUSED = range(3)
#: A spot is to be found if it holds this share of the electrons or this signal to noise; fainter ones, down to the last
#: figure, are neither right nor wrong.
SPOT_SHARE, SPOT_SNR, FAINT_SNR = 1e-3, 3.0, 0.3


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over patterns.

    Parameters
    ----------
    hits, false, missed
        Found spots that are true, found spots that are not, and true spots not found.
    squared_error_px2
        Sum of the squared distances (both axes) of the hits.
    patterns
        Number of patterns.
    """

    hits: int = 0
    false: int = 0
    missed: int = 0
    squared_error_px2: float = 0.0
    patterns: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.hits + other.hits,
            self.false + other.false,
            self.missed + other.missed,
            self.squared_error_px2 + other.squared_error_px2,
            self.patterns + other.patterns,
        )

    @property
    def precision(self) -> float:
        """Share of found spots that are true; 1 where none is found."""
        return self.hits / max(self.hits + self.false, 1) if self.hits + self.false else 1.0

    @property
    def recall(self) -> float:
        """Share of true spots that are found."""
        return self.hits / max(self.hits + self.missed, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.hits / max(2 * self.hits + self.false + self.missed, 1)

    @property
    def error_px(self) -> float:
        """Root mean square error of the position along one axis."""
        return float(np.sqrt(self.squared_error_px2 / max(2 * self.hits, 1)))


def score_spots(found_px: FloatArray, true_px: FloatArray, kind: IntArray, tolerance_px: float | FloatArray) -> Score:
    """Match the spots found in one pattern (M, 2), best first, with the true ones (N, 2), and count."""
    verdict, distance = match_spots(found_px, true_px, kind, tolerance_px)
    hits, false = int((verdict == HIT).sum()), int((verdict == FALSE).sum())
    wanted = int((kind == WANTED).sum())
    return Score(hits, false, wanted - hits, float((distance[verdict == HIT] ** 2).sum()), 1)


def match_spots(
    found_px: FloatArray, true_px: FloatArray, kind: IntArray, tolerance_px: float | FloatArray
) -> tuple[IntArray, FloatArray]:
    """Say of each spot found in one pattern (M, 2), best first, whether it is true, and how far off it is, in px.

    A true spot (N, 2) is matched once, by the first found spot for which it is the nearest one left within the
    tolerance; a second one there is false. A spot found at a faint one is neither right nor false. The tolerance may be
    one for each true spot (N,). What comes later in the list changes nothing for what comes before.

    Returns
    -------
    verdict (M,), HIT, FALSE or EXCUSED, and distance of the hits (M,), infinite for others.
    """
    wanted, faint = true_px[kind == WANTED], true_px[kind == FAINT]
    reach = np.broadcast_to(tolerance_px, kind.shape)
    reach_wanted, reach_faint = reach[kind == WANTED], reach[kind == FAINT]
    is_free = np.ones(len(wanted), dtype=bool)
    verdict = np.full(len(found_px), FALSE)
    off = np.full(len(found_px), np.inf)
    near_faint = np.zeros(len(found_px), dtype=bool)
    if len(faint) and len(found_px):
        near_faint = (np.hypot(*(found_px[:, None] - faint).transpose(2, 0, 1)) <= reach_faint).any(axis=1)
    for i, px in enumerate(found_px):
        distance = np.hypot(*(wanted - px).T)
        distance = np.where(is_free & (distance <= reach_wanted), distance, np.inf)
        if np.isfinite(distance).any():
            nearest = int(distance.argmin())
            is_free[nearest] = False
            verdict[i], off[i] = HIT, distance[nearest]
        elif near_faint[i]:
            verdict[i] = EXCUSED
    return verdict, off


def judge_spots(
    px: FloatArray, electrons: FloatArray, background: FloatArray, dose_electrons: float, width_px: float,
    radius_px: float,
) -> IntArray:  # fmt: skip
    """Say of each true spot (N,) of a pattern whether it is wanted, faint, or no spot (0).

    Parameters
    ----------
    px
        Positions (N, 2), all on the detector.
    electrons, background
        Expected electrons in each spot, and per pixel about it (N,).
    width_px, radius_px
        One-sigma blur and disk radius.

    Notes
    -----
    Signal to noise is that of the flux in a matched Gaussian or disk over a known background. A spot that is nearer to
    a brighter wanted one than 1.6 widths or 0.8 radii, or 2 px, is faint.
    """
    area = 4.0 * np.pi * width_px**2 + np.pi * radius_px**2
    snr = electrons / np.sqrt(area * background + electrons + 1.0)
    kind = np.where(snr > FAINT_SNR, FAINT, 0)
    kind = np.where((electrons > SPOT_SHARE * dose_electrons) | (snr > SPOT_SNR), WANTED, kind)
    closest = max(2.0, 1.6 * width_px, 0.8 * radius_px)
    apart = np.hypot(*(px[:, None] - px[None]).transpose(2, 0, 1))
    crowded = (apart < closest) & (electrons[None] > electrons[:, None]) & (kind[None] == WANTED)
    return np.asarray(np.where(crowded.any(axis=1) & (kind == WANTED), FAINT, kind), dtype=np.int64)
