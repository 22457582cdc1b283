"""The first look at a series: its drift, and the spots in windows of frames that are averaged in register."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, without_missing
from friedel.core.errors import DataError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Micrograph, MicrographSeries, Pattern
from friedel.core.spots import Spots
from friedel.crystal import PhaseSet
from friedel.identify.grains.components import ComponentOptions, search_annulus, spot_detector
from friedel.identify.grains.fringe_maps import mask_radii_inv_a, noise_power, region_of
from friedel.patterns.bragg import bragg_spectrum, fringe_wave_and_weight, noise_amplitude
from friedel.patterns.diffractogram import clean_image, diffractogram
from friedel.patterns.masks import find_burned_in_bar
from friedel.pipeline.region import Region

#: Longest side of the maps of a series. Fringes are mapped with a resolution of about 2 nm anyway.
MAP_SIDE_PX = 512
#: Percentile of an amplitude within its region that is taken for its plateau.
PLATEAU_PERCENTILE = 75.0

Arrays = dict[str, AnyArray]


@dataclass(frozen=True, slots=True, eq=False)
class FrameSource:
    """Where the frames of a series come from; it can travel to another process.

    Parameters
    ----------
    series
        The stack.
    region
        The part of each frame that is analysed.
    bar
        Where (y, x) a scale bar is burned into the region; None for none.
    """

    series: MicrographSeries
    region: Region
    bar: BoolArray | None = None

    def __len__(self) -> int:
        return int(self.series.data.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels (y, x) of the analysed part of a frame."""
        return self.region.mask.shape[0], self.region.mask.shape[1]

    @property
    def map_step_px(self) -> int:
        """Pixels for one position of the maps."""
        return max(1, math.ceil(max(self.shape) / MAP_SIDE_PX))

    @property
    def map_shape(self) -> tuple[int, int]:
        """Positions (y, x) of the maps."""
        return math.ceil(self.shape[0] / self.map_step_px), math.ceil(self.shape[1] / self.map_step_px)

    def map_places(self, shift_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rows and columns of a frame with this drift at which the positions of the maps lie."""
        rows, columns = (np.arange(0, n, self.map_step_px) + s for n, s in zip(self.shape, shift_px, strict=True))
        return rows, columns

    def frame(self, index: int) -> Micrograph:
        """Read the analysed part of one frame."""
        rows, columns = slice(*self.region.rows), slice(*self.region.columns)
        try:
            data, replaced = without_missing(np.asarray(self.series.data[index, rows, columns]))
        except DataError as error:
            raise DataError(f"Frame {index}: {error} Or leave the frame out with --frames A:B.") from error
        if self.bar is not None:
            data = np.where(self.bar, np.median(data[~self.bar]), data)
        return Micrograph(data, self.series.grid, self.series.beam, replaced)

    def frames(self) -> Iterator[Micrograph]:
        """Read all frames, one after the other."""
        return (self.frame(i) for i in range(len(self)))


def frame_source(series: MicrographSeries, region: Region) -> FrameSource:
    """Make the source of a region of a series, without the scale bar that its first frame may show."""
    plain = FrameSource(series, region)
    bar = find_burned_in_bar(np.asarray(plain.frame(0).data))
    return FrameSource(series, region, bar) if bar.any() else plain


def mean_in_register(source: FrameSource, shift_px: FloatArray, frames: range, outlier_sigmas: float) -> Micrograph:
    """Average frames after undoing their shifts (t, 2) against the mean of these; exact between pixels.

    Fringes add up in phase and noise does not: the mean has the contrast of one frame and the noise of all.
    """
    about = shift_px[frames.start : frames.stop].mean(axis=0)
    height, width = source.shape
    total = np.zeros((height, width // 2 + 1), dtype=np.complex64)
    for i in frames:
        image, _ = clean_image(source.frame(i), outlier_sigmas)
        back = shift_px[i] - about
        turn_y = np.exp(2j * np.pi * back[0] * np.fft.fftfreq(height)).astype(np.complex64)
        turn_x = np.exp(2j * np.pi * back[1] * np.fft.rfftfreq(width)).astype(np.complex64)
        spectrum = fft.rfft2(image)
        spectrum *= turn_y[:, None]
        spectrum *= turn_x
        total += spectrum
    mean = fft.irfft2(total, s=source.shape) / np.float32(len(frames))
    return Micrograph(np.asarray(mean, dtype=np.float32), source.series.grid, source.series.beam)


@dataclass(frozen=True, slots=True, eq=False)
class WindowPlan:
    """How windows of frames are searched for spots.

    Parameters
    ----------
    source
        The frames.
    shift_px
        Drift (t, 2).
    windows
        The frames of each window.
    phases, options
        As for a single micrograph; false alarms count for the whole series.
    """

    source: FrameSource
    shift_px: FloatArray
    windows: tuple[range, ...]
    phases: PhaseSet
    options: ComponentOptions

    def look(self, window: int) -> Arrays:
        """Find the spots of one window and the places of their fringes, as named arrays.

        ``mask`` holds for each spot the bits of its region on the map's grid, in the coordinates of the first frame;
        ``plateau`` and ``noise_rms`` are amplitudes in one frame's unit; ``power`` is the diffractogram.
        """
        frames, options, source = self.windows[window], self.options, self.source
        mean = mean_in_register(source, self.shift_px, frames, options.fft.outlier_sigmas)
        pattern = diffractogram(mean, options.fft)
        spots = spot_detector(options).find(pattern, search_annulus(pattern, self.phases, options.d_min_a))
        radii = mask_radii_inv_a(spots, options.mask_radius_inv_a)
        smallest = float(radii.min(initial=options.mask_radius_inv_a))
        spectrum = bragg_spectrum(mean, smallest, options.fft.outlier_sigmas)
        places = source.map_places(self.shift_px[frames.start : frames.stop].mean(axis=0))
        masks = np.zeros((len(spots), *source.map_shape), dtype=bool)
        plateau, noise_rms = np.zeros(len(spots)), np.zeros(len(spots))
        for i, (k, radius) in enumerate(zip(spots.k_inv_a, radii.tolist(), strict=True)):
            at = float(k[0]), float(k[1])
            wave, weight = fringe_wave_and_weight(spectrum, at, radius, at_px=places)
            noise = noise_amplitude(spectrum, noise_power(pattern, k, radius), radius)
            masks[i] = region_of(np.abs(wave), (noise / np.sqrt(weight)).astype(np.float32), options.watershed)
            noise_rms[i] = noise * math.sqrt(len(frames))
            plateau[i] = np.percentile(np.abs(wave)[masks[i]], PLATEAU_PERCENTILE) if masks[i].any() else np.nan
        return {
            "k_inv_a": spots.k_inv_a,
            "sigma_inv_a": spots.sigma_inv_a,
            "intensity": spots.intensity,
            "snr": spots.snr,
            "radius_inv_a": radii,
            "plateau": plateau,
            "noise_rms": noise_rms,
            "mask": packed(masks),
            "power": pattern.data,
        }


def window_pattern(source: FrameSource, power: AnyArray) -> Pattern:
    """Put a power on the calibrated grid of the diffractograms of a source."""
    (height, width), (step_y, step_x) = source.shape, source.series.grid.step_a
    grid = ReciprocalGrid(
        (1 / (height * step_y), 1 / (width * step_x)), (height // 2, width // 2), source=source.series.grid.source,
        relative_sigma=source.series.grid.relative_sigma,
    )  # fmt: skip
    return Pattern(power, grid, origin="fft")


def windows_of(n_frames: int, window_frames: int) -> tuple[range, ...]:
    """Cut a series into windows of about so many frames, as equal as can be."""
    n_windows = max(1, round(n_frames / window_frames))
    edges = np.linspace(0, n_frames, n_windows + 1).round().astype(int).tolist()
    return tuple(range(start, stop) for start, stop in itertools.pairwise(edges))


def spots_of(window: Arrays) -> Spots:
    """Return the spots of a window from its arrays."""
    k, sigma, intensity, snr = (window[name] for name in ("k_inv_a", "sigma_inv_a", "intensity", "snr"))
    return Spots(k, sigma, intensity, snr, np.array([0, len(snr)]))


def packed(masks: BoolArray) -> AnyArray:
    """Masks (n, y, x) as bits (n, bytes)."""
    return np.packbits(masks.reshape(len(masks), math.prod(masks.shape[1:])), axis=1)


def unpacked(bits: AnyArray, shape: tuple[int, int]) -> BoolArray:
    """Masks (n, y, x) from their bits."""
    count = shape[0] * shape[1]
    return np.unpackbits(bits, axis=1, count=count).reshape(len(bits), *shape).astype(bool)
