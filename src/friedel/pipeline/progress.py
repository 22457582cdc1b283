"""How far long work is, and where its finished blocks are kept: what every road tells its caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from friedel.core.arrays import AnyArray

Progress = Callable[[str, int, int], None]
Arrays = dict[str, AnyArray]


class BlockStore(Protocol):
    """Where results of blocks are kept, so that an interrupted run can go on."""

    def finished_blocks(self) -> frozenset[int]:
        """First rows of the blocks that are done."""
        ...

    def save_block(self, first_row: int, arrays: Arrays) -> None:
        """Keep one block."""
        ...

    def load_block(self, first_row: int) -> Arrays:
        """Return one block."""
        ...
