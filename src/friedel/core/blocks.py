"""Mapping a function over the patterns of a scan: the one place that knows about parallel workers."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.core.images import PatternScan

Result = TypeVar("Result")

#: Bytes of raw patterns that one block may hold.
BLOCK_BYTES = 64 * 2**20
#: Pixels of a block that are worked on at once: what is made of them is many times their size.
_PIECE_PIXELS = 2**22


def row_blocks(scan: PatternScan, block_bytes: int = BLOCK_BYTES) -> list[tuple[int, int]]:
    """Cut the scan's rows into blocks (start, stop) of at most ``block_bytes`` raw bytes, at least one row each."""
    ry, rx = scan.scan_shape
    ky, kx = scan.pattern_shape
    rows = max(1, block_bytes // (rx * ky * kx * scan.data.dtype.itemsize))
    return [(start, min(start + rows, ry)) for start in range(0, ry, rows)]


def pieces(patterns: AnyArray) -> list[slice]:
    """Cut patterns (n, ky, kx) into pieces that are small enough to be worked on at once, at least one pattern each."""
    size = max(1, _PIECE_PIXELS // int(np.prod(patterns.shape[1:])))
    return [slice(first, min(first + size, len(patterns))) for first in range(0, len(patterns), size)]


def map_patterns(
    function: Callable[[int, AnyArray], Result],
    scan: PatternScan,
    *,
    executor: Executor | None = None,
    skip: Container[int] = (),
    halo: int = 0,
) -> Iterator[tuple[int, Result]]:
    """Apply a pure function to every block of scan rows and yield (first row, result) as blocks finish.

    Parameters
    ----------
    function
        Takes the first row of a block and its patterns (rows, rx, ky, kx); picklable if an executor with processes is
        used.
    executor
        Anything with the interface of ``concurrent.futures``: a process pool, or ``dask.distributed``'s
        ``Client.get_executor()``. None runs in this process.
    skip
        First rows of blocks that need no work, for resuming.
    halo
        So many rows before and after the block are handed over with it, as far as there are any; the first row that the
        function is told is that of the block.

    Notes
    -----
    At most two blocks per worker are in flight, so that memory stays bounded however long the scan is. Results come
    in row order, whatever the number of workers.
    """
    blocks = [
        (start, max(start - halo, 0), min(stop + halo, scan.scan_shape[0]))
        for start, stop in row_blocks(scan)
        if start not in skip
    ]
    if executor is None:
        for start, first, last in blocks:
            yield start, function(start, scan.rows(first, last))
        return
    waiting: list[tuple[int, Future[Result]]] = []
    ahead = 2 * int(getattr(executor, "_max_workers", 0) or 8)
    for start, first, last in blocks:
        if isinstance(scan.data, np.ndarray):  # in memory: send the rows, not the scan
            waiting.append((start, executor.submit(function, start, scan.rows(first, last))))
        else:
            waiting.append((start, executor.submit(_read_and_apply, function, scan, start, (first, last))))
        if len(waiting) >= ahead:
            done, future = waiting.pop(0)
            yield done, future.result()
    for done, future in waiting:
        yield done, future.result()


def _read_and_apply(
    function: Callable[[int, AnyArray], Result], scan: PatternScan, start: int, rows: tuple[int, int]
) -> Result:
    return function(start, scan.rows(*rows))
