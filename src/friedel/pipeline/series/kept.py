"""Results of windows and frames by number: computed once, and kept for resuming."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor

from friedel.core.arrays import AnyArray
from friedel.pipeline.progress import BlockStore, Progress
from friedel.pipeline.series.windows import Arrays
from friedel.pipeline.workers import in_order


class MemoryStore(dict[int, Arrays]):
    """Results of windows and frames, kept in memory."""

    def finished_blocks(self) -> frozenset[int]:
        """Return the numbers of what is there."""
        return frozenset(self)

    def save_block(self, first_row: int, arrays: Mapping[str, AnyArray]) -> None:
        """Keep a result."""
        self[first_row] = dict(arrays)

    def load_block(self, first_row: int) -> Arrays:
        """Return a result."""
        return dict(self[first_row])


class Kept:
    """Results by number, computed where an interrupted run has not left them."""

    def __init__(self, store: BlockStore, executor: Executor | None, progress: Progress) -> None:
        self._store, self._executor, self._progress = store, executor, progress
        self._known = store.finished_blocks()

    def fill(self, step: str, first: int, count: int, look: Callable[[int], Arrays]) -> Iterator[Arrays]:
        """Yield the results first to first + count, in order."""
        missing = [i for i in range(count) if first + i not in self._known]
        coming = in_order(look, missing, self._executor)
        for i in range(count):
            if first + i not in self._known:
                _, result = next(coming)
                self._store.save_block(first + i, result)
                yield result
            else:
                yield self._store.load_block(first + i)
            self._progress(step, i + 1, count)

    def get(self, number: int, look: Callable[[], Arrays]) -> Arrays:
        """Return one result, computed in this process if it is not there."""
        if number not in self._known:
            self._store.save_block(number, look())
        return self._store.load_block(number)

    def load(self, number: int) -> Arrays:
        """Return one result that is there."""
        return self._store.load_block(number)
