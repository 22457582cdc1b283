"""How well spots are found in spectra of simulated micrographs, by whatever detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from friedel.core.images import Pattern
from friedel.crystal import Crystal
from friedel.nets.half_plane import half_of
from friedel.nets.scoring import FAINT, WANTED, Score, score_spots
from friedel.nets.training.spectra import detectability, mask_of, simulate_spectrum
from friedel.simulate.micrographs.truth import SpotLabels
from friedel.simulate.training.micrographs import Variety
from friedel.spots.cfar import searched_half
from friedel.spots.segmentation import MaskScore, score_mask

#: Signal over noise under a filter of the spot's own shape from which on a spot is asked for.
VISIBLE = 4.0
#: A found spot is right within this many px, or this many widths (one sigma, the longer axis) where that is more.
NEAR_PX, NEAR_WIDTHS = 3.0, 1.2
#: A spot this close to a stronger one, in widths of the wider of them, cannot be told from it and is not asked for.
_MERGED_WIDTHS = 2.0
#: Innermost pixel, and largest frequency in 1/Å, that are searched.
_INNERMOST_PX, _OUTERMOST_INV_A = 8.0, 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A diffractogram, the ring in which spots are sought, and what is true."""

    pattern: Pattern
    annulus_inv_a: tuple[float, float]
    labels: SpotLabels
    dose_e_per_a2: float

    @property
    def search(self) -> BoolArray:
        """The half plane in which each spot lies once."""
        return searched_half(self.pattern, self.annulus_inv_a)

    @property
    def mask(self) -> BoolArray:
        """Pixels of the visible spots in the half plane kx >= 0, (ky, width // 2 + 1), within the ring."""
        whole = mask_of(self.labels.where(detectability(self.labels) >= VISIBLE), self.pattern.shape)
        return np.asarray(half_of(whole) & self.ring)

    @property
    def ring(self) -> BoolArray:
        """Pixels of the half plane kx >= 0 that count."""
        radius = half_of(self.pattern.grid.radius_inv_a(self.pattern.shape))
        return np.asarray((radius >= self.annulus_inv_a[0]) & (radius <= self.annulus_inv_a[1]))


def make_cases(
    seed: int, count: int, crystals: Sequence[Crystal], variety: Variety, shapes: Sequence[tuple[int, int]]
) -> list[Case]:
    """Simulate cases number 0 to ``count - 1`` of a seed."""
    return [make_case(seed, index, crystals, variety, shapes) for index in range(count)]


def make_case(
    seed: int, index: int, crystals: Sequence[Crystal], variety: Variety, shapes: Sequence[tuple[int, int]]
) -> Case:
    """Simulate one case."""
    pattern, truth = simulate_spectrum(seed, index, crystals, variety, shapes)
    steps = pattern.grid.step_inv_a
    nyquist = min(0.49 * n * step for n, step in zip(pattern.shape, steps, strict=True))
    annulus = _INNERMOST_PX * max(steps), min(_OUTERMOST_INV_A, nyquist)
    return Case(pattern, annulus, truth.spots, truth.imaging.exposure.dose_e_per_a2)


def judged_spots(case: Case) -> tuple[FloatArray, IntArray, FloatArray, FloatArray]:
    """True spots of the searched half: position (N, 2) in px, kind, tolerance in px, detectability."""
    labels, centre = case.labels, np.array(case.pattern.grid.centre_px)
    at = np.rint(centre + labels.px).astype(int)
    on = np.asarray(((at >= 0) & (at < case.pattern.shape)).all(axis=1))
    labels = labels.where(on)
    labels = labels.where(case.search[tuple(at[on].T)])
    strength = detectability(labels)
    width = np.sqrt(np.linalg.eigvalsh(labels.spread_px)[:, -1]) if len(labels) else np.zeros(0)
    kind = np.where(strength >= VISIBLE, WANTED, FAINT)
    for i in np.argsort(-strength):
        if kind[i] == WANTED:
            apart = np.hypot(*(labels.px - labels.px[i]).T)
            kind[(apart < _MERGED_WIDTHS * np.maximum(width, width[i])) & (strength < strength[i])] = FAINT
    return centre + labels.px, kind, np.maximum(NEAR_PX, NEAR_WIDTHS * width), strength


def judge(case: Case, found_px: FloatArray) -> Score:
    """Score positions (M, 2), best first, against the true spots."""
    true_px, kind, tolerance, _ = judged_spots(case)
    return score_spots(found_px, true_px, kind, tolerance)


def judge_mask(probability: AnyArray, mask: BoolArray, threshold: float) -> tuple[Score, MaskScore]:
    """Score a map of a labelled half plane, as spots (within ``NEAR_PX`` of the middle of a true one) and as mask."""
    true, found = middles(mask), middles(probability >= threshold)
    spots = score_spots(found, true, np.full(len(true), WANTED), NEAR_PX)
    return spots, score_mask(probability >= threshold, mask)


def middles(mask: BoolArray) -> FloatArray:
    """Centres of mass (N, 2) of what hangs together."""
    labels, n = ndimage.label(mask, structure=np.ones((3, 3)))
    return np.array(ndimage.center_of_mass(mask, labels, range(1, n + 1)), dtype=np.float64).reshape(-1, 2)


def total(cases: Sequence[Case], find: Callable[[Case], FloatArray]) -> Score:
    """Score a detector over many cases."""
    out = Score()
    for case in cases:
        out += judge(case, find(case))
    return out
