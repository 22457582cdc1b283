"""Spots that stay the same through a series: sightings in windows of frames, linked by their places in the FFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.spots import Spots

#: A spot is the same as one of an earlier window if it lies within this distance in 1/Å: masks are not narrower.
REACH_INV_A = 0.012


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Spots followed through the windows of a series.

    Parameters
    ----------
    track
        Number of the track that each sighting (M,) belongs to, from 0.
    window, row
        Window of each sighting, and its row among the spots of that window, (M,); windows do not decrease.
    k_inv_a
        Position (M, 2), on the side of the FFT where the track was first seen.
    snr
        Highest power over the noise, (M,).
    n_windows
        Number of windows of the series.
    """

    track: IntArray
    window: IntArray
    row: IntArray
    k_inv_a: FloatArray
    snr: FloatArray
    n_windows: int

    def __len__(self) -> int:
        """Return the number of tracks."""
        return int(self.track.max(initial=-1)) + 1

    def sightings(self, track: int) -> IntArray:
        """Indices of the sightings of a track, first window first."""
        return np.flatnonzero(self.track == track)

    def brightest(self) -> IntArray:
        """Index (N,) of the sighting of each track with the highest power over the noise."""
        order = np.lexsort((-self.snr, self.track))
        return np.asarray(order[np.searchsorted(self.track[order], np.arange(len(self)))], dtype=np.int64)

    def positions_at(self, window: float) -> FloatArray:
        """Positions (N, 2) of all tracks at a window, which may lie between two; the nearest one outside a track."""
        out = np.empty((len(self), 2))
        for i in range(len(self)):
            seen = self.sightings(i)
            for axis in (0, 1):
                out[i, axis] = np.interp(window, self.window[seen], self.k_inv_a[seen, axis])
        return out


def link_spots(found: Sequence[Spots], reach_inv_a: float = REACH_INV_A) -> Tracks:
    """Link the spots of consecutive windows into tracks.

    A spot goes on with the nearest track whose last sighting lies within reach of it or of its Friedel mate, nearest
    pairs first; what is left begins a track. A track that is not seen for some windows may come back.
    """
    last, last_k = 0, np.zeros((0, 2))
    parts: list[tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray]] = []
    for window, spots in enumerate(found):
        n = len(spots)
        apart = np.linalg.norm(last_k[:, None] - spots.k_inv_a, axis=2)
        mirrored = np.linalg.norm(last_k[:, None] + spots.k_inv_a, axis=2)
        number = _nearest_pairs(np.minimum(apart, mirrored), reach_inv_a)
        known = np.flatnonzero(number >= 0)
        sign = np.ones(n)
        sign[known] = np.where(mirrored[number[known], known] < apart[number[known], known], -1.0, 1.0)
        new = np.flatnonzero(number < 0)
        number[new] = last + np.arange(len(new))
        last += len(new)
        k = spots.k_inv_a * sign[:, None]
        last_k = np.concatenate([last_k, k[new]])
        last_k[number] = k
        parts.append((number, np.full(n, window), np.arange(n), k, spots.snr))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Tracks(columns[0], columns[1], columns[2], columns[3], columns[4], len(found))


def _nearest_pairs(distance: FloatArray, reach: float) -> IntArray:
    """Row of ``distance`` (rows, n) that each column goes with, nearest pairs first, each row once; -1 for none."""
    chosen = np.full(distance.shape[1], -1, dtype=np.int64)
    rows, columns = np.nonzero(distance <= reach)
    taken = np.zeros(distance.shape[0], dtype=bool)
    for i in np.argsort(distance[rows, columns], kind="stable"):
        if chosen[columns[i]] < 0 and not taken[rows[i]]:
            chosen[columns[i]] = rows[i]
            taken[rows[i]] = True
    return chosen
