"""Denoising a scan: alike neighbours are added up, then the network looks at each pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray
from friedel.core.images import PatternScan
from friedel.core.spots import Spots
from friedel.nets.detector import map_spots, read_map
from friedel.nets.inference import Network, prepare
from friedel.patterns.neighbours import pool_neighbours
from friedel.patterns.survey import Survey
from friedel.spots.dog import DogResponse

#: Pixels nearer to the beam than this many of its radii say nothing of whether two patterns are alike.
_BEAM_RADII = 3.0
#: Rows this near to the one that is read are kept.
_NEAR_ROWS = 2


@dataclass(frozen=True, slots=True, eq=False)
class GatheredRows:
    """Rows of a scan, ready to be looked at.

    Parameters
    ----------
    electrons
        Counts of each position with its alike neighbours (n, ky, kx).
    amount
        Number of patterns that each amounts to (n,).
    centre_px
        Transmitted beam of each (n, 2).
    """

    electrons: Float32Array
    amount: FloatArray
    centre_px: FloatArray

    def part(self, positions: slice) -> GatheredRows:
        """Return some of the positions."""
        return GatheredRows(self.electrons[positions], self.amount[positions], self.centre_px[positions])


@dataclass(frozen=True, slots=True, eq=False)
class ScanDenoiser:
    """What is needed to denoise any part of a scan; small when pickled.

    Parameters
    ----------
    network
        The network.
    centre_px
        Transmitted beam of each position (ry, rx, 2).
    gain
        Detector units per electron.
    valid
        (ky, kx), False where the detector tells nothing; such pixels are filled.
    judged
        Pixels (ky, kx) by which the likeness of neighbours is judged; None leaves neighbours alone.
    """

    network: Network
    centre_px: FloatArray
    gain: float
    valid: BoolArray | None
    judged: BoolArray | None

    @staticmethod
    def of(survey: Survey, network: Network, *, neighbours: bool = True) -> ScanDenoiser:
        """Take what a survey of the scan has found.

        Patterns in one row or one column may be a list of any: none of them is a neighbour.
        """
        scan = survey.scan
        centre = np.asarray(scan.grid.centre_px) + survey.shift_px.reshape(*scan.scan_shape, 2)
        judged = None
        if neighbours and min(scan.scan_shape) > 1:
            rows, columns = np.indices(scan.pattern_shape)
            radius = np.hypot(rows - scan.grid.centre_px[0], columns - scan.grid.centre_px[1])
            judged = radius > _BEAM_RADII * survey.spot_sigma_px + 2.0
            if scan.valid is not None:
                judged &= scan.valid
        return ScanDenoiser(network, centre, survey.gain, scan.valid, judged)

    def electrons(self, patterns: AnyArray) -> Float32Array:
        """Turn a block (ry, rx, ky, kx) in detector units into electrons, with spikes and invalid pixels filled."""
        return prepare(patterns.reshape(-1, *patterns.shape[2:]), self.gain, self.valid).reshape(patterns.shape)

    def gather(self, electrons: Float32Array) -> tuple[Float32Array, FloatArray]:
        """Add alike neighbours to each pattern of a block (ry, rx, ky, kx), and say how many there now are (ry, rx)."""
        if self.judged is None:
            return electrons, np.ones(electrons.shape[:2])
        return pool_neighbours(electrons, self.judged)

    @property
    def halo(self) -> int:
        """Number of rows about a block that are needed with it."""
        return 0 if self.judged is None else 1

    def gather_rows(self, patterns: AnyArray, start: int, stop: int) -> GatheredRows:
        """Gather the scan's rows start to stop of a block (ry, rx, ky, kx) that has the rows about them with it."""
        before = min(self.halo, start)
        electrons, amount = self.gather(self.electrons(patterns))
        rows = slice(before, before + stop - start)
        flat = electrons[rows].reshape(-1, *patterns.shape[2:])
        return GatheredRows(flat, amount[rows].ravel(), self.centre_px[start:stop].reshape(-1, 2))

    def find_spots(self, rows: GatheredRows, response: DogResponse, annulus_inv_a: tuple[float, float]) -> Spots:
        """Find the spots of gathered rows, which are filtered already; intensities are those of one pattern."""
        probability = map_spots(self.network, rows.electrons, rows.centre_px, response.sigma_px)
        trust = self.network.trust(rows.electrons)
        spots = read_map(probability, trust, response, annulus_inv_a, valid=self.valid)
        share = np.repeat(rows.amount, np.diff(spots.offsets))
        return replace(spots, intensity=spots.intensity / share)

    def look(self, electrons: Float32Array, rows: slice, columns: slice) -> tuple[Float32Array, Float32Array]:
        """Denoised electrons and spot probabilities of gathered patterns (ry, rx, ky, kx) at these positions."""
        flat = electrons.reshape(-1, *electrons.shape[2:])
        denoised, probability = self.network.run(flat, self.centre_px[rows, columns].reshape(-1, 2))
        return denoised.reshape(electrons.shape), probability.reshape(electrons.shape)


