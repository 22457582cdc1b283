"""How well a mask of spots agrees with another, and how far spots stand out: the measures of the HRTEM paper.

Equations are those of Raghavendran et al., J. Microsc. (2025) 10.1111/jmi.13413.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.errors import DataError


@dataclass(frozen=True, slots=True)
class MaskScore:
    """Agreement of a found mask with the true one.

    Parameters
    ----------
    hits, false, missed, rejected
        Pixels that both mark, only the found one, only the true one, neither.
    hausdorff_px
        Equations 12 to 14: the largest distance from a pixel of either mask to the nearest of the other; infinite if
        just one of them is empty.
    """

    hits: int
    false: int
    missed: int
    rejected: int
    hausdorff_px: float

    @property
    def dice(self) -> float:
        """Equation 7 as it is used everywhere: 2 TP / (2 TP + FP + FN), 1 for two empty masks.

        The paper prints 2 TP / (TP + FP + FN), which reaches 2 for a perfect mask.
        """
        return _ratio(2 * self.hits, 2 * self.hits + self.false + self.missed)

    @property
    def iou(self) -> float:
        """Equation 8: TP / (TP + FP + FN), 1 for two empty masks."""
        return _ratio(self.hits, self.hits + self.false + self.missed)

    @property
    def pixel_accuracy(self) -> float:
        """Equation 9: share of pixels on which the masks agree."""
        return _ratio(self.hits + self.rejected, self.hits + self.false + self.missed + self.rejected)

    @property
    def recall(self) -> float:
        """Equation 10: share of the true pixels that are found; 1 if there is none."""
        return _ratio(self.hits, self.hits + self.missed)

    @property
    def precision(self) -> float:
        """Share of the found pixels that are true; 1 if there is none."""
        return _ratio(self.hits, self.hits + self.false)


def score_mask(found: BoolArray, true: BoolArray) -> MaskScore:
    """Compare two masks (ky, kx); of a spectrum give one half only, because the other is its copy and no witness."""
    if found.shape != true.shape or found.dtype != np.bool_ or true.dtype != np.bool_:
        raise DataError(
            f"Masks must be bool and of one shape, got {found.dtype} {found.shape} and {true.dtype} {true.shape}."
        )
    hits, false, missed = int((found & true).sum()), int((found & ~true).sum()), int((true & ~found).sum())
    return MaskScore(hits, false, missed, found.size - hits - false - missed, _hausdorff_px(found, true))


def binary_cross_entropy(probability: FloatArray, true: BoolArray) -> float:
    """Equation 6, averaged over the pixels, with the natural logarithm; probabilities are kept off 0 and 1 by 1e-7."""
    p = np.clip(probability, 1e-7, 1 - 1e-7)
    return float(-np.where(true, np.log(p), np.log1p(-p)).mean())


def spot_contrast(values: AnyArray, mask: BoolArray) -> tuple[float, float]:
    """Signal to noise in dB and contrast to noise of the marked pixels: equations 4 and 5.

    20 log10(mean inside / standard deviation outside), and (mean inside - mean outside) / standard deviation outside.
    """
    inside, outside = np.asarray(values[mask], dtype=np.float64), np.asarray(values[~mask], dtype=np.float64)
    if not len(inside) or not len(outside) or not outside.std() > 0:
        raise DataError("Contrast needs marked and unmarked pixels, and unmarked ones that differ.")
    if not inside.mean() > 0:
        raise DataError(f"The mean of the marked pixels must be positive, got {inside.mean():.3g}.")
    noise = float(outside.std())
    return 20 * math.log10(float(inside.mean()) / noise), float(inside.mean() - outside.mean()) / noise


def _hausdorff_px(found: BoolArray, true: BoolArray) -> float:
    a, b = np.argwhere(found), np.argwhere(true)
    if not len(a) and not len(b):
        return 0.0
    if not len(a) or not len(b):
        return math.inf
    return float(max(cKDTree(b).query(a)[0].max(), cKDTree(a).query(b)[0].max()))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
