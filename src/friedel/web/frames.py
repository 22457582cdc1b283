"""Pictures as they travel to the page: a short JSON header, then the numbers."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.pipeline.runs.files import plain_values

#: Shares of the values below the suggested black and white.
_BLACK, _WHITE = 0.01, 0.998
#: Values looked at for black and white.
_SAMPLE = 65536
#: A range of numbers that float32 spans with room to spare.
_MOST_FLOAT32 = 1e30


def encode(
    array: AnyArray, *, seen: AnyArray | None = None, window: tuple[float, float] | None = None, **facts: Any
) -> bytes:
    """Pack an array for the page.

    Parameters
    ----------
    array
        uint8 and uint16 travel as they are; everything else becomes uint16 with an ``offset`` and a ``scale``, and
        what is not finite becomes the offset.
    seen
        Values that decide what is black and white; None is all.
    window
        Black and white themselves.
    facts
        More for the header, in JSON's types.

    Returns
    -------
    bytes
        Length of the header (uint32, little-endian), the header padded with spaces to whole 8 bytes, and the array,
        little-endian in C order. Value = ``offset`` + ``scale`` * number. ``black`` and ``white`` are values between
        which most of the picture lies.
    """
    values = np.asarray(array, np.uint8) if array.dtype == np.bool_ else np.asarray(array)
    black, white = window or _window(values if seen is None or not seen.size else seen)
    offset, scale = 0.0, 1.0
    if values.dtype not in (np.uint8, np.uint16):
        values, offset, scale = _quantised(values)
    header = {
        "shape": values.shape,
        "dtype": values.dtype.name,
        "offset": offset,
        "scale": scale,
        "black": black,
        "white": white,
        **facts,
    }
    text = json.dumps(plain_values(header)).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return struct.pack("<I", len(text)) + text + np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()


def decode(data: bytes) -> tuple[AnyArray, dict[str, Any]]:
    """Unpack what ``encode`` packed: values and header."""
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    numbers = np.frombuffer(data, np.dtype(header["dtype"]), offset=4 + length).reshape(header["shape"])
    return (numbers if header["scale"] == 1.0 else header["offset"] + header["scale"] * numbers), header


def binned(image: AnyArray, factor: int) -> AnyArray:
    """Mean of squares of ``factor`` pixels; what is left over at the far edges is dropped."""
    if factor == 1:
        return image
    rows, columns = (n // factor * factor for n in image.shape)
    blocks = image[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _quantised(values: AnyArray) -> tuple[AnyArray, float, float]:
    """Return uint16 numbers, and the offset and scale that give the values back."""
    if values.dtype.kind in "iu" and values.size:
        least, most = int(values.min()), int(values.max())
        if least >= 0 and most <= 65535:
            return values.astype(np.uint8 if most <= 255 else np.uint16), 0.0, 1.0
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8), 0.0, 1.0
    kept = values if finite.all() else np.where(finite, values, values[finite].min())
    low, high = float(kept.min()), float(kept.max())
    scale = (high - low) / 65535 or 1.0
    exact = np.float32 if kept.dtype == np.float32 and high - low < _MOST_FLOAT32 else np.float64
    numbers = (kept - exact(low)) * exact(1.0 / scale)
    return np.rint(numbers, out=numbers).astype(np.uint16), low, scale


def _window(values: AnyArray) -> tuple[float, float]:
    flat = values.ravel()[:: max(1, values.size // _SAMPLE)]
    if flat.dtype.kind == "f":
        flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0, 1.0
    black, white = np.quantile(flat, (_BLACK, _WHITE))
    if white <= black:
        black, white = float(flat.min()), float(flat.max())
    return float(black), float(white) if white > black else float(black) + 1.0
