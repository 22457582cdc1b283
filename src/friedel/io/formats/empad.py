"""EMPAD scans: a .raw of float32 frames of 130 x 128, of which the last two lines are no image, and its .xml.

Frame layout: Tate et al., Microsc. Microanal. 22 (2016) 237, and the files of the detector's software.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from friedel.core.errors import CorruptFileError, TruncatedFileError, UnsupportedFileError
from friedel.io.describe import Axis, Description, image_axes
from friedel.io.formats.common import COPY_AGAIN, Opened
from friedel.io.limits import Limits

_LINES, _SIDE = 130, 128
_MAX_XML_BYTES = 2**22
_VOLTAGES = ("iom_measurements/high_voltage", "iom_measurements/source.get_voltage")


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a scan by its .raw or its .xml; the scan shape comes from the .xml or the name scan_x<NX>_y<NY>.raw."""
    root = _parse(path if path.suffix.lower() == ".xml" else _beside(path))
    raw = path
    if path.suffix.lower() == ".xml":
        entry = root.find("raw_file") if root is not None else None
        if entry is None:
            raise UnsupportedFileError(path, "it is no description of an EMPAD scan", "Name the .raw file.")
        raw = path.with_name(Path(entry.get("filename", "")).name)
        if not raw.is_file():
            raise TruncatedFileError(
                path, f"{raw.name}, which holds its patterns, is missing", "Copy both files together."
            )
    n_frames, rest = divmod(raw.stat().st_size, 4 * _LINES * _SIDE)
    if rest or n_frames < 1:
        raise TruncatedFileError(raw, f"it ends {rest} bytes into frame {n_frames} of 130 x 128 float32", COPY_AGAIN)
    frames = np.memmap(raw, dtype="<f4", mode="r", shape=(n_frames, _LINES, _SIDE))[:, :_SIDE]
    scan = _scan_shape(raw, root, n_frames)
    navigation: tuple[Axis, ...] = (Axis("frame", n_frames, role="navigate"),)
    if scan is not None:
        frames = frames.reshape(*scan, _SIDE, _SIDE)
        navigation = tuple(Axis(n, s, role="navigate") for n, s in zip(("ry", "rx"), scan, strict=True))
    description = Description(
        "EMPAD", "<f4", (*navigation, *image_axes((_SIDE, _SIDE))), _energy_kev(root), is_scan=True
    )
    return Opened(description, frames)


def _parse(xml: Path | None) -> ET.Element | None:
    """Parse a description; entities are refused, for they may unfold without end."""
    if xml is None:
        return None
    text = xml.read_bytes()[:_MAX_XML_BYTES]
    if b"<!" in text:
        raise CorruptFileError(xml, "it holds declarations that an EMPAD description never has", COPY_AGAIN)
    try:
        return ET.fromstring(text)
    except ET.ParseError as problem:
        raise CorruptFileError(xml, f"it is not valid XML ({problem})", COPY_AGAIN) from None


def _beside(raw: Path) -> Path | None:
    """Find the description that names this .raw file."""
    for xml in sorted(raw.parent.glob("*.xml")):
        if f'filename="{raw.name}"'.encode() in xml.read_bytes()[:_MAX_XML_BYTES]:
            return xml
    return None


def _scan_shape(raw: Path, root: ET.Element | None, n_frames: int) -> tuple[int, int] | None:
    """Scan shape from the description or the file's name; one that does not fit the frames is an error."""
    stated = [root.findtext(f"pix_{axis}") for axis in "yx"] if root is not None else [None, None]
    name = re.search(r"_x(\d+)_y(\d+)", raw.stem)
    if all(stated):
        shape = (int(stated[0] or 0), int(stated[1] or 0))
    elif name:
        shape = (int(name[2]), int(name[1]))
    else:
        return None
    if n_frames < shape[0] * shape[1]:
        raise TruncatedFileError(raw, f"a scan of {shape} was promised, {n_frames} patterns are there", COPY_AGAIN)
    return shape if n_frames == shape[0] * shape[1] else None


def _energy_kev(root: ET.Element | None) -> float | None:
    for where in _VOLTAGES if root is not None else ():
        text = root.findtext(where) if root is not None else None
        if text:
            return float(text) / 1e3
    return None
