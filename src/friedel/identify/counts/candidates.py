"""Candidate orientations: the templates whose rotated polar pictures correlate best with a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from friedel.core.arrays import BoolArray, Float32Array, FloatArray, IntArray
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
        waves = _spectrum(_polar(maps, bank, part, hidden))
        products = [_conjugate(waves[..., own.rows]) @ own.coefficients for own in bank.spectra]
        for i in range(part.stop - first):
            mine = [own[:, 2 * i : 2 * i + 2] for own in products]
            largest = max(float(np.abs(own).max()) for own in mine)
            for p, own in enumerate(mine):
                scores = _correlations(own, largest)
                order = np.argsort(-scores.max(axis=0), kind="stable")[:per_phase]
                order = np.pad(order, (0, per_phase - len(order)), mode="edge")
                template[first + i, p] = order + bank.members(p).start
                rotation[first + i, p] = scores[:, order].argmax(axis=0) * (2.0 * np.pi / AZIMUTHS)
    return Candidates(template, rotation)


def _correlations(products: Float32Array, largest: float) -> Float32Array:
    """Correlation (A, T) of a pattern with templates at all azimuths, from products of coefficients (F, 2, T)."""
    waves = np.rint(products * np.float32(_WAVE_LEVELS / max(largest, 1e-30)))
    return np.asarray(_inverse_transform() @ waves.reshape(2 * FREQUENCIES, -1))


def _spectrum(picture: Float32Array) -> Float32Array:
    """Fourier coefficients over azimuth (2: real, imaginary; F, n, R) of pictures (n, R, A), in whole numbers."""
    n, radii, _ = picture.shape
    strength = np.abs(picture).max(axis=(1, 2), keepdims=True)
    waves = (whole(picture, strength).reshape(n * radii, -1) @ _transform()).reshape(n, radii, 2, FREQUENCIES)
    return whole(waves, np.abs(waves).max(axis=(1, 2, 3), keepdims=True)).transpose(2, 3, 0, 1)


def _conjugate(spectrum: Float32Array) -> Float32Array:
    """Matrix (F, 2 n, 2 R) that takes the coefficients of templates to products with the conjugate of theirs.

    Real and imaginary part of each pattern follow one another; so a product of complex matrices is one of real ones,
    which are faster.
    """
    real, imag = spectrum
    rows = np.stack([np.concatenate([real, imag], axis=2), np.concatenate([imag, -real], axis=2)], axis=2)
    return rows.reshape(FREQUENCIES, -1, rows.shape[3])


@cache
def _transform() -> Float32Array:
    """Matrix (A, 2 F) that takes azimuths to real and imaginary Fourier coefficients, in whole numbers."""
    angle = 2.0 * np.pi / AZIMUTHS * np.outer(np.arange(AZIMUTHS), np.arange(FREQUENCIES))
    return np.asarray(whole(np.concatenate([np.cos(angle), -np.sin(angle)], axis=1), 1.0))


@cache
def _inverse_transform() -> Float32Array:
    """Matrix (A, F 2) that takes Fourier coefficients of a real signal back to azimuths, in whole numbers.

    For so many short transforms one matrix product is several times faster than an FFT.
    """
    weight = np.where(np.arange(2 * FREQUENCIES) % FREQUENCIES == 0, 0.5, 1.0)
    back = np.rint(weight * _transform()).reshape(AZIMUTHS, 2, FREQUENCIES)
    return np.asarray(back.transpose(0, 2, 1).reshape(AZIMUTHS, -1), dtype=np.float32)


def _polar(maps: CountMaps, bank: TemplateBank, part: slice, hidden: BoolArray | None) -> Float32Array:
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
