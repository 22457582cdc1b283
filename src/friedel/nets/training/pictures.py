"""A user's own labelled spectra: pictures of FFTs, and pictures of the spots in them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.errors import DataError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern
from friedel.io.formats import picture as pictures
from friedel.io.formats import tiff
from friedel.io.limits import Limits
from friedel.nets.half_plane import half_of
from friedel.nets.training.spectra import Spectrum, save_spectrum
from friedel.spots.noise_floor import noise_floor

_SUFFIXES = (".png", ".tif", ".tiff")
#: Share of the sources that are kept to judge by.
VALIDATION_SHARE = 0.2
#: Log of the ratio of the upper to the lower quartile of an exponential distribution.
_QUARTILES = math.log(math.log(4) / math.log(4 / 3))


def find_pairs(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Pair the pictures of two folders by name.

    Raises
    ------
    DataError
        If a picture lacks its label, or there are none.
    """
    found = sorted(path for path in images.glob("*") if path.suffix.lower() in _SUFFIXES)
    marked = {path.stem: path for path in labels.glob("*") if path.suffix.lower() in _SUFFIXES}
    missing = [path.name for path in found if path.stem not in marked]
    if not found or missing:
        what = f"{missing[0]} and {len(missing) - 1} more have none" if missing else "there is no .png or .tif"
        raise DataError(f"Every picture in {images} needs one of the same name in {labels}: {what}.")
    return [(path, marked[path.stem]) for path in found]


def set_aside(paths: Sequence[Path]) -> frozenset[Path]:
    """Choose pictures to judge by: a fifth of the sources, at least one, in the order of a hash of their names.

    Names that agree up to the last "_" are views of one source, and stay together.

    Raises
    ------
    DataError
        If there is only one source.
    """
    sources = sorted({source_of(path) for path in paths}, key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(sources) < 2:
        raise DataError(f"Pictures of two sources are needed, to learn from and to judge by, got only {sources}.")
    kept = set(sources[: max(1, round(VALIDATION_SHARE * len(sources)))])
    return frozenset(path for path in paths if source_of(path) in kept)


def source_of(path: Path) -> str:
    """Name of a picture up to the last "_"."""
    return path.stem.rpartition("_")[0] or path.stem


def picture_spectrum(picture: AnyArray, label: AnyArray) -> Spectrum:
    """Turn the picture (ky, kx) of an FFT and that of its spots into what a network learns from.

    Notes
    -----
    What a grey value means is not known (power, modulus, or either with a gamma), so that it is raised to the power at
    which the quartiles of the background are those of speckle. Labels may be white on black or black on white; a spot
    at the centre is no reflection and is left out.
    """
    if picture.shape != label.shape or picture.ndim != 2 or min(picture.shape) < 32:
        raise DataError(
            f"A picture and its label must be of one shape of at least 32 x 32, got {picture.shape} and {label.shape}."
        )
    return spectrum_of_mask(speckle_of(picture), marked(label))


def spectrum_of_mask(ratio: FloatArray, mask: BoolArray) -> Spectrum:
    """Take the half plane of a power over noise and its mask (ky, kx), all pixels counted."""
    half = half_of(mask)
    return Spectrum(half_of(ratio.astype(np.float16)), half, np.ones_like(half), ratio.shape[1])


def marked(label: AnyArray) -> BoolArray:
    """Spots of a label, without the one at the centre."""
    level = 0.5 * (float(label.min()) + float(label.max()))
    mask = np.asarray(label > level)
    if mask.mean() > 0.5:
        mask = ~mask
    regions, _ = ndimage.label(mask)
    middle = regions[mask.shape[0] // 2 - 1 : mask.shape[0] // 2 + 2, mask.shape[1] // 2 - 1 : mask.shape[1] // 2 + 2]
    return np.asarray(mask & ~np.isin(regions, middle[middle > 0]))


def speckle_of(picture: AnyArray) -> FloatArray:
    """Power over noise (ky, kx) of the picture of an FFT; see ``picture_spectrum``."""
    values = np.maximum(picture.astype(np.float64), 0.5)
    gamma = 1.0
    for _ in range(3):
        ratio = _over_floor(values**gamma)
        low, high = np.quantile(ratio, [0.25, 0.75])
        gamma *= float(np.clip(_QUARTILES / math.log(max(high / low, 1.01)), 0.2, 5.0))
    return np.minimum(_over_floor(values**gamma), 6e4)


def read_picture(path: Path) -> AnyArray:
    """Read grey values (y, x) of a .png or .tif."""
    opened = (pictures if path.suffix.lower() == ".png" else tiff).open_file(path, Limits())
    return np.asarray(opened.array)


def _over_floor(power: FloatArray) -> FloatArray:
    height, width = power.shape
    grid = ReciprocalGrid(step_inv_a=(1 / height, 1 / width), centre_px=(height // 2, width // 2))
    pattern = Pattern(power.astype(np.float32), grid, origin="fft")
    return np.asarray(pattern.data / noise_floor(pattern), dtype=np.float64)


def write_pictures(images: Path, labels: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the spectra of all pairs, and return those to train on and those to judge by."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = find_pairs(images, labels)
    judged = set_aside([picture for picture, _ in pairs])
    parts: tuple[list[Path], list[Path]] = ([], [])
    for picture, label in pairs:
        path = folder / f"{picture.stem}.npz"
        save_spectrum(path, picture_spectrum(read_picture(picture), read_picture(label)))
        parts[picture in judged].append(path)
    return parts
