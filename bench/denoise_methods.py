"""Ways to make a pattern readable, each with a few settings from which validation patterns choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from denoise_patterns import Case
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from friedel.core.arrays import AnyArray, FloatArray
from friedel.nets.detector import read_map
from friedel.nets.inference import Network, stabilise, unstabilise
from friedel.nets.scoring import Score, score_spots
from friedel.nets.spot_map import Trust
from friedel.spots.dog import Dog, filter_stack, find_spots

Filter = Callable[[Case], AnyArray]
#: Gains with which the detector reads a filtered picture, and significances from which a spot counts.
GAINS = (1.0, 0.3, 0.1)
SIGNIFICANCES = tuple(np.geomspace(2.0, 60.0, 28))
TOLERANCE_PX = 2.0
#: False spots per pattern without a crystal with which a filter counts as quiet.
MAX_FALSE = 0.05


def raw(case: Case) -> AnyArray:
    return case.electrons


def gaussian(sigma_px: float) -> Filter:
    return lambda case: ndimage.gaussian_filter(case.electrons, sigma_px, mode="nearest")


def total_variation(weight: float) -> Filter:
    return lambda case: unstabilise(denoise_tv_chambolle(stabilise(case.electrons), weight=weight))


def non_local_means(strength: float) -> Filter:
    def apply(case: Case) -> AnyArray:
        z = stabilise(case.electrons)
        return unstabilise(denoise_nl_means(z, patch_size=5, patch_distance=6, h=strength, sigma=1.0, fast_mode=True))

    return apply


def by_network(network: Network) -> Filter:
    return lambda case: network.run(case.electrons[None], np.array([case.grid.centre_px]))[0][0]


def classical() -> dict[str, list[Filter]]:
    """Filters without learning, with their settings."""
    return {
        "none": [raw],
        "Gaussian": [gaussian(s) for s in (0.7, 1.0, 1.5, 2.0)],
        "Anscombe + total variation": [total_variation(w) for w in (0.2, 0.5, 1.0)],
        "non-local means": [non_local_means(h) for h in (0.5, 0.8, 1.2)],
    }


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Spots that the detector sees in a picture at a low threshold, with their significance."""

    px: FloatArray
    significance: FloatArray


def detect(image: AnyArray, case: Case, gain: float) -> Found:
    """Run the standard detector, with the true spot width, down to a low threshold."""
    step = float(np.mean(case.grid.step_inv_a))
    dog = Dog(sigma_inv_a=case.sigma_px * step, max_false_alarms=100.0)
    spots = find_spots(filter_stack(image[None], dog, case.grid, gain=gain), dog, case.annulus_inv_a)
    order = np.argsort(-spots.snr, kind="stable")
    return Found(case.grid.px_of(spots.k_inv_a[order]).reshape(-1, 2), spots.snr[order])


def score(found: Found, case: Case, significance: float) -> Score:
    """Score the spots from a significance on."""
    keep = found.significance >= significance
    tolerance = max(TOLERANCE_PX, 0.5 * case.radius_px)
    inner = case.annulus_inv_a[0] / float(np.mean(case.grid.step_inv_a))
    off_beam = np.hypot(*(case.spot_px - case.grid.centre_px).T) >= inner
    return score_spots(found.px[keep], case.spot_px[off_beam], case.spot_kind[off_beam], tolerance)


def total(scores: list[Score]) -> Score:
    return sum(scores, Score())


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """A filter with the settings that did best on validation patterns."""

    apply: Filter
    gain: float
    significance: float

    def scores(self, cases: list[Case]) -> list[Score]:
        """Score test patterns."""
        return [score(detect(self.apply(c), c, self.gain), c, self.significance) for c in cases]


def tune(filters: list[Filter], cases: list[Case], nothing: list[Case]) -> tuple[Tuned, Tuned]:
    """Choose setting, gain and threshold with the best F1 on validation patterns: any, and of those that keep quiet.

    Quiet is what sees at most ``MAX_FALSE`` spots in a pattern of ``nothing``.
    """
    loose = quiet = Tuned(filters[0], 1.0, float(SIGNIFICANCES[-1]))
    loose_f1 = quiet_f1 = -1.0
    for apply in filters:
        images, empty = ([apply(case) for case in some] for some in (cases, nothing))
        for gain in GAINS if apply is not raw else (1.0,):
            found, false = ([detect(image, case, gain) for image, case in zip(a, b, strict=True)]
                            for a, b in ((images, cases), (empty, nothing)))  # fmt: skip
            for significance in SIGNIFICANCES:
                here = Tuned(apply, gain, float(significance))
                f1 = total([score(f, c, significance) for f, c in zip(found, cases, strict=True)]).f1
                if f1 > loose_f1:
                    loose, loose_f1 = here, f1
                seen = total([score(f, c, significance) for f, c in zip(false, nothing, strict=True)]).false
                if f1 > quiet_f1 and seen <= MAX_FALSE * len(nothing):
                    quiet, quiet_f1 = here, f1
    return loose, quiet


def score_network(network: Network, cases: list[Case], trust: Trust | None = None) -> list[Score]:
    """Score the network's own spots, with the trust of its card if none is given."""
    return [score(read(network, case, look(network, case), trust), case, 0.0) for case in cases]


def look(network: Network, case: Case) -> AnyArray:
    """Map the spots of a case (1, ky, kx)."""
    return network.run(case.electrons[None], np.array([case.grid.centre_px]))[1]


def read(network: Network, case: Case, probability: AnyArray, trust: Trust | None) -> Found:
    """Turn a map of spots into spots, as a scan's are."""
    dog = Dog(sigma_inv_a=case.sigma_px * float(np.mean(case.grid.step_inv_a)))
    response = filter_stack(case.electrons[None], dog, case.grid)
    spots = read_map(probability, trust or network.trust(case.electrons[None]), response, case.annulus_inv_a)
    return Found(case.grid.px_of(spots.k_inv_a).reshape(-1, 2), np.full(len(spots), np.inf))


def tune_network(network: Network, cases: list[Case]) -> Trust:
    """Choose the threshold with the best F1 on validation patterns, as for the filters, whatever it sees in nothing."""
    maps = [look(network, case) for case in cases]
    trusts = [Trust(float(t)) for t in np.arange(0.04, 0.6, 0.04)]
    f1 = [
        total([score(read(network, c, m, trust), c, 0.0) for c, m in zip(cases, maps, strict=True)]).f1
        for trust in trusts
    ]
    return trusts[int(np.argmax(f1))]
