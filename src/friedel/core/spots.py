"""The table of measured spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray, read_only
from friedel.core.errors import DataError
from friedel.core.showing import card_of_spots


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Spots:
    """Measured spots of one or many patterns, as a struct of arrays.

    Parameters
    ----------
    k_inv_a
        Positions (M, 2) in order (ky, kx).
    sigma_inv_a
        One-sigma errors (M, 2).
    intensity
        Intensity above the local background (M,), in the unit of the pattern.
    snr
        Peak height above the local background over the noise there (M,).
    offsets
        Spots of pattern i are ``offsets[i]:offsets[i + 1]``; brightest first within a pattern.
    scan_shape
        (ry, rx) of the patterns, in C order.
    """

    k_inv_a: FloatArray
    sigma_inv_a: FloatArray
    intensity: FloatArray
    snr: FloatArray
    offsets: IntArray
    scan_shape: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        for name, ndim, dtype in (("k_inv_a", 2, float), ("sigma_inv_a", 2, float), ("intensity", 1, float),
                                  ("snr", 1, float), ("offsets", 1, np.int64)):  # fmt: skip
            object.__setattr__(self, name, read_only(getattr(self, name), ndim=ndim, name=f"Spots.{name}", dtype=dtype))
        n = len(self.intensity)
        if self.k_inv_a.shape != (n, 2) or self.sigma_inv_a.shape != (n, 2) or self.snr.shape != (n,):
            raise DataError(f"Spots must have one entry per spot in every column, got {n} intensities.")
        ry, rx = self.scan_shape
        if len(self.offsets) != ry * rx + 1 or self.offsets[0] != 0 or self.offsets[-1] != n:
            raise DataError(f"Spots.offsets must run from 0 to {n} in {ry * rx + 1} values, got {len(self.offsets)}.")
        if (np.diff(self.offsets) < 0).any():
            raise DataError("Spots.offsets must not decrease.")

    def __repr__(self) -> str:
        return card_of_spots(self, with_pictures=False).text()

    def _repr_html_(self) -> str:
        return card_of_spots(self).html()

    def __len__(self) -> int:
        return len(self.intensity)

    @property
    def radius_inv_a(self) -> FloatArray:
        """Distance from the transmitted beam, (M,)."""
        return np.asarray(np.hypot(self.k_inv_a[:, 0], self.k_inv_a[:, 1]))

    @property
    def n_patterns(self) -> int:
        """Number of patterns."""
        return len(self.offsets) - 1

    def of(self, index: int) -> Spots:
        """Return the spots of one pattern."""
        part = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self._part(part, np.array([0, part.stop - part.start]), (1, 1))

    def where(self, keep: BoolArray) -> Spots:
        """Return the spots for which ``keep`` (M,) is true, in the same patterns."""
        counts = np.add.reduceat(np.append(keep, False), self.offsets[:-1]) if len(keep) else np.zeros(self.n_patterns)
        counts = np.where(np.diff(self.offsets) > 0, counts, 0)
        return self._part(keep, np.concatenate([[0], np.cumsum(counts)]), self.scan_shape)

    def _part(self, key: slice | BoolArray, offsets: FloatArray | IntArray, scan_shape: tuple[int, int]) -> Spots:
        columns = (self.k_inv_a[key], self.sigma_inv_a[key], self.intensity[key], self.snr[key])
        return Spots(*columns, np.asarray(offsets, dtype=np.int64), scan_shape)

    @staticmethod
    def empty() -> Spots:
        """Return no spots in one pattern."""
        none = np.zeros((0, 2))
        return Spots(none, none, np.zeros(0), np.zeros(0), np.array([0, 0]))

    @staticmethod
    def join(parts: Sequence[Spots], scan_shape: tuple[int, int]) -> Spots:
        """Join the spots of consecutive patterns into one table."""
        counts = [np.diff(p.offsets) for p in parts]
        return Spots(
            np.concatenate([p.k_inv_a for p in parts]),
            np.concatenate([p.sigma_inv_a for p in parts]),
            np.concatenate([p.intensity for p in parts]),
            np.concatenate([p.snr for p in parts]),
            np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
            scan_shape,
        )
