"""Mapping over a scan: each row once, in order, whoever does the work, and never more than a few blocks at a time."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

from friedel.core.arrays import AnyArray
from friedel.core.blocks import map_patterns, row_blocks
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import PatternScan

SHAPE = (9, 3, 4, 5)


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch) -> PatternScan:
    """A scan that is cut into blocks of two rows."""
    data = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    monkeypatch.setattr(row_blocks, "__defaults__", (2 * data[0].nbytes,))
    return PatternScan(data, ReciprocalGrid((0.02, 0.02), (2.0, 2.0)))


def sums(start: int, patterns: AnyArray) -> tuple[int, AnyArray]:
    return start, patterns.sum(axis=(2, 3))


@pytest.mark.parametrize("rows", [1, 2, 4, 9, 100])
def test_blocks_hold_every_row_once_and_no_more_bytes_than_allowed(rows: int) -> None:
    data = np.zeros(SHAPE, dtype=np.uint16)
    scan = PatternScan(data, ReciprocalGrid((0.02, 0.02), (2.0, 2.0)))
    limit = rows * data[0].nbytes + data[0].nbytes // 2
    blocks = row_blocks(scan, limit)
    assert [row for start, stop in blocks for row in range(start, stop)] == list(range(9))
    assert all(data[start:stop].nbytes <= limit for start, stop in blocks)


def test_row_larger_than_a_block_is_a_block() -> None:
    scan = PatternScan(np.zeros(SHAPE), ReciprocalGrid((0.02, 0.02), (2.0, 2.0)))
    assert row_blocks(scan, 1) == [(i, i + 1) for i in range(9)]


def test_processes_give_what_one_process_gives(scan: PatternScan) -> None:
    alone = list(map_patterns(sums, scan))
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        together = list(map_patterns(sums, scan, executor=pool))
    assert [start for start, _ in alone] == [start for start, _ in together] == [0, 2, 4, 6, 8]
    for (_, one), (_, two) in zip(alone, together, strict=True):
        assert one[0] == two[0]
        np.testing.assert_array_equal(one[1], two[1])
    np.testing.assert_array_equal(np.concatenate([part for _, (_, part) in alone]), np.asarray(scan.data).sum((2, 3)))


def test_skipped_blocks_are_not_worked_on(scan: PatternScan) -> None:
    assert [start for start, _ in map_patterns(sums, scan, skip={2, 8})] == [0, 4, 6]


class Counting(Executor):
    """Runs at once, and notes how many results wait to be fetched."""

    _max_workers = 1

    def __init__(self) -> None:
        self.in_flight, self.most = 0, 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_at_most_two_blocks_per_worker_are_in_flight(scan: PatternScan) -> None:
    pool = Counting()
    for _ in map_patterns(sums, scan, executor=pool):
        pool.in_flight -= 1
    assert pool.most == 2


def test_rows_about_a_block_come_with_it_as_far_as_there_are_any(scan: PatternScan) -> None:
    data = np.asarray(scan.data)
    wanted = {0: (0, 3), 2: (1, 5), 4: (3, 7), 6: (5, 9), 8: (7, 9)}
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
        for executor in (None, pool):
            for start, (told, totals) in map_patterns(sums, scan, executor=executor, halo=1):
                assert told == start
                np.testing.assert_array_equal(totals, data[slice(*wanted[start])].sum(axis=(2, 3)))
