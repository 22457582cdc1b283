"""The composite noise of a diffraction pattern: what sample, microscope and camera make of sharp spots.

In the order of physics: spots dim (before they are drawn); a halo, an amorphous film and inelastic scattering take
electrons from the spots; the beam stop shades; the dose is counted (Poisson); stray hits and lost pixels, and what the
camera adds (``detector``). Every part is a pure function. ``expose`` is all of them in a row; ``expect`` what in it is
sure, ``count`` what is chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.grids import ReciprocalGrid
from friedel.simulate.patterns.detector import Detector, DetectorRanges, blur, draw_detector, read_out, spread
from friedel.simulate.patterns.diffraction import SpotPattern
from friedel.simulate.ranges import Range, draw_settings, require_within

#: Second ring of an amorphous film over the first: radius, width and height; amorphous carbon has its rings at 0.48 and
#: 0.84 1/Å.
SECOND_RING = (1.75, 1.3, 0.5)
#: Halos are drawn at least so many pixels wide: of narrower ones, pixels do not hold the right share.
MIN_HALO_PX = 1.5


@dataclass(frozen=True, slots=True)
class Noise:
    """How one pattern is taken; by default with nothing but counting statistics.

    Parameters
    ----------
    dose_electrons
        Electrons that reach the sample while the pattern is taken.
    dim_chance, dim_depth
        Probability that a spot is dimmed, and the largest share of its electrons that it can lose.
    halo_share, halo_width_inv_a, halo_exponent
        Share of the electrons in the halo about the transmitted beam, and the width and exponent of its profile.
    amorphous_share, amorphous_ring_inv_a, amorphous_width_inv_a
        Share of the electrons in the rings of an amorphous film, radius and one-sigma width of the first ring.
    blur_px
        One-sigma width of the Gaussian blur by inelastic scattering and an imperfect focus, in pixels.
    ellipticity, ellipse_rad
        Relative excess of the long axis over the short one, and azimuth of the long axis from +kx towards +ky.
    shift_y_px, shift_x_px
        Descan: how far the whole pattern lies off its nominal centre.
    stop_radius_px, stop_arm_px, stop_azimuth_rad, stop_edge_px, stop_leak
        Beam stop: radius of its disk about the transmitted beam (0: no stop), width of the arm that holds it, azimuth
        in which the arm leaves, width of the penumbra, and share of the electrons that pass nevertheless.
    salt_share, salt_electrons
        Share of pixels with a stray hit (X-ray, cosmic ray), and its mean energy in electrons.
    pepper_share
        Share of pixels whose count is lost.
    detector
        The camera.
    """

    dose_electrons: float = 1000.0
    dim_chance: float = 0.0
    dim_depth: float = 0.9
    halo_share: float = 0.0
    halo_width_inv_a: float = 0.1
    halo_exponent: float = 1.5
    amorphous_share: float = 0.0
    amorphous_ring_inv_a: float = 0.48
    amorphous_width_inv_a: float = 0.06
    blur_px: float = 0.0
    ellipticity: float = 0.0
    ellipse_rad: float = 0.0
    shift_y_px: float = 0.0
    shift_x_px: float = 0.0
    stop_radius_px: float = 0.0
    stop_arm_px: float = 4.0
    stop_azimuth_rad: float = 0.0
    stop_edge_px: float = 1.0
    stop_leak: float = 0.0
    salt_share: float = 0.0
    salt_electrons: float = 20.0
    pepper_share: float = 0.0
    detector: Detector = field(default=Detector())

    def __post_init__(self) -> None:
        require_within(self, ("dose_electrons", "blur_px", "stop_radius_px", "stop_arm_px", "salt_electrons"))
        shares = ("dim_chance", "dim_depth", "halo_share", "amorphous_share", "stop_leak", "salt_share", "pepper_share")
        require_within(self, shares, high=1.0)
        require_within(self, ("halo_width_inv_a", "amorphous_ring_inv_a", "amorphous_width_inv_a"), low=1e-6)
        require_within(self, ("halo_exponent",), low=1.0 + 1e-6)
        require_within(self, ("ellipticity",), high=0.5)
        require_within(self, ("stop_edge_px",), low=1e-6)


@dataclass(frozen=True, slots=True)
class NoiseRanges:
    """Ranges of the settings of ``Noise`` and of its camera that bear the same names.

    Wide on purpose: from the best exposure to one in which hardly a spot can be seen. Halos range from a narrow haze to
    backgrounds that hold most of the light and fall off hardly faster than 1 / k^2, as those of thick metals do.
    Shifts and the beam stop are in pixels of a pattern of about 128 x 128.
    """

    dose_electrons: Range = field(default=Range(30.0, 100_000.0, is_log=True))
    dim_chance: Range = field(default=Range(0.05, 0.5, chance=0.3))
    dim_depth: Range = field(default=Range(0.3, 1.0))
    halo_share: Range = field(default=Range(0.02, 0.85, chance=0.8))
    halo_width_inv_a: Range = field(default=Range(0.04, 0.3, is_log=True))
    halo_exponent: Range = field(default=Range(1.05, 3.0))
    amorphous_share: Range = field(default=Range(0.02, 0.3, chance=0.3))
    amorphous_ring_inv_a: Range = field(default=Range(0.25, 0.6))
    amorphous_width_inv_a: Range = field(default=Range(0.03, 0.08))
    blur_px: Range = field(default=Range(0.2, 1.5, chance=0.7))
    ellipticity: Range = field(default=Range(0.001, 0.03, chance=0.5))
    ellipse_rad: Range = field(default=Range(0.0, np.pi))
    shift_y_px: Range = field(default=Range(-4.0, 4.0, chance=0.7))
    shift_x_px: Range = field(default=Range(-4.0, 4.0, chance=0.7))
    stop_radius_px: Range = field(default=Range(3.0, 12.0, chance=0.15))
    stop_arm_px: Range = field(default=Range(1.0, 8.0))
    stop_azimuth_rad: Range = field(default=Range(-np.pi, np.pi))
    stop_edge_px: Range = field(default=Range(0.5, 3.0))
    stop_leak: Range = field(default=Range(0.001, 0.3, chance=0.5, is_log=True))
    salt_share: Range = field(default=Range(1e-4, 5e-3, chance=0.4, is_log=True))
    salt_electrons: Range = field(default=Range(2.0, 200.0, is_log=True))
    pepper_share: Range = field(default=Range(1e-4, 1e-2, chance=0.3, is_log=True))
    detector: DetectorRanges = field(default=DetectorRanges())


def draw_noise(rng: np.random.Generator, ranges: NoiseRanges | None = None) -> Noise:
    """Draw how a pattern is taken, and by which camera."""
    ranges = ranges or NoiseRanges()
    return Noise(**draw_settings(ranges, rng), detector=draw_detector(rng, ranges.detector))


def dim_spots(spots: SpotPattern, noise: Noise, rng: np.random.Generator) -> SpotPattern:
    """Take light from spots, as local bending does: each by itself, also of a Friedel pair; it stays in the beam.

    A spot keeps the share 1 - depth * u, with u even in [0, 1], where a second u is below the chance.
    """
    fate, depth = rng.random((2, len(spots.share)))
    lost = spots.share * np.where(fate < noise.dim_chance, noise.dim_depth * depth, 0.0)
    return replace(spots, share=spots.share - lost, direct=spots.direct + float(lost.sum()))


def distort(grid: ReciprocalGrid, noise: Noise) -> ReciprocalGrid:
    """Return where the pattern truly lies: about the descanned centre, stretched to an ellipse of the same area.

    Draw the spots on this grid; what belongs to the nominal one is what the user is told.
    """
    c, s = np.cos(noise.ellipse_rad), np.sin(noise.ellipse_rad)
    axes = np.array([[s, c], [c, -s]])  # columns (ky, kx): the long axis, the short one
    root = np.sqrt(1.0 + noise.ellipticity)
    undo = axes @ np.diag([1.0 / root, root]) @ axes.T
    centre = (grid.centre_px[0] + noise.shift_y_px, grid.centre_px[1] + noise.shift_x_px)
    return replace(grid, centre_px=centre, ellipse=undo @ grid.ellipse)


def add_halo(share: FloatArray, noise: Noise, grid: ReciprocalGrid) -> FloatArray:
    """Move a share of the electrons (..., ky, kx) into a halo about the transmitted beam.

    The halo's density is that of Moffat (Astron. Astrophys. 3, 455, 1969), (b - 1) / (pi w^2) (1 + (k/w)^2)^-b, which
    integrates to 1 over the whole plane, so that what misses the detector is missing. b = 1.5 has the tails of multiple
    inelastic scattering (a Lorentzian's projection), large b is a Gaussian.
    """
    if noise.halo_share == 0:
        return share
    b, w = noise.halo_exponent, max(noise.halo_width_inv_a, MIN_HALO_PX * float(np.sqrt(_pixel_area(grid))))
    density = (b - 1.0) / (np.pi * w**2) * (1.0 + grid.radius2_inv_a2(_plane(share)) / w**2) ** -b
    return (1.0 - noise.halo_share) * share + noise.halo_share * _pixel_area(grid) * density


def add_amorphous(share: FloatArray, noise: Noise, grid: ReciprocalGrid) -> FloatArray:
    """Move a share of the electrons (..., ky, kx) into the two rings of an amorphous film.

    Each ring is a Gaussian in the radius, height exp(-((k - r) / w)^2 / 2), with the integral (2 pi)^1.5 r w where it
    is narrow. No speckle: the probe sees many clusters.
    """
    if noise.amorphous_share == 0:
        return share
    k = grid.radius_inv_a(_plane(share))
    density, total = np.zeros_like(k), 0.0
    for radius, width, height in ((1.0, 1.0, 1.0), SECOND_RING):
        r, w = radius * noise.amorphous_ring_inv_a, width * noise.amorphous_width_inv_a
        density += height * np.exp(-0.5 * ((k - r) / w) ** 2)
        total += height * (2.0 * np.pi) ** 1.5 * r * w
    return (1.0 - noise.amorphous_share) * share + noise.amorphous_share * _pixel_area(grid) * density / total


def beam_stop(shape: tuple[int, int], noise: Noise, centre_px: tuple[float, float]) -> FloatArray:
    """Transmission (ky, kx) of a disk about the transmitted beam and the arm that holds it, 1 where nothing shades.

    The penumbra falls linearly from 1 to the leak within ``stop_edge_px`` from the edge inwards.
    """
    if noise.stop_radius_px == 0:
        return np.ones(shape)
    y = np.arange(shape[0])[:, None] - centre_px[0]
    x = np.arange(shape[1]) - centre_px[1]
    s, c = np.sin(noise.stop_azimuth_rad), np.cos(noise.stop_azimuth_rad)
    along, across = y * s + x * c, np.abs(y * c - x * s)
    depth_in_arm = np.where(along > 0, 0.5 * noise.stop_arm_px - across, -np.inf)
    depth = np.maximum(noise.stop_radius_px - np.hypot(y, x), depth_in_arm)
    shaded = np.clip(depth / noise.stop_edge_px, 0.0, 1.0)
    return np.asarray(1.0 - (1.0 - noise.stop_leak) * shaded)


def expect(share: FloatArray, noise: Noise, grid: ReciprocalGrid) -> FloatArray:
    """Expected electrons per pixel (..., ky, kx), where they reach the camera, of sharp shares of the beam.

    ``grid`` is the one on which the spots were drawn (see ``distort``). The point spread of a counting camera is in it.
    """
    share = add_amorphous(add_halo(share, noise, grid), noise, grid)
    share = blur(share, noise.blur_px) * beam_stop(_plane(share), noise, grid.centre_px)
    return noise.dose_electrons * (spread(share, noise.detector) if noise.detector.is_counting else share)


def count(expected: FloatArray, noise: Noise, rng: np.random.Generator) -> AnyArray:
    """Draw what the camera writes (ky, kx) for the expected electrons per pixel: uint16, or uint32 if it needs more."""
    electrons = rng.poisson(expected).astype(np.float64)
    if not noise.detector.is_counting:
        electrons = spread(electrons, noise.detector)
    return read_out(salt_and_pepper(electrons, noise, rng), noise.detector, rng)


def salt_and_pepper(electrons: FloatArray, noise: Noise, rng: np.random.Generator) -> FloatArray:
    """Lose the count of some pixels, and add a stray hit of exponentially distributed energy to some others."""
    if noise.salt_share == 0 and noise.pepper_share == 0:
        return electrons
    fate = rng.random(electrons.shape)
    is_salt = fate >= 1.0 - noise.salt_share
    out = np.where(fate < noise.pepper_share, 0.0, electrons)
    out[is_salt] += np.ceil(noise.salt_electrons * rng.standard_exponential(np.count_nonzero(is_salt)))
    return out


def expose(share: FloatArray, noise: Noise, grid: ReciprocalGrid, rng: np.random.Generator) -> AnyArray:
    """Take a pattern: what the camera writes (ky, kx) for sharp shares of the beam per pixel (ky, kx).

    Give each pattern a generator of its own (``pattern_rng``), and its noise does not depend on what else is simulated.
    """
    return count(expect(share, noise, grid), noise, rng)


def pattern_rng(seed: int, *index: int) -> np.random.Generator:
    """Return the generator of one pattern, such as the one at (ry, rx): the same for the same seed and index."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=index))


def _pixel_area(grid: ReciprocalGrid) -> float:
    """Area of a pixel in 1/Å²."""
    return float(np.linalg.det(grid.ellipse) * grid.step_inv_a[0] * grid.step_inv_a[1])


def _plane(batch: FloatArray) -> tuple[int, int]:
    """Pixels (ky, kx) of a pattern or a batch of them."""
    return batch.shape[-2], batch.shape[-1]
