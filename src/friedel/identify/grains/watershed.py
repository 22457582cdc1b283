"""From an amplitude to regions: Otsu's threshold, opening, watershed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from friedel.core.arrays import AnyArray, BoolArray, Float32Array
from friedel.core.errors import DataError

N_BINS = 256
#: The amplitude of noise has a Rayleigh distribution: it exceeds this many root mean squares in exp(-6.25) = 0.2 % of
#: the pixels.
NOISE_RMS = 2.5
#: A region of noise seldom rises to this many root mean squares (exp(-12.25) = 5e-6 of the pixels): one that does not
#: is dropped.
SUMMIT_RMS = 3.5
#: Cores of a watershed: pixels farther from the edge than this share of the farthest one.
CORE_SHARE = 0.6


#: The plateau of an amplitude is this percentile of what stands out of the noise.
PLATEAU_PERCENTILE = 85.0


@dataclass(frozen=True, slots=True)
class WatershedOptions:
    """How an amplitude is cut into regions.

    The defaults, but for ``rule``, are those of Raghavendran et al., 10.1111/jmi.13413; with ``rule`` "otsu" they are
    that paper's preset.

    Parameters
    ----------
    rule
        "half-height": a region ends where the amplitude has fallen to half of its plateau, which is where a blurred
        edge lies. "otsu": Otsu's threshold, opening and dilation.
    opening_px
        Side of the square of the morphological opening, odd.
    opening_iterations
        Erosions, followed by as many dilations; 0 leaves the mask as it is.
    dilation_iterations
        Dilations at the end.
    min_separation
        Otsu's threshold is trusted if the variance between its two classes is at least this share of the whole. A
        Gaussian or Rayleigh distribution, which has no two classes, reaches 0.64 to 0.66.
    """

    rule: Literal["half-height", "otsu"] = "half-height"
    opening_px: int = 7
    opening_iterations: int = 2
    dilation_iterations: int = 0
    min_separation: float = 0.72

    def __post_init__(self) -> None:
        if self.rule not in ("half-height", "otsu"):
            raise DataError(f'rule must be "half-height" or "otsu", got {self.rule!r}.')
        if self.opening_px < 1 or self.opening_px % 2 == 0:
            raise DataError(f"opening_px must be an odd number of at least 1, got {self.opening_px}.")
        if self.opening_iterations < 0 or self.dilation_iterations < 0:
            raise DataError("opening_iterations and dilation_iterations must not be negative.")
        if not 0 <= self.min_separation < 1:
            raise DataError(f"min_separation must lie in [0, 1), got {self.min_separation}.")


PAPER = WatershedOptions(rule="otsu")


def half_height_mask(snr: AnyArray) -> BoolArray:
    """Mark where an amplitude (y, x), in units of its noise, exceeds half of its plateau and 2.5 times the noise.

    A mask that blurs a grain's outline symmetrically leaves half of the amplitude at a straight edge, wherever the
    grain is and however wide the mask. The plateau is a percentile of what stands out of the noise; regions that rise
    to 3.5 times the noise nowhere are dropped.
    """
    above = snr[snr > NOISE_RMS]
    if not len(above):
        return np.zeros(snr.shape, dtype=bool)
    level = max(0.5 * float(np.percentile(above, PLATEAU_PERCENTILE)), NOISE_RMS)
    mask = snr > level
    return np.asarray(ndimage.binary_propagation(mask & (snr > max(level, SUMMIT_RMS)), mask=mask))


def segment(
    amplitude: AnyArray, options: WatershedOptions | None = None, *, noise_rms: float | Float32Array | None = None
) -> tuple[NDArray[np.int32], BoolArray]:
    """Cut an amplitude (y, x) into regions.

    Parameters
    ----------
    noise_rms
        Root mean square that noise alone gives, in the unit of the amplitude, for all or each of the pixels (y, x);
        None where it is not known.

    Returns
    -------
    labels
        int32 (y, x): 0 outside, 1, 2, ... within touching regions.
    mask
        bool (y, x): all regions.
    """
    mask = amplitude_mask(amplitude, options, noise_rms=noise_rms)
    return split_regions(mask), mask


def amplitude_mask(
    amplitude: AnyArray, options: WatershedOptions | None = None, *, noise_rms: float | Float32Array | None = None
) -> BoolArray:
    """Mark where an amplitude (y, x) is high.

    Notes
    -----
    Otsu's threshold splits any histogram, also that of noise or of one even crystal. It is therefore used only where
    it separates two classes (``min_separation``). Elsewhere, and as a least threshold, 2.5 times the noise decides;
    regions that rise to 3.5 times the noise nowhere are dropped. Where the noise is not known, a flat amplitude has
    no region at all, rather than half of the picture.
    """
    options = options or WatershedOptions()
    if amplitude.ndim != 2:
        raise DataError(f"An amplitude must have shape (y, x), got {amplitude.shape}.")
    least, separation = otsu(amplitude)
    if separation < options.min_separation:
        least = 0.0 if noise_rms is not None else np.inf
    mask = amplitude > least
    if noise_rms is not None:
        mask &= amplitude > NOISE_RMS * noise_rms
        mask = ndimage.binary_propagation(mask & (amplitude > SUMMIT_RMS * noise_rms), mask=mask)
    return _clean(mask, options)


def otsu(values: AnyArray) -> tuple[float, float]:
    """Return the threshold of Otsu (IEEE Trans. SMC 9 (1979) 62) and the between-class share of the variance.

    The share is 0 for values that are all equal.
    """
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return low, 0.0
    counts, edges = np.histogram(values, bins=N_BINS, range=(low, high))
    centres = 0.5 * (edges[:-1] + edges[1:])
    share = counts / counts.sum()
    below = np.cumsum(share)[:-1]
    moment = np.cumsum(share * centres)
    mean = moment[-1]
    between = (mean * below - moment[:-1]) ** 2 / np.maximum(below * (1 - below), 1e-12)
    best = int(np.argmax(between))
    total = float((share * (centres - mean) ** 2).sum())
    return float(edges[best + 1]), float(between[best]) / total if total > 0 else 0.0


def split_regions(mask: BoolArray) -> NDArray[np.int32]:
    """Part touching regions of a mask (y, x) at their necks: watershed of the distance from the edge of the mask.

    Each connected piece is flooded from where the distance exceeds ``CORE_SHARE`` of the largest one in that piece,
    so that it is parted at necks narrower than that.
    """
    pieces, n_pieces = ndimage.label(mask)
    if n_pieces == 0:
        return np.zeros(mask.shape, dtype=np.int32)
    distance = ndimage.distance_transform_edt(mask).astype(np.float32)
    highest = np.concatenate([[np.inf], ndimage.maximum(distance, pieces, np.arange(1, n_pieces + 1))])
    cores, _ = ndimage.label(distance > CORE_SHARE * highest[pieces])
    return np.asarray(watershed(-distance, cores, mask=mask), dtype=np.int32)


def _clean(mask: BoolArray, options: WatershedOptions) -> BoolArray:
    """Opening and dilation by a square; what lies beyond the picture neither erodes nor adds."""
    grid = mask.astype(np.uint8)
    size = options.opening_px
    for _ in range(options.opening_iterations):
        grid = ndimage.minimum_filter(grid, size, mode="constant", cval=1)
    for _ in range(options.opening_iterations + options.dilation_iterations):
        grid = ndimage.maximum_filter(grid, size, mode="constant", cval=0)
    return grid.astype(bool)
