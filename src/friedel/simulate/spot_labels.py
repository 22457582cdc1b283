"""Which spots a grain makes in the diffractogram of its micrograph, and how far they stand out of the noise."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import ComplexArray, FloatArray
from friedel.patterns.diffractogram import window_1d
from friedel.simulate.camera import drift_transfer, modulation_transfer, noise_variance
from friedel.simulate.grains import Beams, Grain, Region, beams_of
from friedel.simulate.micrograph_truth import Imaging, SpotLabels
from friedel.simulate.optics import phase_contrast, wave_transfer
from friedel.simulate.specimen import Specimen, film_amplitude

#: Spots with less power than this share of the noise are not listed.
LEAST_SNR = 0.05
_NO_SPOTS = SpotLabels(
    np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), np.zeros((0, 2)),
    np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2, 2)),
)  # fmt: skip


def label_spots(specimen: Specimen, imaging: Imaging, g_max_inv_a: float) -> SpotLabels:
    """List the spots of all grains in the diffractogram, grain by grain, strongest first."""
    labelled = (_label_grain(i, grain, specimen, imaging, g_max_inv_a) for i, grain in enumerate(specimen.grains))
    parts = [_NO_SPOTS, *labelled]
    names = ("grain", "hkl", "k_true_inv_a", "k_inv_a", "px", "snr", "spread_px")
    return SpotLabels(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def image_harmonics(beams: Beams, thickness_a: float, imaging: Imaging) -> ComplexArray:
    """Fourier coefficients (N,) of the intensity of an endless crystal, over its mean, at the beams' frequencies.

    One cell of the lattice is imaged with the formulas of the whole micrograph.
    """
    size = 1 << int(4 * np.abs(beams.node).max(initial=1) + 2).bit_length()
    place = tuple((beams.node % size).T)
    shift = np.zeros((size, size), dtype=np.complex128)
    shift[place] = beams.amplitudes(thickness_a)
    ky, kx = _node_frequencies(beams, size)
    transfer = wave_transfer(ky, kx, imaging.optics)
    if imaging.is_strong:
        wave = np.fft.fft2(np.exp(1j * np.fft.ifft2(shift) * size**2)) / size**2
        image = np.abs(np.fft.ifft2(wave * transfer)) ** 2
        return np.asarray(np.fft.fft2(image)[place] / image.sum())
    half = 1j * shift * transfer
    mates = tuple((-beams.node % size).T)
    return np.asarray(half[place] + half[mates].conj())


def _node_frequencies(beams: Beams, size: int) -> tuple[FloatArray, FloatArray]:
    """True ky and kx (size, size) of the nodes of the net on the grid of the discrete transform of a cell."""
    basis = np.linalg.lstsq(beams.node.astype(float), beams.k_inv_a, rcond=None)[0]
    steps = np.fft.fftfreq(size, 1 / size)
    m, n = steps[:, None], steps
    return m * basis[0, 0] + n * basis[1, 0], m * basis[0, 1] + n * basis[1, 1]


def shape_of(region: Region, shape: tuple[int, int]) -> tuple[float, FloatArray]:
    """Sum of the diffractogram's window over a region, and the covariance (2, 2) in px² of the window's weight there.

    The power of a spot is the squared transform of this weight, exp(-4 pi^2 q C q) near its peak.
    """
    weight = np.outer(*(window_1d("tukey", n)[part] for n, part in zip(shape, region.window, strict=True)))
    weight = weight * region.mask
    total = float(weight.sum())
    if total <= 0:
        return 0.0, np.eye(2)
    places = [np.arange(n) for n in weight.shape]
    rows, columns = weight.sum(axis=1) / total, weight.sum(axis=0) / total
    y, x = rows @ places[0], columns @ places[1]
    yx = (places[0] - y) @ weight @ (places[1] - x) / total
    # A pixel has the variance 1/12, which keeps regions of one pixel's width from having none.
    yy, xx = rows @ (places[0] - y) ** 2 + 1 / 12, columns @ (places[1] - x) ** 2 + 1 / 12
    return total, np.array([[yy, yx], [yx, xx]])


def _label_grain(number: int, grain: Grain, specimen: Specimen, imaging: Imaging, g_max_inv_a: float) -> SpotLabels:
    sampling, exposure = imaging.sampling, imaging.exposure
    beams = beams_of(grain, imaging.beam, g_max_inv_a)
    q = sampling.cycles_per_px(beams.k_inv_a)
    (ky, kx), (qy, qx) = beams.k_inv_a.T, q.T
    blur = modulation_transfer(qy, qx, exposure) * drift_transfer(ky, kx, exposure)
    contrast = np.abs(image_harmonics(beams, grain.thickness_a, imaging)) * np.abs(blur)
    electrons = exposure.dose_e_per_a2 * sampling.pixel_area_a2
    window = [window_1d("tukey", n) for n in sampling.shape]
    total, covariance = shape_of(grain.region, sampling.shape)
    peak = (electrons * contrast * total) ** 2 / ((window[0] ** 2).sum() * (window[1] ** 2).sum())
    film = film_amplitude(np.hypot(ky, kx), specimen.film_a, sampling, imaging.beam)
    background = (electrons * film * phase_contrast(ky, kx, imaging.optics) * blur) ** 2
    snr = peak / (background + noise_variance(qy, qx, sampling, exposure))
    upper = (qy > 1e-9) | ((np.abs(qy) <= 1e-9) & (qx > 0))
    keep = np.flatnonzero(upper & (np.abs(q) < 0.5).all(axis=1) & (snr >= LEAST_SNR))
    keep = keep[np.argsort(-snr[keep], kind="stable")]
    scale = np.diag(sampling.shape).astype(float)
    spread = scale @ np.linalg.inv(covariance) @ scale / (8 * np.pi**2)
    return SpotLabels(
        np.full(len(keep), number), beams.hkl[keep], beams.k_inv_a[keep], sampling.stated(beams.k_inv_a[keep]),
        q[keep] * sampling.shape, snr[keep], np.repeat(spread[None], len(keep), axis=0),
    )  # fmt: skip
