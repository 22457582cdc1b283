"""TIFF images and stacks, with the scales that ImageJ, Digital Micrograph and OME write."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from friedel.core.arrays import AnyArray
from friedel.core.errors import CorruptFileError, TruncatedFileError, UnsupportedFileError
from friedel.io.describe import Axis, Description
from friedel.io.formats.common import COPY_AGAIN, Opened, real_dtype, require_bytes, require_plausible, require_sizes
from friedel.io.formats.picture import to_grey
from friedel.io.limits import Limits
from friedel.io.views import LazyView, as_slice

#: Private tags of Digital Micrograph (GMS writes them into TIFF): unit and scale of x, y and the frame axis.
_DM_UNITS, _DM_SCALES = (65003, 65004, 65005), (65009, 65010, 65011)
#: Compressions whose result is the image byte by byte: none, deflate, LZMA, Zstandard.
_BYTEWISE = (1, 8, 32946, 34925, 50000)
#: Tags that list where the parts of an image lie.
_STRIPS, _TILES = 273, 324

Scales = dict[str, tuple[float | None, str]]


class Pages(LazyView):
    """The pages of a compressed stack, each decoded when it is needed."""

    def __init__(self, pages: list[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.pages, self.shape, self.dtype = pages, shape, dtype

    def _read(self, spans: list[range]) -> AnyArray:
        lead = self.shape[:-2]
        numbers = np.arange(len(self.pages)).reshape(lead)[tuple(as_slice(span) for span in spans[:-2])]
        key = tuple(as_slice(span) for span in spans[-2:])
        frames = [_decoded(self.pages[number]).reshape(self.shape[-2:])[key] for number in numbers.ravel()]
        return np.stack(frames).reshape(*numbers.shape, *frames[0].shape)


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a TIFF file; its first series of equal pages is taken."""
    _walk_directories(path)
    tiff = tifffile.TiffFile(path)
    series, scales = tiff.series[0], _scales(tiff)
    described: Any = tiff.shaped_metadata or ({},)
    stated = described[0].get("shape")
    if stated and math.prod(stated) != math.prod(series.shape):
        problem = f"its description states the shape {stated}, its pages make {list(series.shape)}"
        raise CorruptFileError(path, problem, COPY_AGAIN)
    pages = [page for page in series.pages if page is not None]
    _check_pages(path, series, pages, limits)
    notes: tuple[str, ...] = ()
    if len(tiff.series) > 1:
        notes = (f"The first of {len(tiff.series)} images in the file is taken.",)
    array, names = _array(path, series, pages), series.axes
    if names.endswith("S") and array.ndim == 3:
        array, more = to_grey(path, np.asarray(array))
        names, notes = names[:-1], notes + more
    if not names.endswith("YX"):
        raise UnsupportedFileError(path, f"it holds axes {names} of lengths {array.shape}", "Save grey images.")
    dtype = real_dtype(path, array.dtype)
    axes = tuple(
        Axis(name.lower(), int(size), *scales.get(name if name in "YX" else "T", (None, "")), role=_role(name))
        for name, size in zip(names, array.shape, strict=True)
    )
    return Opened(Description("TIFF", dtype, axes, notes=notes), array)


def _role(name: str) -> Any:
    return "signal" if name in "YX" else "navigate"


def _walk_directories(path: Path) -> None:
    """Follow the chain of image directories; it must end inside the file and not run in circles."""
    size, seen = path.stat().st_size, set()
    with path.open("rb") as stream:
        head = stream.read(16)
        order = "<" if head[:2] == b"II" else ">"
        is_big = struct.unpack(order + "H", head[2:4])[0] == 43
        count_format, offset_format, entry = ("Q", "Q", 20) if is_big else ("H", "I", 12)
        at = 8 if is_big else 4
        while True:
            raw = _read_at(path, stream, at, struct.calcsize(offset_format))
            (start,) = struct.unpack(order + offset_format, raw)
            if start == 0:
                return
            if start in seen:
                raise CorruptFileError(path, "its image directories run in a circle", COPY_AGAIN)
            seen.add(start)
            require_bytes(path, start + 8, size)
            raw = _read_at(path, stream, start, struct.calcsize(count_format))
            at = start + len(raw) + entry * struct.unpack(order + count_format, raw)[0]


def _read_at(path: Path, stream: Any, at: int, n_bytes: int) -> bytes:
    stream.seek(at)
    raw: bytes = stream.read(n_bytes)
    if len(raw) < n_bytes:
        raise TruncatedFileError(path, f"it ends inside an image directory at byte {at}", COPY_AGAIN)
    return raw


