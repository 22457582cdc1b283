"""A micrograph as a scan of local diffractograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft

from friedel.core.arrays import Float32Array
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import Micrograph, PatternScan
from friedel.patterns.diffractogram import clean_image, window_1d

LEAST_WINDOW_PX = 16


@dataclass(frozen=True, slots=True, eq=False)
class LocalSpectra:
    """Power spectra (ry, rx, ky, kx) of the tiles of an image, computed when they are sliced."""

    image: Float32Array
    window_px: int
    step_px: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Tiles along y and x, pixels of each."""
        n_y, n_x = (1 + (n - self.window_px) // self.step_px for n in self.image.shape)
        return n_y, n_x, self.window_px, self.window_px

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return np.dtype(np.float32)

    def __getitem__(self, key: Any, /) -> Float32Array:
        """Compute the spectra of the chosen tiles; ``key`` indexes ry, rx, ky and kx like an array's."""
        ry, rx, *rest = (*key, slice(None), slice(None))[:4] if isinstance(key, tuple) else (key, slice(None))
        tiles = np.lib.stride_tricks.sliding_window_view(self.image, (self.window_px, self.window_px))
        power = self._power(tiles[:: self.step_px, :: self.step_px][ry, rx])
        return power[(..., *rest)] if rest else power

    def _power(self, tiles: Float32Array) -> Float32Array:
        window = np.outer(*(window_1d("hann", self.window_px),) * 2).astype(np.float32)
        mean = (tiles * window).sum(axis=(-2, -1), keepdims=True) / window.sum()
        spectrum = fft.fftshift(fft.fft2((tiles - mean) * window), axes=(-2, -1))
        return np.asarray((spectrum.real**2 + spectrum.imag**2) / (window**2).sum(), dtype=np.float32)


def tile(micrograph: Micrograph, window_px: int, step_px: int, *, outlier_sigmas: float = 8.0) -> PatternScan:
    """Cut a micrograph into overlapping square tiles, and take the power spectrum of each.

    Parameters
    ----------
    window_px
        Side of a tile in pixels, even; tapered to its edges (Hann), it resolves about half of that.
    step_px
        From one tile to the next.
    outlier_sigmas
        See ``FftOptions``.

    Returns
    -------
    PatternScan
        Lazy, ``origin`` "fft": float32 power in which white noise of variance v has the mean power v. Position (0, 0)
        is the tile in the corner, whose middle is half a window from the edges.

    Raises
    ------
    DataError
        If the window is odd, shorter than 16 px or longer than the micrograph, or the step is below one.
    """
    if window_px % 2 or not LEAST_WINDOW_PX <= window_px <= min(micrograph.shape):
        raise DataError(f"window_px must be even, from {LEAST_WINDOW_PX} to {min(micrograph.shape)}, got {window_px}.")
    if step_px < 1:
        raise DataError(f"step_px must be at least 1, got {step_px}.")
    image, _ = clean_image(micrograph, outlier_sigmas)
    old = micrograph.grid
    grid = ReciprocalGrid(
        step_inv_a=(1 / (window_px * old.step_a[0]), 1 / (window_px * old.step_a[1])),
        centre_px=(window_px // 2, window_px // 2),
        source=old.source,
        relative_sigma=old.relative_sigma,
    )
    between = RealGrid((old.step_a[0] * step_px, old.step_a[1] * step_px), old.source, old.relative_sigma)
    return PatternScan(LocalSpectra(image, window_px, step_px), grid, between, micrograph.beam, origin="fft")
