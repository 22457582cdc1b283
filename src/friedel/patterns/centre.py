"""Where the transmitted beam lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import fft, ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from friedel.core.errors import CalibrationError

_MIN_OVERLAP = 0.35
#: A direct beam must stand this many times above the median of the pattern, or the beam stop hides it.
_DIRECT_BEAM_CONTRAST = 5.0

#: Mean square radius of a beam over that of a disk of the same area, at most: an ellipse of axes 3 : 1 has 1.7.
_COMPACT = 2.0

#: A spot this many times brighter than all others is the transmitted beam, if the pattern is about as symmetric there.
_DOMINANCE = 1.4


@dataclass(frozen=True, slots=True)
class Centre:
    """The transmitted beam of a pattern.

    Parameters
    ----------
    px
        Position (ky, kx).
    sigma_px
        One-sigma error along one axis.
    method
        "direct beam": its centroid; "inversion symmetry": Friedel's law, where a beam stop hides the beam; "given": by
        the user.
    beam_sigma_px
        Root mean square radius of the direct beam along one axis; None where it is hidden.
    """

    px: tuple[float, float]
    sigma_px: float
    method: Literal["direct beam", "inversion symmetry", "given"]
    beam_sigma_px: float | None


def find_centre(pattern: AnyArray, valid: BoolArray | None = None) -> Centre:
    """Find the transmitted beam to a fraction of a pixel in a (mean) pattern (ky, kx).

    Friedel's law makes a pattern symmetric under inversion about the beam. The best centre of inversion is found
    first, with pixels that are not valid left out; if the brightest spot lies there, its centroid refines the answer.

    Raises
    ------
    CalibrationError
        If the pattern is empty or flat.
    """
    usable = np.isfinite(pattern) if valid is None else valid & np.isfinite(pattern)
    image = np.where(usable, pattern, 0.0).astype(np.float64)
    if not usable.any() or np.ptp(image[usable]) <= 0:
        raise CalibrationError("The mean pattern is flat: no transmitted beam can be found. Pass --centre KY,KX.")
    image = np.clip(image - float(np.quantile(image[usable], 0.01)), 0.0, None) * usable
    smooth = ndimage.median_filter(image, size=3, mode="nearest") * usable
    symmetric, score = _inversion_centre(smooth, usable)
    brightest = np.unravel_index(int(np.argmax(ndimage.gaussian_filter(smooth, 1.0))), smooth.shape)
    beam = _beam_centroid(image, usable, (int(brightest[0]), int(brightest[1])))
    reach = 0.06 * min(image.shape)
    if beam is not None:
        near = np.hypot(beam.px[0] - symmetric[0], beam.px[1] - symmetric[1]) < reach
        share = score(beam.px) / max(score(symmetric), 1e-6)
        if near or share > 0.9 or (share > 0.5 and _outshines(smooth, beam)):
            return beam
    return Centre(symmetric, 0.5, "inversion symmetry", None)


def _outshines(image: FloatArray, beam: Centre) -> bool:
    """Whether a beam is clearly brighter than anything else in the pattern."""
    blurred = ndimage.gaussian_filter(image, 1.0)
    rows, columns = np.indices(image.shape)
    far = np.hypot(rows - beam.px[0], columns - beam.px[1]) > 5.0 * (beam.beam_sigma_px or 1.0) + 3.0
    return bool(far.any() and blurred[~far].max() > _DOMINANCE * blurred[far].max())


def _log_light(image: FloatArray, usable: BoolArray) -> FloatArray:
    """Logarithm of an image, softened below its median."""
    return np.asarray(np.log(image + max(float(np.median(image[usable])), 1e-12)) * usable)


def _local_contrast(image: FloatArray, usable: BoolArray) -> FloatArray:
    """Logarithm of an image over its surroundings, so that spots and rings count and the halo does not."""
    light = _log_light(image, usable)
    weight = usable.astype(np.float64)
    size = max(3.0, 0.03 * min(image.shape))
    surroundings = ndimage.gaussian_filter(light * weight, size) / np.maximum(
        ndimage.gaussian_filter(weight, size), 1e-6
    )
    return np.where(usable, np.clip(light - surroundings, -1.0, 1.0), 0.0)


def _inversion_centre(image: FloatArray, usable: BoolArray) -> tuple[tuple[float, float], _Score]:
    """Find the centre that maximises the masked normalised correlation of a pattern with its inversion.

    Two views are correlated: local contrast, in which spots and rings fix the centre to a fraction of a pixel, and the
    logarithm of the light, whose halo tells the centre from the other points about which a lattice is symmetric.

    Padfield, IEEE Trans. Image Process. 21, 2706 (2012), eq. 17: with the second image equal to the first rotated by
    180 degrees, correlation becomes self-convolution.
    """
    shape = tuple(fft.next_fast_len(2 * n - 1, real=True) for n in image.shape)
    full = (slice(0, 2 * image.shape[0] - 1), slice(0, 2 * image.shape[1] - 1))

    def convolve(a: FloatArray, b: FloatArray) -> FloatArray:
        return np.asarray(fft.irfft2(fft.rfft2(a, shape) * fft.rfft2(b, shape), shape)[full])

    mask = usable.astype(np.float64)
    overlap = np.maximum(convolve(mask, mask), 1e-9)
    enough = overlap > _MIN_OVERLAP * mask.sum()

    def correlate(view: FloatArray) -> FloatArray:
        masked = view * mask
        total = convolve(masked, mask)
        covariance = convolve(masked, masked) - total**2 / overlap
        # The pattern and its inversion have one variance on their overlap, which inversion maps onto itself.
        variance = np.maximum(convolve(masked**2, mask) - total**2 / overlap, 0.0)
        usable_at = enough & (variance > 1e-9 * variance.max())
        return np.where(usable_at, covariance / np.maximum(variance, 1e-30), -1.0)

    correlation = 0.5 * (correlate(_log_light(image, usable)) + correlate(_local_contrast(image, usable)))
    peak = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    shift = _parabola_peak(correlation, (int(peak[0]), int(peak[1])))
    return (shift[0] / 2.0, shift[1] / 2.0), _Score(correlation)


@dataclass(frozen=True, slots=True, eq=False)
class _Score:
    """Inversion correlation about any centre."""

    correlation: FloatArray

    def __call__(self, px: tuple[float, float]) -> float:
        """Correlation with the pattern turned by 180 degrees about ``px``."""
        index = tuple(int(np.clip(round(2 * c), 0, n - 1)) for c, n in zip(px, self.correlation.shape, strict=True))
        return float(self.correlation[index])


def _parabola_peak(image: FloatArray, peak: tuple[int, int]) -> tuple[float, float]:
    """Refine a maximum along each axis by the parabola through it and its two neighbours."""
    out = []
    for axis in (0, 1):
        low, mid, high = (_at(image, peak, axis, step) for step in (-1, 0, 1))
        bend = low - 2 * mid + high
        out.append(peak[axis] + (0.5 * (low - high) / bend if bend < 0 else 0.0))
    return out[0], out[1]


def _at(image: FloatArray, peak: tuple[int, int], axis: int, step: int) -> float:
    index = list(peak)
    index[axis] = int(np.clip(index[axis] + step, 0, image.shape[axis] - 1))
    return float(image[index[0], index[1]])


def _beam_centroid(image: FloatArray, usable: BoolArray, start: tuple[int, int]) -> Centre | None:
    """Centroid and width of the bright spot at ``start``, above half its height; None if it does not stand out."""
    top = float(ndimage.median_filter(image, size=3, mode="nearest")[start])
    base = float(np.median(image[usable]))
    if top < _DIRECT_BEAM_CONTRAST * max(base, 1e-12):
        return None
    labels, _ = ndimage.label((image > base + 0.5 * (top - base)) & usable)
    if labels[start] == 0:
        return None
    region = labels == labels[start]
    rows, columns = np.nonzero(region)
    if rows.min() == 0 or columns.min() == 0 or rows.max() == image.shape[0] - 1 or columns.max() == image.shape[1] - 1:
        return None
    if not _is_compact(rows, columns):
        return None
    weight = np.minimum(image[region], top) - base - 0.5 * (top - base)
    weight = np.maximum(weight, 1e-12)
    total = float(weight.sum())
    px = (float(weight @ rows) / total, float(weight @ columns) / total)
    # A Gaussian has an area of 2 pi ln 2 sigma^2 above half its height. A disk's rms radius is the smaller of the two;
    # a halo about the beam swells the rms only.
    half_height = float(np.sqrt(len(rows) / (2.0 * np.pi * np.log(2.0))))
    rms = _rms_width(np.where(usable, image, base), px, reach=2.0 * float(np.sqrt(len(rows) / np.pi)) + 1.0)
    width = min(half_height, rms)
    return Centre(px, 0.1 * width / np.sqrt(len(rows)) + 0.02, "direct beam", width)


def _is_compact(rows: IntArray, columns: IntArray) -> bool:
    """Whether pixels fill a disk, for which the mean square radius is area / (2 pi), rather than an arc of a ring."""
    mean_square = float(np.var(rows) + np.var(columns))
    return mean_square <= _COMPACT * max(len(rows), 4) / (2.0 * np.pi)


def _rms_width(image: FloatArray, px: tuple[float, float], reach: float) -> float:
    """Root mean square radius along one axis of the light within ``reach`` of a beam, above the ring just outside."""
    rows, columns = np.indices(image.shape)
    radius = np.hypot(rows - px[0], columns - px[1])
    ring = (radius > reach) & (radius <= reach + 2.0)
    inside = radius <= reach
    light = np.clip(image[inside] - (float(np.median(image[ring])) if ring.any() else 0.0), 0.0, None)
    mean_square = float(light @ radius[inside] ** 2) / max(float(light.sum()), 1e-30)
    return float(np.sqrt(mean_square / 2.0))
