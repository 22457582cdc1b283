"""Spectra of simulated micrographs with their spots, made once and kept on disk for a training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.images import Pattern
from friedel.crystal import Crystal
from friedel.nets.half_plane import half_of, whole_of
from friedel.patterns.diffractogram import diffractogram
from friedel.simulate.micrographs.truth import MicrographTruth, SpotLabels, spot_mask
from friedel.simulate.training.micrographs import Variety, labelled_micrograph
from friedel.spots.noise_floor import noise_floor

#: Signal over noise, under a filter of the spot's own width, from which a spot is taught; spots between the two
#: numbers are neither taught nor held to be background.
TAUGHT, HIDDEN = 2.0, 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Half a power spectrum over its noise floor, and what is in it.

    Parameters
    ----------
    half
        Power over noise (ky, width // 2 + 1), kx >= 0.
    mask
        Spots, same shape.
    counts
        False where a spot is too faint to teach it.
    width
        Columns of the whole plane.
    """

    half: AnyArray
    mask: BoolArray
    counts: BoolArray
    width: int


def simulate_spectrum(
    seed: int, index: int, crystals: Sequence[Crystal], variety: Variety, shapes: Sequence[tuple[int, int]]
) -> tuple[Pattern, MicrographTruth]:
    """Make the diffractogram of random micrograph number ``index``; shapes are taken in turn."""
    chosen = replace(variety, shape=shapes[index % len(shapes)])
    micrograph, truth = labelled_micrograph(seed, index, crystals, chosen)
    return diffractogram(micrograph), truth


def to_spectrum(pattern: Pattern, labels: SpotLabels) -> Spectrum:
    """Turn a diffractogram with its spots into what is learnt from."""
    ratio = np.minimum(pattern.data / noise_floor(pattern), 6e4).astype(np.float16)
    strength = detectability(labels)
    mask = half_of(mask_of(labels.where(strength >= TAUGHT), pattern.shape))
    faint = half_of(mask_of(labels.where((strength >= HIDDEN) & (strength < TAUGHT)), pattern.shape))
    return Spectrum(half_of(ratio), mask, mask | ~faint, pattern.shape[1])


def mask_of(labels: SpotLabels, shape: tuple[int, int]) -> BoolArray:
    """Mark the spots (ky, kx), both of each Friedel pair."""
    return spot_mask(labels, shape, min_snr=1e-9)


def detectability(labels: SpotLabels) -> FloatArray:
    """Signal over noise (N,) of spots under a filter of their own shape.

    A peak of power S with a Gaussian profile g in noise of mean and deviation 1 has S sum(g^2) / sqrt(sum(g^2)) =
    S sqrt(pi sqrt(det C)), C its covariance (matched filter: Turin, IRE Trans. Inf. Theory 6, 311, 1960).
    """
    pixels = np.pi * np.sqrt(np.linalg.det(labels.spread_px)) if len(labels) else np.zeros(0)
    return np.asarray(labels.snr * np.sqrt(np.maximum(pixels, 1.0)))


def write_spectra(
    folder: Path, seed: int, count: int, crystals: Sequence[Crystal], variety: Variety,
    shapes: Sequence[tuple[int, int]], *, progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:  # fmt: skip
    """Write spectra number 0 to ``count - 1`` of a seed, those that are not there yet, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:06d}.npz" for index in range(count)]
    for index, path in enumerate(paths):
        if not path.exists():
            pattern, truth = simulate_spectrum(seed, index, crystals, variety, shapes)
            save_spectrum(path, to_spectrum(pattern, truth.spots))
        progress(index + 1, count)
    return paths


def save_spectrum(path: Path, spectrum: Spectrum) -> None:
    """Write a spectrum so that an interruption leaves none or the whole."""
    new = path.with_suffix(f".{os.getpid()}.new")
    with new.open("wb") as file:
        np.savez(
            file, half=spectrum.half, mask=np.packbits(spectrum.mask, axis=1),
            counts=np.packbits(spectrum.counts, axis=1), width=spectrum.width,
        )  # fmt: skip
    new.replace(path)


def load_spectrum(path: Path) -> Spectrum:
    """Read what ``save_spectrum`` wrote."""
    with np.load(path) as stored:
        half, width = stored["half"], int(stored["width"])
        mask, counts = (
            np.unpackbits(stored[name], axis=1, count=half.shape[1]).astype(bool) for name in ("mask", "counts")
        )
    return Spectrum(half, mask, counts, width)


def turned(spectrum: Spectrum, turn: int) -> Spectrum:
    """Return the spectrum of the same micrograph transposed (bit 0) and mirrored (bit 1); 0 leaves it as it is."""
    planes = [whole_of(plane, spectrum.width) for plane in (spectrum.half, spectrum.mask, spectrum.counts)]
    if turn & 1:
        planes = [plane.T for plane in planes]
    if turn & 2:
        rows = (2 * (planes[0].shape[0] // 2) - np.arange(planes[0].shape[0])) % planes[0].shape[0]
        planes = [plane[rows] for plane in planes]
    half, mask, counts = (half_of(plane) for plane in planes)
    return Spectrum(half, mask, counts, planes[0].shape[1])