def _check_pages(path: Path, series: Any, pages: list[Any], limits: Limits) -> None:
    """Check that the bytes of all pages are there, and that no page is a bomb."""
    require_sizes(path, tuple(series.shape))
    first = pages[0]
    if first.compression == 1 and sum(first.databytecounts) < first.nbytes:
        problem = f"an image of {first.nbytes} bytes is stored in {sum(first.databytecounts)}, yet not compressed"
        raise CorruptFileError(path, problem, COPY_AGAIN)
    if series.dataoffset is not None:
        require_bytes(path, int(series.dataoffset) + int(series.nbytes))
        return
    if len(pages) < len(series.pages):
        raise TruncatedFileError(path, f"only {len(pages)} of {len(series.pages)} pages are there", COPY_AGAIN)
    for page in pages:
        stored = int(sum(page.databytecounts))
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        require_bytes(path, max(ends, default=0))
        if 0 in page.databytecounts:
            raise TruncatedFileError(path, "parts of an image were never written", COPY_AGAIN)
        require_plausible(path, int(page.nbytes), stored, limits)


def _array(path: Path, series: Any, pages: list[Any]) -> Any:
    """Map the data where they lie plain in the file; decode pages otherwise."""
    if series.dataoffset is not None:
        dtype = np.dtype(series.dtype).newbyteorder(series.parent.byteorder)
        return np.memmap(path, dtype=dtype, mode="r", offset=int(series.dataoffset), shape=tuple(series.shape))
    if len(pages) == 1:
        return _decoded(pages[0]).reshape(series.shape)
    if len(series.axes) == len(series.shape) and series.axes.endswith("YX"):
        return Pages(pages, tuple(series.shape), np.dtype(series.dtype))
    raise UnsupportedFileError(path, f"it holds a stack with axes {series.axes}", "Save it as a stack of grey images.")


def _decoded(page: Any) -> AnyArray:
    """Decode a page; its parts must cover it and unpack to what its tags state, since tifffile fills up or cuts."""
    form, stream = page.keyframe, page.parent.filehandle
    parts, listed = math.prod(form.chunked), form.tags.get(_TILES, form.tags.get(_STRIPS))
    if len(page.dataoffsets) != parts or (listed is not None and listed.count != parts):
        raise CorruptFileError(stream.path, f"an image of {parts} parts lists another number", COPY_AGAIN)
    if form.compression in _BYTEWISE:
        raw, _ = next(iter(stream.read_segments(page.dataoffsets[:1], page.databytecounts[:1])))
        unpacked = len(tifffile.TIFF.DECOMPRESSORS[form.compression](raw))
        rows = form.tilelength if form.is_tiled else min(form.rowsperstrip, form.imagelength)
        stated = rows * math.ceil(math.prod(form.chunks[1:]) * form.bitspersample / 8)
        if unpacked != stated:
            problem = f"an image unpacks to {unpacked} bytes where its tags state {stated}"
            raise CorruptFileError(stream.path, problem, COPY_AGAIN)
    return np.asarray(page.asarray())


def _scales(tiff: Any) -> Scales:
    """Find scale and unit of X, Y and T; a printing resolution (dots per inch or cm) is no calibration."""
    tags = tiff.pages[0].tags
    if _DM_SCALES[0] in tags and _DM_UNITS[0] in tags:
        return {
            name: (float(tags[scale].value), str(tags[unit].value))
            for name, scale, unit in zip("XYT", _DM_SCALES, _DM_UNITS, strict=True)
            if scale in tags and unit in tags
        }
    if tiff.is_imagej and (tiff.imagej_metadata or {}).get("unit"):
        return _imagej_scales(tags, tiff.imagej_metadata)
    if tiff.is_ome:
        return _ome_scales(tiff.ome_metadata or "")
    return {}


def _imagej_scales(tags: Any, metadata: dict[str, Any]) -> Scales:
    unit = (
        str(metadata["unit"]).encode().decode("unicode_escape") if "\\u" in str(metadata["unit"]) else metadata["unit"]
    )
    scales: Scales = {}
    for name in "XY":
        tag = tags.get(f"{name}Resolution")
        if tag is not None and tag.value[0]:
            scales[name] = (tag.value[1] / tag.value[0], str(unit))
    if metadata.get("finterval"):
        scales["T"] = (float(metadata["finterval"]), str(metadata.get("tunit", "s")))
    return scales


def _ome_scales(text: str) -> Scales:
    scales: Scales = {}
    for name in "XY":
        size = re.search(rf'PhysicalSize{name}="([^"]+)"', text)
        unit = re.search(rf'PhysicalSize{name}Unit="([^"]+)"', text)
        if size:
            scales[name] = (float(size[1]), unit[1] if unit else "µm")
    return scales
