"""Candidate orientations: the templates whose rotated polar pictures correlate best with a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from friedel.core.arrays import BoolArray, Float32Array, FloatArray, IntArray
from friedel.identify.counts.maps import CountMaps
from friedel.identify.counts.template_bank import AZIMUTHS, FREQUENCIES, Spectra, TemplateBank, whole

#: Whole numbers that stand for a product: 48 of 1023 times 255 stay below 2^24.
_WAVE_LEVELS = 1023
#: Patterns correlated at once, which bounds the memory.
_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Orientations to look at (n patterns, P phases, K each), best first.

    Parameters
    ----------
    template
        Index in the bank.
    rotation_rad
        In-plane rotation from +kx towards +ky.
    """

    template: IntArray
    rotation_rad: FloatArray

    def best(self, n: int) -> Candidates:
        """Keep the n best of each phase in each pattern."""
        return Candidates(self.template[:, :, :n], self.rotation_rad[:, :, :n])


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
        for p, own in enumerate(bank.spectra):
            rows = _conjugate(waves[..., own.rows])
            products, scale = rows @ own.coefficients, _WAVE_LEVELS / _largest_product(rows, own)
            for i in range(part.stop - first):
                order, azimuth = _best_of(products[:, :, i] * scale[i], per_phase)
                template[first + i, p] = order + bank.members(p).start
                rotation[first + i, p] = azimuth * (2.0 * np.pi / AZIMUTHS)
    return Candidates(template, rotation)


def _best_of(products: Float32Array, n: int) -> tuple[IntArray, IntArray]:
    """The n templates that correlate best with a pattern at any azimuth, best first, and at which step of azimuth.

    Of products of coefficients (2, F, T) the real parts give what is even in azimuth, the imaginary ones what is odd:
    half of all azimuths give the other half.
    """
    even, odd = _inverse_transform() @ np.rint(products)
    order = np.argsort(-(even + np.abs(odd)).max(axis=0), kind="stable")[:n]
    order = np.append(order, np.repeat(order[-1:], n - len(order)))
    even, odd = even[:, order], odd[:, order]
    return order, np.concatenate([even + odd, (even - odd)[-2:0:-1]]).argmax(axis=0)


def _largest_product(rows: Float32Array, spectra: Spectra) -> Float32Array:
    """What no product of coefficients of patterns (n,) and templates exceeds, by Cauchy and Schwarz."""
    length = np.sqrt((rows[0] ** 2).sum(axis=2))
    return np.asarray(np.maximum((length * spectra.length[:, None]).max(axis=0), np.float32(1e-30)))


def _spectrum(picture: Float32Array) -> Float32Array:
    """Fourier coefficients over azimuth (2: real, imaginary; F, n, R) of pictures (n, R, A), in whole numbers."""
    n, radii, _ = picture.shape
    strength = np.abs(picture).max(axis=(1, 2), keepdims=True)
    waves = (whole(picture, strength).reshape(n * radii, -1) @ _transform()).reshape(n, radii, 2, FREQUENCIES)
    return whole(waves, np.abs(waves).max(axis=(1, 2, 3), keepdims=True)).transpose(2, 3, 0, 1)


def _conjugate(spectrum: Float32Array) -> Float32Array:
    """Matrices (2, F, n, 2 R) that take the coefficients of templates to products with the conjugate of theirs.

    One for the real part and one for the imaginary part: products of real matrices are faster than of complex ones.
    """
    real, imag = spectrum
    return np.stack([np.concatenate([real, imag], axis=2), np.concatenate([imag, -real], axis=2)])


@cache
def _transform() -> Float32Array:
    """Matrix (A, 2 F) that takes azimuths to real and imaginary Fourier coefficients, in whole numbers."""
    angle = 2.0 * np.pi / AZIMUTHS * np.outer(np.arange(AZIMUTHS), np.arange(FREQUENCIES))
    return np.asarray(whole(np.concatenate([np.cos(angle), -np.sin(angle)], axis=1), 1.0))


@cache
def _inverse_transform() -> Float32Array:
    """Matrices (2, A / 2 + 1, F) from real and imaginary coefficients of a real signal to its even and odd part.

    In whole numbers. For so many short transforms a matrix product is several times faster than an FFT.
    """
    weight = np.where(np.arange(2 * FREQUENCIES) % FREQUENCIES == 0, 0.5, 1.0)
    back = np.rint(weight * _transform())[: AZIMUTHS // 2 + 1]
    return np.asarray(back.reshape(-1, 2, FREQUENCIES).transpose(1, 0, 2), dtype=np.float32)


def _polar(maps: CountMaps, bank: TemplateBank, part: slice, hidden: BoolArray | None) -> Float32Array:
    """Signal of some patterns on the bank's polar grid (n, R, A), float32."""
    angle = np.arange(AZIMUTHS) * (2.0 * np.pi / AZIMUTHS)
    k = bank.radii_inv_a[:, None, None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    px = maps.grid.px_of(k) - np.asarray(maps.grid.centre_px) + maps.beam_px[part][:, None, None]
    row, column = np.rint(px[..., 0]).astype(np.intp), np.rint(px[..., 1]).astype(np.intp)
    height, width = maps.seen.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixel = np.where(inside, row * width + column, 0)
    inside &= maps.seen.ravel()[pixel]
    pixel += (np.arange(part.start, part.stop) * (height * width))[:, None, None]
    if hidden is not None:
        inside &= ~hidden.ravel()[pixel]
    disk, background = (np.sqrt(picture.ravel()[pixel] + np.float32(0.375)) for picture in (maps.disk, maps.background))
    return np.where(inside, disk - background, np.float32(0.0))
