"""Where in a micrograph a lattice fringe is: the envelope of one Bragg spot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from friedel.core.arrays import AnyArray, Float32Array, FloatArray, IntArray
from friedel.core.errors import CalibrationError, DataError
from friedel.core.images import Micrograph
from friedel.patterns.diffractogram import clean_image

#: The mask's response in real space is negligible beyond this many times 1 / radius.
RESPONSE_REACH = 2.0

Complex64Array = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class BraggSpectrum:
    """Fourier transform of a padded micrograph, from which the envelope of any spot is computed.

    Parameters
    ----------
    half
        ``scipy.fft.rfft2`` of the mean-subtracted micrograph with zeros beyond its edge, (padded y, padded x // 2 + 1).
    padded_shape, shape
        Shapes in px with and without the zeros.
    step_a
        Pixel size (y, x).
    """

    half: Complex64Array
    padded_shape: tuple[int, int]
    shape: tuple[int, int]
    step_a: tuple[float, float]

    @property
    def step_inv_a(self) -> tuple[float, float]:
        """1/Å per pixel of the padded spectrum."""
        return 1 / (self.padded_shape[0] * self.step_a[0]), 1 / (self.padded_shape[1] * self.step_a[1])


def bragg_spectrum(micrograph: Micrograph, radius_inv_a: float, outlier_sigmas: float = 8.0) -> BraggSpectrum:
    """Transform a micrograph, padded so that masks of at least ``radius_inv_a`` (1/Å) do not wrap around its edges."""
    _check_radius(radius_inv_a)
    image, _ = clean_image(micrograph, outlier_sigmas)
    pads = [math.ceil(RESPONSE_REACH / (radius_inv_a * step)) for step in micrograph.grid.step_a]
    padded = [fft.next_fast_len(n + min(pad, n), real=True) for n, pad in zip(image.shape, pads, strict=True)]
    half = fft.rfft2(image, s=padded)
    return BraggSpectrum(half, (padded[0], padded[1]), micrograph.shape, micrograph.grid.step_a)


def fringe_wave(spectrum: BraggSpectrum, k_inv_a: tuple[float, float], radius_inv_a: float,
                map_step_px: int = 1) -> Complex64Array:  # fmt: skip
    """Compute the complex envelope of the fringe at +k alone.

    Parameters
    ----------
    k_inv_a
        Position (ky, kx) of the spot in 1/Å.
    radius_inv_a
        Radius of the mask in 1/Å: cos^2 from 1 at its centre to 0 at the radius.
    map_step_px
        Only every so many-th pixel is computed; the envelope varies over 1 / radius, not from pixel to pixel.

    Returns
    -------
    NDArray
        complex64 (y, x), modulus: amplitude A of a fringe A cos(2 pi k r + phase), in the micrograph's unit.

    Notes
    -----
    The masked spectrum has few pixels, so that the inverse transform is two matrix products, exact for every shape.
    The zeros beyond the edge are allowed for by normalised convolution (Knutsson and Westin, Proc. CVPR 1993, 515):
    the envelope is divided by the mask's response to the picture's outline, so that a fringe keeps its amplitude up
    to the edge and nothing wraps around.
    """
    return fringe_wave_and_weight(spectrum, k_inv_a, radius_inv_a, map_step_px)[0]


def fringe_wave_and_weight(spectrum: BraggSpectrum, k_inv_a: tuple[float, float], radius_inv_a: float,
                           map_step_px: int = 1, at_px: tuple[AnyArray, AnyArray] | None = None,
                           ) -> tuple[Complex64Array, Float32Array]:  # fmt: skip
    """Compute the ``fringe_wave``, and the share (y, x) of the mask's response that falls on the picture.

    The share is 1 inside, 1/2 at an edge, 1/4 in a corner. The wave was divided by it, which raises noise there by
    one over its root.

    Parameters
    ----------
    at_px
        Rows and columns of the map's positions on the picture; they may lie between pixels. None takes every
        ``map_step_px``-th pixel.
    """
    masked, (dy, dx) = _masked(spectrum, k_inv_a, radius_inv_a)
    rows, columns = at_px or tuple(np.arange(0, n, map_step_px) for n in spectrum.shape)
    inverse_y, inverse_x = _inverse(spectrum, 0, dy, rows), _inverse(spectrum, 1, dx, columns)
    wave = inverse_y @ masked @ inverse_x.T
    outline = np.outer(_outline(spectrum, 0, dy), _outline(spectrum, 1, dx))
    share = np.abs(inverse_y @ (outline * _mask(dy, dx, radius_inv_a)).astype(np.complex64) @ inverse_x.T)
    weight = np.maximum(share, np.float32(0.05)).astype(np.float32)
    return np.asarray(2.0 * wave / weight, dtype=np.complex64), weight


def fringe_at(spectrum: BraggSpectrum, k_inv_a: tuple[float, float], radius_inv_a: float,
              at_px: AnyArray) -> Complex64Array:  # fmt: skip
    """Compute the ``fringe_wave`` at single positions (M, 2) of the picture, not raised where the picture ends."""
    masked, offsets = _masked(spectrum, k_inv_a, radius_inv_a)
    turn_y, turn_x = (_inverse(spectrum, axis, offsets[axis], at_px[:, axis]) for axis in (0, 1))
    return np.asarray(2.0 * ((turn_y @ masked) * turn_x).sum(axis=1), dtype=np.complex64)


def power_near(spectrum: BraggSpectrum, k_inv_a: tuple[float, float], radii_inv_a: tuple[float, float]) -> float:
    """Mean power of the noise in a ring about a spot, from its median; white noise of variance v has v."""
    bins, (dy, dx) = _bins(spectrum, k_inv_a, radii_inv_a[1])
    distance = np.hypot(dy[:, None], dx)
    power = np.abs(_gather(spectrum, *bins)[(distance > radii_inv_a[0]) & (distance <= radii_inv_a[1])]) ** 2
    return float(np.median(power)) / (math.log(2) * spectrum.shape[0] * spectrum.shape[1])


def bragg_amplitude(micrograph: Micrograph, k_inv_a: AnyArray, radius_inv_a: float) -> Float32Array:
    """Compute the joint amplitude of one or more fringes: the root of the sum of their squared amplitudes.

    Parameters
    ----------
    k_inv_a
        Positions (M, 2) in order (ky, kx), 1/Å; one of each Friedel pair.
    radius_inv_a
        Radius of the mask about each, 1/Å; the map resolves about 1 / radius.

    Returns
    -------
    Float32Array
        (y, x), an envelope without fringes, because -k is left out.

    Raises
    ------
    CalibrationError
        If a spot lies beyond the Nyquist frequency, or the radius is not positive.
    """
    k = np.asarray(k_inv_a, dtype=np.float64)
    if k.ndim != 2 or k.shape[1] != 2:
        raise DataError(f"k_inv_a must have shape (M, 2), got {k.shape}.")
    spectrum = bragg_spectrum(micrograph, radius_inv_a)
    power = np.zeros(micrograph.shape, dtype=np.float32)
    for ky, kx in k:
        power += np.abs(fringe_wave(spectrum, (float(ky), float(kx)), radius_inv_a)) ** 2
    return np.asarray(np.sqrt(power))


def noise_amplitude(spectrum: BraggSpectrum, noise_power: float, radius_inv_a: float) -> float:
    """Root mean square amplitude that noise alone gives behind a mask of this radius.

    ``noise_power`` is the mean power per pixel of noise in a ``diffractogram`` at the spot. From Parseval's theorem:
    the variance of the envelope is 4 v a_y a_x times the integral of the squared mask, which for cos^2 of radius R is
    2 pi R^2 (3/16 - 1/pi^2).
    """
    mask_area = 2 * np.pi * radius_inv_a**2 * (3 / 16 - 1 / np.pi**2)
    return math.sqrt(4 * noise_power * spectrum.step_a[0] * spectrum.step_a[1] * mask_area)


def _check_radius(radius_inv_a: float) -> None:
    if not (math.isfinite(radius_inv_a) and radius_inv_a > 0):
        raise CalibrationError(f"The mask's radius_inv_a must be positive in 1/Å, got {radius_inv_a}.")


def _check_inside(spectrum: BraggSpectrum, k_inv_a: tuple[float, float]) -> None:
    limits = tuple(0.5 / step for step in spectrum.step_a)
    if not all(abs(k) <= limit for k, limit in zip(k_inv_a, limits, strict=True)):
        raise CalibrationError(
            f"The spot at (ky, kx) = ({k_inv_a[0]:.4g}, {k_inv_a[1]:.4g}) 1/Å lies beyond the Nyquist frequency "
            f"({limits[0]:.4g}, {limits[1]:.4g}) 1/Å of this micrograph. Check the pixel size and the order (ky, kx)."
        )


def _bins(
    spectrum: BraggSpectrum, k_inv_a: tuple[float, float], radius: float
) -> tuple[list[IntArray], list[FloatArray]]:
    """Signed indices of the spectrum's pixels within the mask along each axis, and their distances from the spot."""
    bins: list[IntArray] = []
    for k, step in zip(k_inv_a, spectrum.step_inv_a, strict=True):
        inside = np.arange(math.ceil((k - radius) / step), math.floor((k + radius) / step) + 1)
        bins.append(inside if len(inside) else np.array([round(k / step)]))
    distances = [np.asarray(b * s - k) for b, s, k in zip(bins, spectrum.step_inv_a, k_inv_a, strict=True)]
    return bins, distances


def _mask(dy: FloatArray, dx: FloatArray, radius: float) -> FloatArray:
    """Weights of the mask: cos^2 from 1 at its centre to 0 at the radius."""
    return np.asarray(np.cos(0.5 * np.pi * np.minimum(np.hypot(dy[:, None], dx) / radius, 1.0)) ** 2)


def _masked(
    spectrum: BraggSpectrum, k_inv_a: tuple[float, float], radius: float
) -> tuple[Complex64Array, list[FloatArray]]:
    """Spectrum behind the mask, and the distances of its pixels from the spot along each axis."""
    _check_radius(radius)
    _check_inside(spectrum, k_inv_a)
    bins, (dy, dx) = _bins(spectrum, k_inv_a, radius)
    return (_gather(spectrum, *bins) * _mask(dy, dx, radius)).astype(np.complex64), [dy, dx]


def _gather(spectrum: BraggSpectrum, rows: AnyArray, cols: AnyArray) -> Complex64Array:
    """Take a block of the whole spectrum from the half that is stored, by Friedel's law F(-k) = F(k)*."""
    height, width = spectrum.padded_shape
    cols = (cols + width // 2) % width - width // 2
    mirrored = (cols < 0)[None, :]
    row = np.where(mirrored, -rows[:, None], rows[:, None]) % height
    block = spectrum.half[row, np.abs(cols)[None, :]]
    return np.asarray(np.where(mirrored, block.conj(), block))


def _inverse(spectrum: BraggSpectrum, axis: int, offset_inv_a: FloatArray, at_px: AnyArray) -> Complex64Array:
    """Matrix (positions, bins) of the inverse transform about the spot along one axis."""
    y_a = at_px * spectrum.step_a[axis]
    return np.asarray(
        np.exp(2j * np.pi * y_a[:, None] * offset_inv_a) / spectrum.padded_shape[axis], dtype=np.complex64
    )


def _outline(spectrum: BraggSpectrum, axis: int, offset_inv_a: FloatArray) -> AnyArray:
    """Fourier transform of the picture's extent along one axis at these distances from the spot."""
    n, step_a = spectrum.shape[axis], spectrum.step_a[axis]
    phase = offset_inv_a * step_a
    return np.asarray(np.exp(-1j * np.pi * phase * (n - 1)) * np.sinc(n * phase) / np.sinc(phase) * n)
