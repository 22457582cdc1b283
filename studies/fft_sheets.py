"""FFTs of simulated SEI micrographs with the spots that an expert would mark, made once and kept on disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import paths
from micrograph import LENSES, PHASES
from scipy import ndimage
from skimage.measure import regionprops_table

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern
from friedel.crystal import load_phases
from friedel.nets.half_plane import half_of, whole_of
from friedel.nets.training.spectra import detectability, mask_of
from friedel.patterns.contrast import ContrastOptions, paper_contrast
from friedel.patterns.diffractogram import diffractogram
from friedel.simulate.training.micrographs import labelled_micrograph
from friedel.spots.noise_floor import noise_floor

#: Where studies keep what they made: data, and trained networks.
WORK = paths.ROOT / "build" / "studies"
SHAPE, DOSES_E_PER_A2 = (256, 256), (100.0, 3000.0)
#: Seeds and numbers of the micrographs to train on, to choose thresholds on, and to judge on.
Part = Literal["training", "validation", "test"]
PARTS: dict[Part, tuple[int, int]] = {"training": (41_000, 120), "validation": (42_000, 24), "test": (43_000, 48)}
#: Signal over noise under a filter of the spot's own shape from which on it is marked; between the two it does not
#: count either way.
MARKED, HIDDEN = 8.0, 2.0
INNERMOST_PX = 8.0
Stage = Literal["noisy", "denoised", "enhanced", "filtered", "over noise"]
STAGES: tuple[Stage, ...] = ("noisy", "denoised", "enhanced", "filtered", "over noise")
#: What every page says of the authors' data.
NO_DATA = (
    "The authors' 80 FFTs, labelled by hand (github.com/ganyguru/TEMGUILESC), were not used: FFTs, spots and noise are "
    "simulated, with a truth in place of a person's labels."
)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """One half FFT, kx >= 0, and what is in it.

    Parameters
    ----------
    power
        Power spectrum (ky, width // 2 + 1).
    mask, counts
        Marked spots, and pixels that are judged.
    px, widths_px, is_marked
        Spots (N, 2) from the first pixel of the half, in px; the root mean square of their two widths (N,); and which
        of them are marked. The others are too faint.
    width
        Columns of the whole plane.
    """

    power: Float32Array
    mask: BoolArray
    counts: BoolArray
    px: FloatArray
    widths_px: FloatArray
    is_marked: BoolArray
    width: int

    @property
    def pattern(self) -> Pattern:
        """The whole plane, on a grid of pixels."""
        return _pattern_of(whole_of(self.power, self.width))


def sheets_of(part: Part, count: int | None = None, folder: Path = WORK) -> list[Sheet]:
    """Load the first ``count`` sheets of a part; those that are not on disk yet are simulated."""
    seed, most = PARTS[part]
    key = hashlib.sha256(repr((SHAPE, DOSES_E_PER_A2, seed, MARKED, HIDDEN, LENSES)).encode()).hexdigest()[:8]
    place = folder / f"sheets-{key}"
    place.mkdir(parents=True, exist_ok=True)
    return [_load_or_make(place / f"{part}-{i:04d}.npz", seed, i) for i in range(most if count is None else count)]


def picture_of(sheet: Sheet, stage: Stage, kernel_px: int = 3) -> Float32Array:
    """Half picture, 0 to 1, at a stage of the paper's preprocessing (its section 2.4), or of friedel's own.

    "noisy" is the normalised logarithm of the modulus, "denoised" that less its mean and clipped at 0, "enhanced" three
    times that plus 11 of 255, "filtered" that under the Gaussian kernel. "over noise" is the logarithm of the power
    over its noise floor, up to 100 times the noise.
    """
    whole = sheet.pattern
    if stage == "noisy":
        return np.asarray(half_of(log_modulus(whole)))
    if stage == "over noise":
        ratio = np.minimum(whole.data / noise_floor(whole), 100.0)
        return np.asarray(half_of(np.log1p(ratio) / np.log1p(100.0)), dtype=np.float32)
    options = {
        "denoised": ContrastOptions(1.0, 0.0, 1), "enhanced": ContrastOptions(kernel_px=1),
        "filtered": ContrastOptions(kernel_px=kernel_px),
    }  # fmt: skip
    return np.asarray(half_of(paper_contrast(whole, options[stage])))


def log_modulus(pattern: Pattern) -> Float32Array:
    """Logarithm of the modulus, brought to 0 to 1; the zero frequency, whose mean was removed, is that of its like."""
    power = pattern.data.copy()
    middle = pattern.shape[0] // 2, pattern.shape[1] // 2
    power[middle] = power[middle[0], middle[1] + 1]
    values = np.log(np.maximum(power, 1e-12 * power.max()))
    return np.asarray((values - values.min()) / (values.max() - values.min()), dtype=np.float32)


def _load_or_make(path: Path, seed: int, index: int) -> Sheet:
    if not path.exists():
        _save(path, simulate_sheet(seed, index))
    with np.load(path) as stored:
        return Sheet(**{name: stored[name] for name in ("power", "mask", "counts", "px", "widths_px", "is_marked")},
                     width=int(stored["width"]))  # fmt: skip


def _save(path: Path, sheet: Sheet) -> None:
    new = path.with_suffix(f".{os.getpid()}.new")
    with new.open("wb") as file:
        np.savez(file, power=sheet.power, mask=sheet.mask, counts=sheet.counts, px=sheet.px,
                 widths_px=sheet.widths_px, is_marked=sheet.is_marked, width=sheet.width)  # fmt: skip
    new.replace(path)


def simulate_sheet(
    seed: int, index: int, shape: tuple[int, int] = SHAPE, grain_share: tuple[float, float] | None = None
) -> Sheet:
    """Simulate FFT number ``index`` of a seed: grains of an SEI on a film, through either lens in turn."""
    lens = list(LENSES.values())[index % 2]
    variety = replace(
        lens, shape=shape, dose_e_per_a2=DOSES_E_PER_A2, grain_share=grain_share or lens.grain_share
    )  # fmt: skip
    micrograph, truth = labelled_micrograph(seed, index, load_phases(PHASES).crystals, variety)
    whole, labels = diffractogram(micrograph), truth.spots
    strength = detectability(labels)
    mask = half_of(mask_of(labels.where(strength >= MARKED), whole.shape))
    faint = half_of(mask_of(labels.where((strength >= HIDDEN) & (strength < MARKED)), whole.shape))
    middle = whole.shape[0] // 2
    radius = np.hypot(np.arange(whole.shape[0])[:, None] - middle, np.arange(mask.shape[1]))
    counts = (mask | ~faint) & (radius >= INNERMOST_PX)
    seen = labels.where(strength >= HIDDEN)
    px = np.where(seen.px[:, 1:] < 0, -seen.px, seen.px) + np.array([middle, 0])
    spread = np.sqrt(np.trace(seen.spread_px, axis1=1, axis2=2) / 2) if len(seen) else np.zeros(0)
    power = np.asarray(half_of(whole.data), dtype=np.float32)
    return Sheet(power, mask & counts, counts, px, spread, detectability(seen) >= MARKED, whole.shape[1])


def regions_of(mask: BoolArray) -> tuple[AnyArray, int]:
    """Number what hangs together, corners included; the number of regions."""
    labels, number = ndimage.label(mask, structure=np.ones((3, 3)))
    return np.asarray(labels), int(number)


def feature_sizes(labels: AnyArray, number: int) -> FloatArray:
    """Size of each region by the paper's equation 11: the root of the sum of the squares of both axes, in px."""
    axes = regionprops_table(labels, properties=("label", "axis_major_length", "axis_minor_length"))
    assert len(axes["label"]) == number
    return np.asarray(np.hypot(axes["axis_major_length"], axes["axis_minor_length"]))


def _pattern_of(power: AnyArray) -> Pattern:
    grid = ReciprocalGrid((1.0, 1.0), centre_px=(power.shape[0] // 2, power.shape[1] // 2))
    return Pattern(power.astype(np.float32, copy=False), grid, origin="fft")
