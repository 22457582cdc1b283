"""Cameras: point spread, gain, read-out noise, saturation, and pixels that lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy import fft

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, read_only
from friedel.core.errors import DataError
from friedel.simulate.ranges import Range, draw_settings, require_within


@dataclass(frozen=True, slots=True)
class Detector:
    """A camera; the default one counts every electron in the pixel that it hits.

    Parameters
    ----------
    psf_px
        One-sigma width of the core of the point spread.
    tail_share, tail_px
        Share of each electron that goes into a wider Gaussian, and its one-sigma width.
    is_counting
        True: the point spread decides which one pixel counts the electron, so that the counts are Poisson. False: each
        electron's light is shared out among pixels, so that neighbours' noise is correlated and lower.
    gain
        Detector units per electron.
    gain_spread
        Relative one-sigma spread of the pixels' gain that a flat-field correction left.
    offset
        Dark level in detector units.
    read_noise_electrons
        One-sigma noise of each read-out in electrons.
    saturation
        Largest value in detector units, at most 2**32 - 1.
    dead_share, hot_share
        Shares of pixels that read zero, and that read too much in every pattern.
    hot_electrons
        Mean of what a hot pixel adds in electrons; its own value is exponentially distributed.
    tiles, gap_px
        Numbers of sensor tiles along (ky, kx), and the width of the blind gaps between them.
    seed
        Decides which pixels are dead or hot and how the gain varies: the same in all patterns of a camera.
    """

    psf_px: float = 0.0
    tail_share: float = 0.0
    tail_px: float = 5.0
    is_counting: bool = True
    gain: float = 1.0
    gain_spread: float = 0.0
    offset: float = 0.0
    read_noise_electrons: float = 0.0
    saturation: float = 65535.0
    dead_share: float = 0.0
    hot_share: float = 0.0
    hot_electrons: float = 20.0
    tiles: tuple[int, int] = (1, 1)
    gap_px: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require_within(self, ("psf_px", "tail_px", "gain_spread", "offset", "read_noise_electrons", "hot_electrons"))
        require_within(self, ("tail_share", "dead_share", "hot_share"), high=1.0)
        require_within(self, ("gain",), low=1e-6)
        require_within(self, ("saturation",), low=1.0, high=2.0**32 - 1)
        if min(self.tiles) < 1 or self.gap_px < 0:
            raise DataError(f"Detector needs at least one tile and no negative gap, got {self.tiles}, {self.gap_px}.")


@dataclass(frozen=True, slots=True)
class DetectorRanges:
    """Ranges of the settings of ``Detector`` that bear the same names.

    They span hybrid pixel detectors, which count, and scintillator cameras with gain, read-out noise and tails. No
    pixel saturates below 38 electrons, and offsets are whole numbers. ``counting_chance`` is the share of counting
    cameras, ``tiled_chance`` that of 2 x 2 tiles with gaps of ``gap_px``.
    """

    psf_px: Range = field(default=Range(0.3, 1.2))
    tail_share: Range = field(default=Range(0.02, 0.3, chance=0.3))
    tail_px: Range = field(default=Range(2.0, 8.0))
    gain: Range = field(default=Range(0.5, 50.0, chance=0.3, is_log=True))
    gain_spread: Range = field(default=Range(0.005, 0.05, chance=0.5))
    offset: Range = field(default=Range(0.0, 100.0, chance=0.3))
    read_noise_electrons: Range = field(default=Range(0.02, 0.3, chance=0.3, is_log=True))
    saturation: Range = field(default=Range(2000.0, 65535.0, chance=0.3, is_log=True))
    dead_share: Range = field(default=Range(1e-4, 3e-3, chance=0.3, is_log=True))
    hot_share: Range = field(default=Range(1e-4, 3e-3, chance=0.3, is_log=True))
    hot_electrons: Range = field(default=Range(2.0, 500.0, is_log=True))
    counting_chance: float = 0.7
    tiled_chance: float = 0.15
    gap_px: tuple[int, int] = (1, 4)


def draw_detector(rng: np.random.Generator, ranges: DetectorRanges | None = None) -> Detector:
    """Draw a camera."""
    ranges = ranges or DetectorRanges()
    drawn = draw_settings(ranges, rng)
    drawn["offset"] = float(round(drawn.get("offset", 0.0)))
    is_counting = bool(rng.random() < ranges.counting_chance)
    gap_px = int(rng.integers(ranges.gap_px[0], ranges.gap_px[1] + 1)) if rng.random() < ranges.tiled_chance else 0
    return Detector(**drawn, is_counting=is_counting, tiles=(2, 2) if gap_px else (1, 1), gap_px=gap_px,
                    seed=int(rng.integers(2**32)))  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class PixelMap:
    """What each pixel of a camera does, all of shape (ky, kx), read-only.

    Parameters
    ----------
    gain
        Detector units per electron.
    hot_electrons
        What the pixel adds to each pattern, in electrons.
    is_blind
        Dead pixels and gaps.
    """

    gain: FloatArray
    hot_electrons: FloatArray
    is_blind: BoolArray


@lru_cache(maxsize=8)
def pixel_map(detector: Detector, shape: tuple[int, int]) -> PixelMap:
    """Lay out the pixels of a camera of shape (ky, kx); its seed alone decides."""
    rng = np.random.default_rng(detector.seed)
    gain, hot, is_dead = np.full(shape, detector.gain), np.zeros(shape), np.zeros(shape, dtype=bool)
    if detector.gain_spread > 0:
        gain *= np.maximum(1.0 + detector.gain_spread * rng.standard_normal(shape), 0.0)
    if detector.dead_share + detector.hot_share > 0:
        fate = rng.random(shape)
        is_dead = fate < detector.dead_share
        is_hot = ~is_dead & (fate < detector.dead_share + detector.hot_share)
        hot[is_hot] = detector.hot_electrons * rng.standard_exponential(np.count_nonzero(is_hot))
    is_blind = is_dead | _gaps(shape[0], detector.tiles[0], detector.gap_px)[:, None]
    is_blind |= _gaps(shape[1], detector.tiles[1], detector.gap_px)
    return PixelMap(
        read_only(gain, ndim=2, name="gain"),
        read_only(hot, ndim=2, name="hot_electrons"),
        read_only(is_blind, ndim=2, name="is_blind", dtype=np.bool_),
    )


def blur(image: FloatArray, sigma_px: float) -> FloatArray:
    """Convolve the last two axes (..., ky, kx) with a Gaussian; no electron is lost.

    The kernel is the discrete Gaussian with the transfer exp(sigma^2 (cos w - 1)) along each axis, whose variance is
    sigma^2 at any width (Lindeberg, IEEE PAMI 12, 234, 1990). What would leave at an edge is mirrored back, in place of
    what would enter from beyond it: a product in the cosine transform.
    """
    return image if sigma_px == 0 else _filtered(image, _transfer(image.shape, sigma_px))


def spread(image: FloatArray, detector: Detector) -> FloatArray:
    """Apply the point spread of a camera to the last two axes (..., ky, kx): (1 - t) G(core) + t G(tail)."""
    if detector.tail_share == 0:
        return blur(image, detector.psf_px)
    core, tail = (_transfer(image.shape, sigma_px) for sigma_px in (detector.psf_px, detector.tail_px))
    return _filtered(image, (1.0 - detector.tail_share) * core + detector.tail_share * tail)


def read_out(electrons: FloatArray, detector: Detector, rng: np.random.Generator) -> AnyArray:
    """Turn electrons per pixel (ky, kx) into what the camera writes, uint16, or uint32 if it saturates higher.

    gain (electrons + hot + read noise) + offset, rounded and clipped to 0 ... saturation; blind pixels read 0. Mean and
    variance of the signal lie on a line whose slope is the gain (Janesick, Photon Transfer, 2007, ch. 5).
    """
    pixels = pixel_map(detector, (electrons.shape[0], electrons.shape[1]))
    signal = electrons + pixels.hot_electrons
    if detector.read_noise_electrons > 0:
        signal += detector.read_noise_electrons * rng.standard_normal(electrons.shape)
    units = np.clip(np.rint(pixels.gain * signal + detector.offset), 0.0, np.floor(detector.saturation))
    units[pixels.is_blind] = 0.0
    return units.astype(np.uint16 if detector.saturation < 65536 else np.uint32)


def electrons_of(units: AnyArray, detector: Detector) -> FloatArray:
    """Turn what a camera writes back into electrons, as far as offset and mean gain allow."""
    return np.asarray((units.astype(np.float64) - detector.offset) / detector.gain)


def _transfer(shape: tuple[int, ...], sigma_px: float) -> FloatArray:
    """Transfer (ky, kx) of the discrete Gaussian for each cosine."""
    along_y, along_x = (np.exp(sigma_px**2 * (np.cos(np.pi * np.arange(n) / n) - 1.0)) for n in shape[-2:])
    return np.asarray(along_y[:, None] * along_x)


def _filtered(image: FloatArray, transfer: FloatArray) -> FloatArray:
    """Multiply the cosine transform of an image that is nowhere negative; neither is the result."""
    cosines = fft.dctn(image, axes=(-2, -1), norm="ortho")
    return np.asarray(np.maximum(fft.idctn(cosines * transfer, axes=(-2, -1), norm="ortho"), 0.0))


def _gaps(n: int, n_tiles: int, gap_px: int) -> BoolArray:
    """Which of n pixels lie in the gaps between equal tiles."""
    borders = n * np.arange(1, n_tiles) / n_tiles
    distance = np.arange(n)[:, None] + 0.5 - borders
    return np.asarray((np.abs(distance) < gap_px / 2).any(axis=1))
