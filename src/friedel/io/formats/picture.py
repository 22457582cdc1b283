"""PNG and BMP pictures; they carry no calibration that means anything in microscopy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from friedel.core.arrays import AnyArray
from friedel.core.errors import UnsupportedFileError
from friedel.io.describe import Description, image_axes
from friedel.io.formats.common import Opened, require_plausible, require_sizes
from friedel.io.limits import Limits


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a picture and decode it, unless its size is that of a bomb."""
    with Image.open(path, formats=("PNG", "BMP")) as picture:
        width, height = picture.size
        require_sizes(path, (height, width))
        samples = 4 * len(picture.getbands()) if picture.mode in ("I", "F") else 2 * len(picture.getbands())
        require_plausible(path, width * height * samples, path.stat().st_size, limits)
        plain = {"P": "RGB", "1": "L"}.get(picture.mode)
        pixels = np.asarray(picture.convert(plain) if plain else picture)
    pixels, notes = to_grey(path, pixels)
    if pixels.dtype == np.int32 and pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max:
        pixels = pixels.astype(np.uint16)
    name = path.suffix.lower().removeprefix(".").upper()
    axes = image_axes((pixels.shape[0], pixels.shape[1]))
    return Opened(Description(name, pixels.dtype.str, axes, notes=notes), pixels)


def to_grey(path: Path, pixels: AnyArray) -> tuple[AnyArray, tuple[str, ...]]:
    """Turn colour (y, x, channel) into grey: equal channels collapse, others give their luminance (ITU-R BT.601)."""
    if pixels.ndim == 2:
        return pixels, ()
    if pixels.ndim != 3 or pixels.shape[2] not in (2, 3, 4):
        raise UnsupportedFileError(path, f"it holds an array of shape {pixels.shape}", "Save it as a grey image.")
    if pixels.shape[2] == 2:
        return np.ascontiguousarray(pixels[..., 0]), ("The transparency channel is ignored.",)
    red, green, blue = (pixels[..., i] for i in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red), ("A grey image saved in colour: one channel is taken.",)
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return pixels[..., :3].astype(np.float32) @ weights, ("A colour image: its luminance is taken.",)
