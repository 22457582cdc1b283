"""The network that marks spots in the spectrum of a micrograph, as a spot detector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray
from friedel.core.images import Pattern
from friedel.core.spots import Spots
from friedel.nets.cards import SegmenterCard, WeightsError, find_card, verify_weights
from friedel.nets.half_plane import half_of, network_input, of_network, whole_of
from friedel.nets.inference import run_weights
from friedel.patterns.diffractogram import WindowName, window_correlation
from friedel.spots.cfar import CORRELATION_REACH_PX, LEAST_WEIGHT_PX, as_spots, distinct, searched_half
from friedel.spots.noise_floor import noise_floor
from friedel.spots.refine import refine

#: Name of the segmenter that is shipped.
SEGMENTER = "segmenter"
#: Radius, in one-sigma widths, at which a Gaussian has fallen to a quarter, where the masks of the training end.
_QUARTER = math.sqrt(2 * math.log(4))
#: Half precision, in which spectra for training are kept, ends here.
_LARGEST = 6e4


@dataclass(frozen=True, slots=True, eq=False)
class Segmenter:
    """A segmenter ready for use; small when pickled, since the weights are read by each process for itself."""

    card: SegmenterCard
    path: Path

    def probability(self, half: AnyArray, width: int) -> Float32Array:
        """Probability that each pixel (ky, width // 2 + 1) of power over noise, kx >= 0, belongs to a spot."""
        inputs = {"x": network_input(half, width, self.card.preprocessing.stride)}
        (found,) = run_weights(self.path, self.card.sha256, inputs)
        return np.asarray(of_network(found[0], half.shape[0], width))


@dataclass(frozen=True, slots=True, eq=False)
class SegmentDetector:
    """Spot detector for diffractograms that asks a network where, and measures the power there.

    Parameters
    ----------
    segmenter
        The network.
    window
        Window with which the diffractogram was made.
    max_spots
        Largest number of spots kept, the most probable ones.
    """

    segmenter: Segmenter
    window: WindowName = "tukey"
    max_spots: int = 500

    def find(self, pattern: Pattern, annulus_inv_a: tuple[float, float]) -> Spots:
        """Find spots of a diffractogram whose distance from the centre lies in an annulus, brightest first.

        ``intensity`` is the power above the noise summed over the spot, ``snr`` the highest power over the noise.
        See ``SpotDetector.find``.
        """
        search = searched_half(pattern, annulus_inv_a)
        floor = noise_floor(pattern)
        ratio = pattern.data / floor
        probability = map_spectrum(self.segmenter, ratio)
        table = spot_regions(probability, ratio, search, self.segmenter.card.threshold)[: self.max_spots]
        correlation = window_correlation(self.window, CORRELATION_REACH_PX)
        found = [
            (refine(pattern.data, floor, (int(y), int(x)), max(scale, LEAST_WEIGHT_PX), correlation), (int(y), int(x)))
            for y, x, scale, _ in table
        ]
        return as_spots(pattern, ratio, found)


def load_segmenter(name_or_path: str = SEGMENTER) -> Segmenter:
    """Load a shipped segmenter by its name, or one from a file of weights with its card beside it.

    Raises
    ------
    WeightsError, CorruptFileError
        If there is none, it is not the one that its card describes, or it is no segmenter.
    """
    card_path = find_card(name_or_path)
    card = verify_weights(card_path)
    if not isinstance(card, SegmenterCard):
        raise WeightsError(card_path, "it is a denoiser, and a segmenter of spectra is wanted", "Name a segmenter.")
    return Segmenter(card, card_path.parent / card.file)


def map_spectrum(segmenter: Segmenter, ratio: AnyArray) -> Float32Array:
    """Probability of a spot at each pixel (ky, kx) of a power spectrum over its noise floor."""
    half = half_of(np.minimum(ratio, _LARGEST))
    return np.asarray(whole_of(segmenter.probability(half, ratio.shape[1]), ratio.shape[1]))


def spot_regions(probability: AnyArray, ratio: AnyArray, search: BoolArray, threshold: float) -> FloatArray:
    """Find one spot (row, column, one-sigma width in px, log of the improbability) in each region of a map.

    Parameters
    ----------
    probability, ratio
        Probability of a spot, and power over noise (ky, kx).
    search
        Pixels of one half plane in which a spot may lie.
    threshold
        A region is what hangs together at or above this probability.

    Returns
    -------
    FloatArray
        (N, 4), most probable first. A region and its mirror image make one spot, on the searched side of the seam.
    """
    labels, _ = ndimage.label(probability >= threshold, structure=np.ones((3, 3)))
    rows = []
    middle = probability.shape[0] // 2, probability.shape[1] // 2
    for number, window in enumerate(ndimage.find_objects(labels), 1):
        inside = labels[window] == number
        scale = math.sqrt(int(inside.sum()) / math.pi) / _QUARTER
        smooth = ndimage.gaussian_filter(np.where(inside, ratio[window], 0.0), 0.7 * scale, mode="constant")
        top = np.unravel_index(int(np.argmax(np.where(inside, smooth, -1.0))), smooth.shape)
        at = np.array([part.start + int(i) for part, i in zip(window, top, strict=True)])
        mirrored = (2 * np.array(middle) - at) % probability.shape
        at = at if search[tuple(at)] else mirrored
        if search[tuple(at)]:
            rows.append((*at, scale, math.log(max(1e-9, 1.0 - float(probability[window][inside].max())))))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    table = table[np.argsort(table[:, 3], kind="stable")]
    return np.asarray(table[distinct(table, probability.shape, len(table))])
