"""Candidate orientations: the templates whose rotated polar pictures correlate best with a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from friedel.identify.counts.maps import CountMaps
from friedel.identify.counts.template_bank import AZIMUTHS, FREQUENCIES, TemplateBank, whole

#: Whole numbers that stand for a product: 96 of 511 times 255 stay below 2^24.
_WAVE_LEVELS = 511
#: Patterns correlated at once, which bounds the memory.
_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Orientations to look at (n patterns, P phases, K each).

    Parameters
    ----------
    template
        Index in the bank.
    rotation_rad
        In-plane rotation from +kx towards +ky.
    """

    template: IntArray
    rotation_rad: FloatArray


def find_candidates(
    maps: CountMaps, bank: TemplateBank, n_phases: int, *, per_phase: int, hidden: BoolArray | None = None
) -> Candidates:
    """Find the templates of each phase that fit each pattern best, with their rotations.

    The square root of the electrons in a disk, less that of the background, is sampled on a polar grid and correlated
    over all rotations with every template at once (a product of Fourier coefficients over azimuth, as in the
    orientation plans of Ophus et al., Microsc. Microanal. 28, 390, 2022). The root gives each pixel the same noise and
    keeps one bright reflection from deciding alone. All products are of whole numbers and exact. Pixels that are
    ``hidden`` (n, ky, kx) do not count.
    """
    shape = (maps.n_patterns, n_phases, per_phase)
    template, rotation = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    for first in range(0, maps.n_patterns, _BATCH):
        part = slice(first, min(first + _BATCH, maps.n_patterns))
        products = np.matmul(_spectrum(_polar(maps, bank, part, hidden)), bank.spectrum)
        for i in range(products.shape[1]):
            scores = _correlations(products[:, i])
            best = scores.max(axis=0)
            for p in range(n_phases):
                members = bank.members(p)
                order = np.argsort(-best[members], kind="stable")[:per_phase] + members.start
                order = np.pad(order, (0, per_phase - len(order)), mode="edge")
                template[first + i, p] = order
                rotation[first + i, p] = scores[:, order].argmax(axis=0) * (2.0 * np.pi / AZIMUTHS)
    return Candidates(template, rotation)


def _correlations(products: AnyArray) -> Float32Array:
    """Correlation (A, T) of a pattern with all templates at all azimuths, from products of coefficients (F, T)."""
    waves = np.concatenate([products.real, products.imag])
    largest = max(float(waves.max()), -float(waves.min()), 1e-30)
    waves *= np.float32(_WAVE_LEVELS / largest)
    np.rint(waves, out=waves)
    return np.asarray(_inverse_transform() @ waves)


def _spectrum(picture: AnyArray) -> AnyArray:
    """Fourier coefficients over azimuth (F, n, R) of polar pictures (n, R, A), in whole numbers."""
    n, radii, _ = picture.shape
    strength = np.abs(picture).max(axis=(1, 2), keepdims=True)
    waves = whole(picture, strength).reshape(n * radii, -1) @ _transform()
    waves = waves.reshape(n, radii, 2, FREQUENCIES)
    coefficients = waves[:, :, 0] + np.complex64(1j) * waves[:, :, 1]
    largest = np.abs(waves).max(axis=(1, 2, 3))[:, None, None]
    return np.ascontiguousarray(whole(coefficients, largest).transpose(2, 0, 1))


@cache
def _transform() -> Float32Array:
    """Matrix (A, 2 F) that takes azimuths to real and imaginary Fourier coefficients, in whole numbers."""
    angle = 2.0 * np.pi / AZIMUTHS * np.outer(np.arange(AZIMUTHS), np.arange(FREQUENCIES))
    return np.asarray(whole(np.concatenate([np.cos(angle), -np.sin(angle)], axis=1), 1.0))


@cache
def _inverse_transform() -> Float32Array:
    """Matrix (A, 2 F) that takes Fourier coefficients of a real signal back to azimuths, in whole numbers.

    For so many short transforms one matrix product is several times faster than an FFT.
    """
    weight = np.where(np.arange(2 * FREQUENCIES) % FREQUENCIES == 0, 0.5, 1.0)
    return np.asarray(np.rint(weight * _transform()), dtype=np.float32)


def _polar(maps: CountMaps, bank: TemplateBank, part: slice, hidden: BoolArray | None) -> AnyArray:
    """Signal of some patterns on the bank's polar grid (n, R, A), float32."""
    disk, background = maps.disk[part], maps.background[part]
    signal = np.where(maps.seen, np.sqrt(disk + 0.375) - np.sqrt(background + 0.375), 0.0).astype(np.float32)
    if hidden is not None:
        signal[hidden[part]] = 0.0
    angle = np.arange(AZIMUTHS) * (2.0 * np.pi / AZIMUTHS)
    k = bank.radii_inv_a[:, None, None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    px = maps.grid.px_of(k) - np.asarray(maps.grid.centre_px) + maps.beam_px[part][:, None, None]
    row, column = np.rint(px[..., 0]).astype(np.int64), np.rint(px[..., 1]).astype(np.int64)
    height, width = signal.shape[1:]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    flat = (row * width + column).clip(0, height * width - 1).reshape(len(signal), -1)
    sampled = np.take_along_axis(signal.reshape(len(signal), -1), flat, axis=1).reshape(row.shape)
    return np.where(inside, sampled, np.float32(0.0))