def denoise_scan(
    survey: Survey,
    network: Network,
    *,
    neighbours: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PatternScan:
    """Denoise a scan lazily: same shape, calibration and unit, float32; a row is computed when it is read.

    Parameters
    ----------
    neighbours
        Add up the counts of alike neighbouring positions first.
    progress
        Called with the last row that was computed, counted from 1, and the number of rows.
    """
    denoiser = ScanDenoiser.of(survey, network, neighbours=neighbours)
    return replace(survey.scan, data=_Denoised(survey.scan, denoiser, progress))


class _Denoised:
    """The data of a denoised scan, computed when sliced along (ry, rx)."""

    def __init__(self, scan: PatternScan, denoiser: ScanDenoiser, progress: Callable[[int, int], None]) -> None:
        self.scan, self.denoiser, self.progress = scan, denoiser, progress
        self.shape, self.dtype = scan.data.shape, np.dtype(np.float32)
        self._rows: dict[int, Float32Array] = {}

    def __getitem__(self, key: Any, /) -> AnyArray:
        """Denoise the positions asked for, by numbers or slices, and return the part of them that was asked for."""
        keys = (*key,) if isinstance(key, tuple) else (key,)
        keys += (slice(None),) * (4 - len(keys))
        (rows, in_rows), (columns, in_columns) = (_span(k, n) for k, n in zip(keys[:2], self.shape[:2], strict=True))
        return np.asarray(self._positions(rows, columns)[(in_rows, in_columns, *keys[2:])])

    def _positions(self, rows: slice, columns: slice) -> Float32Array:
        """Denoise a rectangle of positions, with the rows and columns about it at hand."""
        first, left = max(rows.start - 1, 0), max(columns.start - 1, 0)
        around = np.stack([self._electrons(row) for row in range(first, min(rows.stop + 1, self.shape[0]))])
        gathered, amount = self.denoiser.gather(around[:, left : columns.stop + 1])
        here = np.s_[rows.start - first : rows.stop - first, columns.start - left : columns.stop - left]
        denoised, _ = self.denoiser.look(gathered[here], rows, columns)
        self.progress(rows.stop, self.shape[0])
        return np.asarray(denoised * (self.denoiser.gain / amount[here])[..., None, None], dtype=np.float32)

    def _electrons(self, row: int) -> Float32Array:
        """Read a row of positions in electrons; the last few are kept, since each is needed three times."""
        if row not in self._rows:
            self._rows = {r: e for r, e in self._rows.items() if abs(r - row) <= _NEAR_ROWS}
            self._rows[row] = self.denoiser.electrons(self.scan.rows(row, row + 1))[0]
        return self._rows[row]


def _span(key: int | slice, n: int) -> tuple[slice, int | slice]:
    """Contiguous range of positions that holds what a key asks for, and the key within that range."""
    if isinstance(key, slice):
        start, stop, step = key.indices(n)
        return slice(start, max(start, stop)), slice(0, None, step)
    place = range(n)[key]
    return slice(place, place + 1), 0
