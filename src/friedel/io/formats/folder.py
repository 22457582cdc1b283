"""A folder of images, one per frame, in natural order (frame 2 before frame 10)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.core.errors import CorruptFileError, UnsupportedFileError
from friedel.io.describe import Axis
from friedel.io.formats import FORMATS
from friedel.io.formats import open_file as open_any
from friedel.io.formats.common import Opened
from friedel.io.limits import Limits
from friedel.io.views import LazyView, as_slice


class Images(LazyView):
    """Images in files of their own, opened when they are needed."""

    def __init__(self, paths: list[Path], first: Opened, limits: Limits) -> None:
        self.paths, self.limits = paths, limits
        self.dtype = np.dtype(first.description.dtype)
        self.shape = (len(paths), *first.description.shape)

    def _read(self, spans: list[range]) -> AnyArray:
        key = tuple(as_slice(span) for span in spans[1:])
        return np.stack([self._image(self.paths[number])[key] for number in spans[0]])

    def _image(self, path: Path) -> AnyArray:
        opened = open_any(path, self.limits)
        got, wanted = (opened.description.shape, opened.description.dtype), (self.shape[1:], self.dtype.str)
        if got != wanted:
            raise CorruptFileError(
                path, f"it has shape and type {got}, the first image has {wanted}", "Move it elsewhere."
            )
        return np.asarray(opened.array)


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key that reads digits as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", path.name) if part]


def open_file(path: Path, limits: Limits) -> Opened:
    """Open the images of a folder as one stack; files of other kinds in it are ignored."""
    known = {suffix for entry in FORMATS for suffix in entry.suffixes} - {".xml", ".raw"}
    files = [item for item in path.iterdir() if item.is_file() and item.suffix.lower() in known]
    suffixes = Counter(item.suffix.lower() for item in files)
    if not files:
        raise UnsupportedFileError(
            path, "the folder holds no image that friedel reads", "Name a file, or a folder of images."
        )
    if len(suffixes) > 1:
        raise UnsupportedFileError(
            path, f"the folder holds images of several kinds {dict(suffixes)}", "Leave one kind in it."
        )
    paths = sorted(files, key=natural_key)
    first = open_any(paths[0], limits)
    if len(first.description.shape) != 2:
        raise UnsupportedFileError(paths[0], f"it holds an array of shape {first.description.shape}", "Name it alone.")
    frames = Axis("frame", len(paths), role="navigate")
    description = replace(first.description, axes=(frames, *first.description.axes), is_scan=None)
    description = replace(description, format_name=f"folder of {first.description.format_name} images")
    return Opened(description, Images(paths, first, limits))
