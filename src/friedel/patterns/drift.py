"""How far a specimen has drifted from frame to frame of a series."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse
from scipy.sparse.linalg import splu

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.images import Micrograph
from friedel.patterns.diffractogram import clean_image, window_1d

#: Each frame is compared with those so many frames before it: near ones are most alike, far ones keep errors from
#: adding up.
LAGS = (1, 2, 4, 8)
#: Frequencies that are compared, in cycles per pixel: what is slower is illumination, what is faster mostly noise. Of
#: small frames at least the first few frequencies are left out.
HIGHEST, LOWEST_BIN = 0.25, 3
#: A peak of the correlation this many times its root mean square is no chance: among a million pixels of noise the
#: highest has 5.3 times.
LEAST_PEAK = 7.0
#: Differences farther than this many robust standard deviations from the common answer count for less (Huber).
HUBER = 2.0
#: Steps (px) of the two grids on which the peak is refined, and half their sides in steps.
_FINE_PX, _HALF = (0.25, 0.02), 8

Complex64Array = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """Where the specimen is in each frame.

    Parameters
    ----------
    shift_px
        Shift (t, 2) from the first frame, (y, x) in pixels: what is at r there is at r + shift here.
    sigma_px
        One-sigma error (t, 2).
    is_known
        False (t,) for frames that are like no other: their shift is interpolated.
    """

    shift_px: FloatArray
    sigma_px: FloatArray
    is_known: BoolArray


def estimate_drift(frames: Iterable[Micrograph], tell: Callable[[int], None] = lambda done: None) -> Drift:
    """Estimate the drift of a series from its frames, of which nine are held at a time, each as a small spectrum.

    Notes
    -----
    Phase correlation (Kuglin and Hines, Proc. Int. Conf. Cybernetics and Society (1975) 163) of each frame with those
    1, 2, 4 and 8 frames before it, to a fiftieth of a pixel by a discrete transform about the peak (Guizar-Sicairos,
    Thurman, Fienup, Opt. Lett. 33 (2008) 156). The shifts of all frames are fitted to all differences by least squares
    with Huber's weights; errors come from how far the differences contradict one another.
    """
    kept: deque[Complex64Array] = deque(maxlen=max(LAGS) + 1)
    pairs: list[tuple[int, int]] = []
    found: list[tuple[float, float]] = []
    n_frames = 0
    for i, frame in enumerate(frames):
        kept.append(phase_spectrum(frame))
        for lag in (lag for lag in LAGS if lag < len(kept)):
            shift, height = shift_between(kept[-1 - lag], kept[-1], frame.shape)
            if height >= LEAST_PEAK:
                pairs.append((i - lag, i))
                found.append(shift)
        n_frames = i + 1
        tell(n_frames)
    return solve_drift(n_frames, np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(found).reshape(-1, 2))


def phase_spectrum(frame: Micrograph) -> Complex64Array:
    """Phases of the low frequencies of a frame, as the half plane kx >= 0: modulus 1, or 0 where left out."""
    image, _ = clean_image(frame, 8.0)
    wy, wx = (window_1d("tukey", n).astype(np.float32) for n in frame.shape)
    image *= wy[:, None]
    image *= wx
    rows, columns = (max(LOWEST_BIN + 1, math.ceil(HIGHEST * n)) for n in frame.shape)
    half = fft.rfft2(image)
    kept = np.concatenate([half[:rows], half[-rows + 1 :]])[:, :columns]
    y = np.concatenate([np.arange(rows), np.arange(-rows + 1, 0)])[:, None]
    x = np.arange(columns)
    radius2 = (y / frame.shape[0]) ** 2 + (x / frame.shape[1]) ** 2
    use = (radius2 <= HIGHEST**2) & (np.hypot(y, x) >= LOWEST_BIN)
    modulus = np.abs(kept)
    use &= modulus > 0
    return np.where(use, kept / np.maximum(modulus, 1e-30), 0).astype(np.complex64)


def shift_between(
    first: Complex64Array, second: Complex64Array, shape: tuple[int, int]
) -> tuple[tuple[float, float], float]:
    """Shift (y, x) in pixels from the first to the second of two ``phase_spectrum``, and the height of its peak.

    The height is in units of the root mean square that the correlation of unrelated frames has; 0 for blank frames.
    """
    cross = second * first.conj()
    rows, columns = cross.shape
    weight = np.where(np.arange(columns) > 0, 2.0, 1.0)
    noise = math.sqrt(float((np.abs(cross) ** 2 @ weight**2).sum()) / 2)
    if noise == 0.0:
        return (0.0, 0.0), 0.0
    coarse = fft.irfft2(cross, s=(rows, 2 * columns - 1))
    peak = np.unravel_index(int(np.argmax(coarse)), coarse.shape)
    signed = [(int(p) + n // 2) % n - n // 2 for p, n in zip(peak, coarse.shape, strict=True)]
    centre = np.array([p * full / n for p, n, full in zip(signed, coarse.shape, shape, strict=True)])
    coarse_px = max(full / n for n, full in zip(coarse.shape, shape, strict=True))
    height = 0.0
    for step in (max(coarse_px / _HALF, _FINE_PX[0]), _FINE_PX[0] / _HALF, _FINE_PX[1]):
        centre, height = _highest(cross, weight, shape, centre, step)
    return (float(centre[0]), float(centre[1])), height / noise


def _highest(cross: Complex64Array, weight: FloatArray, shape: tuple[int, int], centre: FloatArray,
             step_px: float) -> tuple[FloatArray, float]:  # fmt: skip
    """Highest point of the correlation on a fine grid about a position, and its height."""
    rows, columns = cross.shape
    reach = step_px * np.arange(-_HALF, _HALF + 1)
    ky = np.concatenate([np.arange((rows + 1) // 2), np.arange(-(rows // 2), 0)]) / shape[0]
    kx = np.arange(columns) / shape[1]
    turn_y = np.exp(2j * np.pi * (centre[0] + reach)[:, None] * ky)
    turn_x = np.exp(2j * np.pi * kx[:, None] * (centre[1] + reach)) * weight[:, None]
    values = (turn_y @ cross @ turn_x).real
    at = np.unravel_index(int(np.argmax(values)), values.shape)
    return centre + np.array([reach[at[0]], reach[at[1]]]), float(values[at])


def solve_drift(n_frames: int, pairs: IntArray, found_px: FloatArray) -> Drift:
    """Fit shifts (t, 2) from the first frame to differences (M, 2) between the frames ``pairs`` (M, 2).

    A frame without any difference lies on the line between its neighbours.
    """
    linked = np.isin(np.arange(n_frames), pairs)
    # A weak spring between neighbours places the frames, or groups of them, that no difference ties to others.
    neighbours = np.stack([np.arange(n_frames - 1), np.arange(1, n_frames)], axis=1)
    spring = 1e-6
    weight = np.ones(len(pairs))
    sigma = np.full(2, np.nan)
    for _ in range(20):
        matrix = _laplacian(n_frames, pairs, weight) + _laplacian(n_frames, neighbours, np.full(n_frames - 1, spring))
        pull = np.zeros((n_frames, 2))
        np.add.at(pull, pairs[:, 1], weight[:, None] * found_px)
        np.add.at(pull, pairs[:, 0], -weight[:, None] * found_px)
        factors = splu((matrix + sparse.diags_array(np.eye(1, n_frames)[0])).tocsc())
        shift = factors.solve(pull)
        shift -= shift[0]
        residual = found_px - (shift[pairs[:, 1]] - shift[pairs[:, 0]])
        # As many differences as unknowns leave no residual: the error is then that of the finest grid.
        freedom = max(1.0 - (n_frames - 1) / max(len(pairs), 1), 0.25)
        sigma = 1.4826 * np.median(np.abs(residual), axis=0) / math.sqrt(freedom) if len(pairs) else sigma
        sigma = np.maximum(sigma, _FINE_PX[1] / math.sqrt(12))
        updated = np.minimum(1.0, HUBER / np.maximum(np.hypot(*(residual / sigma).T), 1e-9))
        if len(pairs) == 0 or np.abs(updated - weight).max() < 1e-3:
            break
        weight = updated
    spread = np.sqrt(np.maximum(_variance_from_first(factors, n_frames), 0.0))
    return Drift(shift, spread[:, None] * sigma, linked | (np.arange(n_frames) == 0))


def _laplacian(n: int, pairs: IntArray, weight: FloatArray) -> sparse.csc_array:
    """Normal matrix (n, n) of differences between pairs."""
    i, j = pairs.T
    rows, columns = np.concatenate([i, j, i, j]), np.concatenate([i, j, j, i])
    return sparse.csc_array((np.concatenate([weight, weight, -weight, -weight]), (rows, columns)), shape=(n, n))


def _variance_from_first(factors: splu, n: int) -> FloatArray:
    """Variance (n,) of each unknown relative to the first, for differences of variance 1."""
    out = np.empty(n)
    for start in range(0, n, 256):
        unit = np.eye(n)[:, start : start + 256]
        columns = factors.solve(unit)
        out[start : start + 256] = columns[np.arange(start, start + columns.shape[1]), np.arange(columns.shape[1])]
    # The first frame is tied to zero with weight 1, which adds 1 to every variance.
    return np.asarray(out - out[0])
