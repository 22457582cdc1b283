"""Files that the page has open."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.errors import CalibrationError, DataError, FileError, FriedelError
from friedel.core.images import Micrograph, MicrographSeries, PatternScan
from friedel.io import FileInfo, ReadOptions, inspect, read
from friedel.patterns.centre import find_centre
from friedel.patterns.repair import find_bad_pixels
from friedel.patterns.survey import sample_patterns
from friedel.pipeline.recipe import parse_recipe
from friedel.web.radial_sums import RadialSums
from friedel.web.roots import Pinned, Roots

#: Files that are kept open.
MAX_OPEN = 4
#: Patterns that are averaged at most; of more, so many evenly spread ones are.
MAX_AVERAGED = 1024

Data = PatternScan | Micrograph | MicrographSeries


@dataclass(frozen=True, slots=True, eq=False)
class ScanFacts:
    """What the viewer of a scan needs beside the scan."""

    centre_px: tuple[float, float]
    centre_source: str
    mean_pattern: FloatArray
    valid: BoolArray
    sums: RadialSums


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An open file.

    Parameters
    ----------
    id
        Names it in addresses; the same file with the same options has the same id until it changes.
    data
        What was read. Without a scale it has a step of 1 per pixel, and ``problem`` says what is missing.
    """

    id: str
    pinned: Pinned
    options: ReadOptions
    info: FileInfo
    data: Data
    problem: str | None
    scan: ScanFacts | None
    frames: OrderedDict[int, Micrograph] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def micrograph(self, frame: int = 0) -> Micrograph:
        """Return the micrograph, or a frame of a series; the last few frames are kept."""
        if isinstance(self.data, Micrograph):
            return self.data
        if not isinstance(self.data, MicrographSeries):
            raise DataError(f"{self.pinned.path} is a scan and holds no micrographs.")
        n = self.data.data.shape[0]
        if not 0 <= frame < n:
            raise DataError(f"The series has frames 0 to {n - 1}, got {frame}.")
        with self.lock:
            if frame not in self.frames:
                self.frames[frame] = self.data.frame(frame)
                while len(self.frames) > 8:
                    self.frames.popitem(last=False)
            return self.frames[frame]

    def pattern(self, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[AnyArray, int]:
        """Return the pattern of one position as it is, or the mean over a rectangle, and how many were averaged."""
        scan = self.data
        if not isinstance(scan, PatternScan):
            raise DataError(f"{self.pinned.path} is no scan and holds no patterns.")
        (y0, y1), (x0, x1) = rows, columns
        ny, nx = scan.scan_shape
        if not (0 <= y0 < y1 <= ny and 0 <= x0 < x1 <= nx):
            raise DataError(f"Positions run to {ny} x {nx}, got {y0}:{y1},{x0}:{x1}.")
        n = (y1 - y0) * (x1 - x0)
        if n == 1:
            return np.asarray(scan.data[y0, x0]), 1
        step = max(1, int(np.ceil(np.sqrt(n / MAX_AVERAGED))))
        total, count = np.zeros(scan.pattern_shape), 0
        for y in range(y0, y1, step):
            part = np.asarray(scan.data[y, x0:x1])[::step]
            total += np.nan_to_num(part.astype(np.float64)).sum(axis=0)
            count += len(part)
        return (total / count).astype(np.float32), count


def read_options(values: dict[str, Any]) -> ReadOptions:
    """Make reading options of plain values, checked like those of a recipe."""
    return parse_recipe({"input": "-", "phases": ["-"], "read": values}, "options").read


class ClosedError(FriedelError):
    """A file that the page speaks of is not open any more."""


class OpenFiles:
    """The files that are open, the least recently used of which is closed when there are too many."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._open: OrderedDict[str, Opened] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, path: str, options: ReadOptions) -> Opened:
        """Open a file, or return it if it is open with these options and has not changed.

        Raises
        ------
        FileError, CalibrationError, DataError
            If the page may not see it, or it cannot be read; the message says what to do.
        """
        pinned = self._roots.pin(path)
        changed = pinned.path.stat().st_mtime_ns
        name = hashlib.sha256(repr((pinned, changed, options)).encode()).hexdigest()[:16]
        with self._lock:
            if name in self._open:
                self._open.move_to_end(name)
                return self._open[name]
        opened = _open(name, pinned, options)
        if not self._roots.still_there(pinned):
            raise FileError(pinned.path, "it was replaced while it was opened", "Open it again.")
        with self._lock:
            if name in self._open:  # opened meanwhile by another request
                self._open.move_to_end(name)
                return self._open[name]
            self._open[name] = opened
            if opened.scan is not None:
                opened.scan.sums.start()
            while len(self._open) > MAX_OPEN:
                _, old = self._open.popitem(last=False)
                if old.scan is not None:
                    old.scan.sums.stop()
        return opened

    def get(self, name: str) -> Opened:
        """Return an open file by its id; ClosedError if it was closed meanwhile."""
        with self._lock:
            if name not in self._open:
                raise ClosedError("This file was closed to make room. Open it again.")
            self._open.move_to_end(name)
            return self._open[name]

    def close(self) -> None:
        """Stop all reading."""
        with self._lock:
            for opened in self._open.values():
                if opened.scan is not None:
                    opened.scan.sums.stop()
            self._open.clear()


def _open(name: str, pinned: Pinned, options: ReadOptions) -> Opened:
    info = inspect(pinned.path, options)
    data, problem = _read_even_without_scale(pinned, options, info)
    return Opened(name, pinned, options, info, data, problem, look_at(data) if isinstance(data, PatternScan) else None)


def _read_even_without_scale(pinned: Pinned, options: ReadOptions, info: FileInfo) -> tuple[Data, str | None]:
    """Read a file; where it states no scale, or no shape of the scan, read it in pixels, or as one row, and say so."""
    try:
        return read(pinned.path, options), None
    except CalibrationError as error:
        lacking = {option for _, option in info.missing}
        stand_in = {"--step-inv-a": "step_inv_a", "--pixel-size-a": "pixel_size_a"}
        fields: dict[str, Any] = {stand_in[option]: 1.0 for option in lacking & set(stand_in)}
        if "--scan-shape" in lacking:
            fields["scan_shape"] = (1, info.shape[0])
        if not fields:
            raise
        return read(pinned.path, replace(options, **fields, kind=info.kind)), str(error)


def look_at(scan: PatternScan) -> ScanFacts:
    """Find centre and bad pixels from a sample of patterns."""
    sample = np.nan_to_num(sample_patterns(scan).astype(np.float64))
    mean = sample.mean(axis=0)
    valid = ~find_bad_pixels(mean) if np.ptp(mean) > 0 else np.ones(mean.shape, dtype=bool)
    if scan.valid is not None:
        valid &= scan.valid
    try:
        found = find_centre(mean, valid)
        centre, source = found.px, str(found.method)
    except CalibrationError:
        centre, source = scan.grid.centre_px, "middle of the pattern: no beam was found"
    return ScanFacts(centre, source, mean, valid, RadialSums(scan, centre, valid))
