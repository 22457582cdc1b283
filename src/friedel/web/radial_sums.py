"""Sums over rings of every pattern, from which any annulus is a difference of two images."""

from __future__ import annotations

import math
import threading

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray
from friedel.core.blocks import row_blocks
from friedel.core.images import PatternScan

#: Most memory that the sums of one scan may take.
MAX_BYTES = 512 * 2**20
#: Raw bytes that are read at a time.
_BLOCK_BYTES = 8 * 2**20


class RadialSums:
    """Light outside each radius, at every position of a scan; filled in the background.

    Sums run from the outside in: diffracted light is a small part of the whole, and a difference of sums from the
    inside out would lose it in single precision.

    Parameters
    ----------
    scan
        Read once, block by block.
    centre_px
        Of the rings (ky, kx).
    valid
        Pixels that count (ky, kx).
    """

    def __init__(self, scan: PatternScan, centre_px: tuple[float, float], valid: BoolArray) -> None:
        self.scan, self.valid = scan, valid
        y, x = np.indices(scan.pattern_shape)
        radius = np.hypot(y - centre_px[0], x - centre_px[1])
        n = math.prod(scan.scan_shape)
        most = max(8, MAX_BYTES // (4 * n) - 1)
        self.width_px = max(1.0, (float(radius.max()) + 1.0) / most)
        self._ring = (radius / self.width_px).astype(np.int64)
        self._n_rings = int(self._ring.max()) + 1
        self._outside = np.zeros((self._n_rings + 1, n), np.float32)
        self.rows_done = 0
        self.problem: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)

    @property
    def reach_px(self) -> float:
        """Radius of the outermost ring's edge."""
        return self._n_rings * self.width_px

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()

    def wait(self) -> None:
        """Wait until all is read."""
        self._thread.join()

    def image(self, inner_px: float, outer_px: float) -> Float32Array:
        """Light between two radii (ry, rx), as far as it was read; ring edges are interpolated."""
        light = self._beyond(inner_px) - self._beyond(outer_px)
        return np.asarray(np.maximum(light, 0.0), np.float32).reshape(self.scan.scan_shape)

    def _beyond(self, radius_px: float) -> Float32Array:
        place = min(max(radius_px / self.width_px, 0.0), float(self._n_rings))
        ring = min(int(place), self._n_rings - 1)
        share = np.float32(place - ring)
        light: Float32Array = (1 - share) * self._outside[ring] + share * self._outside[ring + 1]
        return light

    def _fill(self) -> None:
        try:
            for start, stop in row_blocks(self.scan, _BLOCK_BYTES):
                if self._stopped.is_set():
                    return
                sums = ring_sums(self.scan.rows(start, stop), self._ring, self.valid)
                part = slice(start * self.scan.scan_shape[1], stop * self.scan.scan_shape[1])
                self._outside[:-1, part] = np.cumsum(sums[:, ::-1], axis=1)[:, ::-1].T
                self.rows_done = stop
        except Exception as error:  # noqa: BLE001 - told to the page, which shows it
            self.problem = str(error) or type(error).__name__


def ring_sums(patterns: AnyArray, ring: AnyArray, valid: BoolArray) -> FloatArray:
    """Sum of every pattern (..., ky, kx) over every ring: (n, rings); pixels that are not finite add nothing."""
    flat = patterns.reshape(-1, ring.size)
    index = ring.ravel()
    n_rings = int(ring.max()) + 1
    out = np.empty((len(flat), n_rings))
    counts = np.nan_to_num(flat, posinf=0.0, neginf=0.0) if flat.dtype.kind == "f" else flat
    weight = valid.ravel()
    if weight.all():
        for i, pattern in enumerate(counts):
            out[i] = np.bincount(index, pattern, n_rings)
    else:
        for i, pattern in enumerate(counts):
            out[i] = np.bincount(index, pattern * weight, n_rings)
    return out
