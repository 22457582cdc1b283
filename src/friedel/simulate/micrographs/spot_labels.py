"""Which spots a grain makes in the diffractogram of its micrograph, and how far they stand out of the noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import fft

from friedel.core.arrays import AnyArray, FloatArray
from friedel.patterns.diffractogram import window_1d
from friedel.simulate.micrographs.camera import drift_transfer, modulation_transfer, noise_variance
from friedel.simulate.micrographs.grains import Grain, Region, beams_of
from friedel.simulate.micrographs.imaging import Imaging, harmonics_limit_inv_a, image_spectrum
from friedel.simulate.micrographs.optics import displacement_a, envelope, phase_contrast
from friedel.simulate.micrographs.specimen import Specimen, film_amplitude
from friedel.simulate.micrographs.truth import SpotLabels
from friedel.simulate.micrographs.waves import plane_waves

#: Spots with less power than this share of the noise are not listed.
LEAST_SNR = 0.05
#: Beams below this share of a grain's strongest are not followed on their way out of the grain.
_LEAST_SHARE = 0.05
_NO_SPOTS = SpotLabels(
    np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), np.zeros((0, 2)),
    np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2, 2)),
)  # fmt: skip


def label_spots(specimen: Specimen, imaging: Imaging, mean: float) -> SpotLabels:
    """List the spots of all grains in the diffractogram, grain by grain, strongest first.

    Parameters
    ----------
    mean
        Mean of the intensity in the image plane, as it stands before its scaling to 1.

    Notes
    -----
    Each grain is imaged alone, without film and noise. Where grains overlap, sums of the beams of both make further
    spots (moire fringes), which are not listed.
    """
    visible = ((i, grain) for i, grain in enumerate(specimen.grains) if grain.region.area_px)
    labelled = (_label_grain(i, grain, specimen, imaging, mean) for i, grain in visible)
    parts = [_NO_SPOTS, *labelled]
    names = ("grain", "hkl", "k_true_inv_a", "k_inv_a", "px", "snr", "spread_px")
    return SpotLabels(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _label_grain(number: int, grain: Grain, specimen: Specimen, imaging: Imaging, mean: float) -> SpotLabels:
    sampling, exposure = imaging.sampling, imaging.exposure
    # The intensity of a strong object shows the sums and differences of its beams as well.
    g_max = (1 + imaging.is_strong) * harmonics_limit_inv_a(sampling)
    beams = beams_of(grain, imaging.beam, g_max)
    q = sampling.cycles_per_px(beams.k_inv_a)
    upper = (q[:, 0] > 1e-9) | ((np.abs(q[:, 0]) <= 1e-9) & (q[:, 1] > 0))
    listed = np.flatnonzero(upper & (np.abs(q) < 0.5).all(axis=1))
    hkl, k, q = beams.hkl[listed], beams.k_inv_a[listed], q[listed]
    (ky, kx), (qy, qx) = k.T, q.T
    blur = modulation_transfer(qy, qx, exposure) * drift_transfer(ky, kx, exposure)
    electrons = exposure.dose_e_per_a2 * sampling.pixel_area_a2
    signal = electrons / mean * blur * np.abs(_windowed_harmonics(grain, imaging, q))
    norm = np.prod([(window_1d("tukey", n) ** 2).sum() for n in sampling.shape])
    film = film_amplitude(np.hypot(ky, kx), specimen.film_a, sampling, imaging.beam)
    background = (electrons * film * phase_contrast(ky, kx, imaging.optics) * blur) ** 2
    snr = signal**2 / norm / (background + noise_variance(qy, qx, sampling, exposure))
    order = np.argsort(-snr, kind="stable")
    order = order[snr[order] >= LEAST_SNR]
    return SpotLabels(
        np.full(len(order), number), hkl[order], k[order], sampling.stated(k[order]), q[order] * sampling.shape,
        snr[order], np.repeat(peak_spread_px(grain.region, sampling.shape)[None], len(order), axis=0),
    )  # fmt: skip


def _windowed_harmonics(grain: Grain, imaging: Imaging, q: FloatArray) -> AnyArray:
    """Transform (N,) of a lone grain's intensity under the diffractogram's window at q (N, 2) in cycles per pixel."""
    sampling = imaging.sampling
    start, shape = _window_with_margin(grain, imaging)
    alone = replace(
        grain,
        region=Region((grain.region.offset_px[0] - start[0], grain.region.offset_px[1] - start[1]), grain.region.mask),
        origin_a=tuple(np.array(grain.origin_a) - sampling.matrix_a @ start),
    )
    part = replace(imaging, sampling=replace(sampling, shape=shape))
    image = fft.irfft2(image_spectrum(Specimen((alone,), 0.0), part, None), s=shape) - 1
    weights = []
    for first, length, whole in zip(start, shape, sampling.shape, strict=True):
        places = np.arange(first, first + length)
        weights.append(np.where((places >= 0) & (places < whole), window_1d("tukey", whole)[places % whole], 0.0))
    image *= np.outer(*weights).astype(np.float32)
    along_y, along_x = (plane_waves(-q[:, i], 0, shape[i]) for i in (0, 1))
    return np.asarray(((along_y @ image) * along_x).sum(axis=1))


def _window_with_margin(grain: Grain, imaging: Imaging) -> tuple[tuple[int, int], tuple[int, int]]:
    """First pixel and shape of the part of the picture that the fringes of a grain reach, of even, fast lengths."""
    sampling, region = imaging.sampling, grain.region
    beams = beams_of(grain, imaging.beam, harmonics_limit_inv_a(sampling))
    ky, kx = beams.k_inv_a.T
    passed = np.abs(beams.amplitudes(grain.thickness_a)) * envelope(ky, kx, imaging.optics)
    reach_a = np.hypot(*displacement_a(ky, kx, imaging.optics))[passed > _LEAST_SHARE * passed.max(initial=0.0)]
    margin = int(reach_a.max(initial=0.0) * 2 * sampling.nyquist_inv_a) + 8
    start, shape = [], []
    for first, length, whole in zip(region.offset_px, region.mask.shape, sampling.shape, strict=True):
        wanted = max(16, 2 * int(fft.next_fast_len((length + 2 * margin + 1) // 2, real=False)))
        fits = wanted < whole
        start.append(first - (wanted - length) // 2 if fits else 0)
        shape.append(wanted if fits else whole)
    return (start[0], start[1]), (shape[0], shape[1])


def peak_spread_px(region: Region, shape: tuple[int, int]) -> FloatArray:
    """Covariance (2, 2) in px² of the peak of the power of a region's spots in the diffractogram of a picture.

    With the covariance C of the places in the region, weighted with the window, the power is exp(-4 pi^2 q C q) near
    its peak, q in cycles per pixel: that of a disk of diameter D has fallen to a half at 0.53 / D (exactly 0.51 / D).
    """
    weight = np.outer(*(window_1d("tukey", n)[part] for n, part in zip(shape, region.window, strict=True)))
    weight = weight * region.mask / np.sum(weight * region.mask)
    places = [np.arange(n) for n in weight.shape]
    rows, columns = weight.sum(axis=1), weight.sum(axis=0)
    y, x = places[0] - rows @ places[0], places[1] - columns @ places[1]
    # A pixel has the variance 1/12, which keeps regions of one pixel's width from having none.
    covariance = np.array([[rows @ y**2 + 1 / 12, y @ weight @ x], [y @ weight @ x, columns @ x**2 + 1 / 12]])
    scale = np.diag(shape).astype(float)
    return np.asarray(scale @ np.linalg.inv(covariance) @ scale / (8 * np.pi**2))
