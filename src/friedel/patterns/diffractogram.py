"""From a micrograph to its power spectrum on a calibrated grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import fft

from friedel.core.arrays import (
    AnyArray,
    BoolArray,
    Float32Array,
    FloatArray,
    IntArray,
    require_camera_values,
)
from friedel.core.errors import DataError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Micrograph, Pattern

WindowName = Literal["hann", "tukey", "none"]

#: Share of a Tukey window that is tapered, both ends together: enough for unbiased positions between pixels.
TUKEY_TAPER = 0.5
#: An outlier of a micrograph stands alone: in a box of this side (px) at most this many pixels are nearly as high.
RIVAL_BOX_PX, MOST_RIVALS = 33, 6
#: Of an image of so many pixels, one in sixteen tells median and spread to a hundredth of the latter.
_MANY_PIXELS = 2**18
#: Standard deviation of a Gaussian over its median absolute deviation.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class FftOptions:
    """How a micrograph is prepared for its Fourier transform.

    Parameters
    ----------
    window
        "tukey" tapers the outer quarter on each side; "hann" leaks least, but hides grains near the border (an eighth
        of the side from it their power counts 2 %, against 25 % with "tukey"); "none" leaves cross streaks.
    outlier_sigmas
        Lone pixels farther than this many robust standard deviations from the median of the micrograph (hot pixels,
        X-rays) are replaced by the median of their neighbours, see ``outliers``.
    """

    window: WindowName = "tukey"
    outlier_sigmas: float = 8.0

    def __post_init__(self) -> None:
        if self.window not in ("hann", "tukey", "none"):
            raise DataError(f'window must be "hann", "tukey" or "none", got {self.window!r}.')
        if not self.outlier_sigmas >= 4:
            raise DataError(f"outlier_sigmas must be at least 4, got {self.outlier_sigmas}.")


def window_1d(name: WindowName, length: int) -> FloatArray:
    """Return the window of this length, symmetric about its middle and periodic as the transform asks."""
    x = (np.arange(length) + 0.5) / length
    if name == "none":
        return np.ones(length)
    taper = 1.0 if name == "hann" else TUKEY_TAPER
    edge = np.minimum(np.minimum(x, 1 - x) / (taper / 2), 1.0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * edge))


def window_correlation(name: WindowName, max_lag_px: int) -> FloatArray:
    """Correlation of the complex amplitudes of white noise at 0 .. ``max_lag_px`` pixels' distance in its spectrum.

    It is the Fourier transform of the squared window (Harris, Proc. IEEE 66 (1978) 51, section IV), real because the
    window is symmetric, and hardly depends on the window's length.
    """
    length = 4096
    w2 = window_1d(name, length) ** 2
    x = (np.arange(length) + 0.5) / length - 0.5
    lags = np.arange(max_lag_px + 1)
    return np.asarray(np.cos(2 * np.pi * lags[:, None] * x) @ w2 / w2.sum())


def outliers(image: AnyArray, sigmas: float) -> BoolArray:
    """Mark pixels (y, x) that lie more than ``sigmas`` robust standard deviations from the median, and stand alone.

    A pixel stands alone if at most ``MOST_RIVALS`` pixels about it deviate a half to a quarter as much. Those in its
    own rows and columns, 3 px wide, are not counted: they are the spread of its charge, or a broken line of the camera.
    Atom columns, fringes and particles have their like beside them, or are wider than that, however bright they are.
    A hot pixel of height h adds h^2 / (number of pixels) to every pixel of the power spectrum of the image, so that
    one below the limit does no harm.
    """
    sample = image if image.size < _MANY_PIXELS else image[::4, ::4]
    median = float(np.median(sample))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(sample - np.float64(median))))
    if sigma == 0:
        sigma = float(np.std(sample, dtype=np.float64))
    found = np.zeros(image.shape, dtype=bool)
    if sigma == 0:
        return found
    deviation = np.abs(image - np.float32(median))
    limit = sigmas * sigma
    while (deviation > limit).any():
        rows, cols = np.nonzero((deviation > limit) & (deviation <= 2 * limit))
        if len(rows):
            found[rows, cols] = _rivals(deviation > limit / 2, rows, cols) <= MOST_RIVALS
        limit *= 2
    return found


def _rivals(high: BoolArray, rows: IntArray, cols: IntArray) -> IntArray:
    """Count marked pixels in the box about each of some pixels, but for those in its own rows and columns."""
    reach = RIVAL_BOX_PX // 2
    padded = np.pad(high, ((reach + 1, reach), (reach + 1, reach)), mode="symmetric")
    table = padded.cumsum(axis=0, dtype=np.int32).cumsum(axis=1)

    def count(half_height: int, half_width: int) -> IntArray:
        above, below = rows + reach - half_height, rows + reach + half_height + 1
        left, right = cols + reach - half_width, cols + reach + half_width + 1
        return np.asarray(table[below, right] - table[above, right] - table[below, left] + table[above, left])

    return count(reach, reach) - count(1, reach) - count(reach, 1) + count(1, 1)


def clean_image(micrograph: Micrograph, outlier_sigmas: float) -> tuple[Float32Array, int]:
    """Return the micrograph as float32 about zero with outliers replaced by a local median, and their number."""
    raw = micrograph.data
    low, high = float(raw.min()), float(raw.max())
    require_camera_values(max(abs(low), abs(high)), high - low)
    image = (raw - np.mean(raw, dtype=np.float64)).astype(np.float32)
    bad = outliers(image, outlier_sigmas)
    if not bad.any():
        return image, 0
    rows, cols = np.nonzero(bad)
    offsets = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3), indexing="ij"), axis=-1).reshape(-1, 2)
    y = np.clip(rows[:, None] + offsets[:, 0], 0, image.shape[0] - 1)
    x = np.clip(cols[:, None] + offsets[:, 1], 0, image.shape[1] - 1)
    around = np.where(bad[y, x], np.nan, image[y, x])
    around[np.isnan(around).all(axis=1)] = 0.0
    image[rows, cols] = np.nanmedian(around, axis=1)
    image -= np.mean(image, dtype=np.float64)  # the outliers had their say in the mean
    return image, len(rows)


def diffractogram(micrograph: Micrograph, options: FftOptions | None = None) -> Pattern:
    """Compute the calibrated power spectrum of a micrograph of any shape.

    Returns
    -------
    Pattern
        float32 power of shape (y, x), the zero frequency at pixel ``(y // 2, x // 2)``, step ``1 / (length * step_a)``
        along each axis, ``origin`` "fft".

    Raises
    ------
    DataError
        If a side is shorter than 16 px.

    Notes
    -----
    P(k) = |sum_r w(r) (f(r) - m) exp(-2 pi i k r)|^2 / sum_r w(r)^2 with m the mean of f under the window w, so that
    white noise of variance v has the mean power v (Parseval), whatever the window and the shape. Nothing is scaled
    to a display range on the way.
    """
    return diffractogram_and_outliers(micrograph, options or FftOptions())[0]


def diffractogram_and_outliers(micrograph: Micrograph, options: FftOptions) -> tuple[Pattern, int]:
    """Compute the ``diffractogram`` and say how many pixels of the micrograph were replaced as outliers."""
    height, width = micrograph.shape
    if min(height, width) < 16:
        raise DataError(f"A diffractogram needs at least 16 x 16 px, got {height} x {width}.")
    image, n_outliers = clean_image(micrograph, options.outlier_sigmas)
    wy, wx = window_1d(options.window, height), window_1d(options.window, width)
    mean = (wy @ image @ wx) / (wy.sum() * wx.sum())
    image -= np.float32(mean)
    image *= wy[:, None].astype(np.float32)
    image *= wx.astype(np.float32)
    spectrum = fft.rfft2(image)
    half = (spectrum.real**2 + spectrum.imag**2) / np.float32((wy**2).sum() * (wx**2).sum())
    step_y, step_x = micrograph.grid.step_a
    grid = ReciprocalGrid(
        step_inv_a=(1 / (height * step_y), 1 / (width * step_x)),
        centre_px=(height // 2, width // 2),
        source=micrograph.grid.source,
        relative_sigma=micrograph.grid.relative_sigma,
    )
    return Pattern(_whole_plane(half, width), grid, origin="fft"), n_outliers


def _whole_plane(half: Float32Array, width: int) -> Float32Array:
    """Complete the half plane kx >= 0 of a real image's power by Friedel's law and move the origin to the middle."""
    height = half.shape[0]
    whole = np.empty((height, width), dtype=half.dtype)
    whole[:, : half.shape[1]] = half
    rows = -np.arange(height) % height
    whole[:, half.shape[1] :] = half[rows, width - half.shape[1] : 0 : -1]
    return np.asarray(fft.fftshift(whole))
