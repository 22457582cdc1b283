"""The friedel command in blocks of one scan row, sending itself a signal after some of them.

Usage: signalled_friedel.py SIGNAL N ARGUMENTS...; small scans have one block, and could not be caught midway.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from friedel.cli.main import app
from friedel.core import blocks
from friedel.pipeline.runs.folder import RunFolder


def main() -> None:
    """Arm the signal and run friedel."""
    number, after = signal.Signals[sys.argv.pop(1)], int(sys.argv.pop(1))
    # Background jobs of a shell ignore this one, and so would all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    blocks.row_blocks.__defaults__ = (1,)
    save, saved = RunFolder.save_block, []

    def save_and_signal(self: RunFolder, first_row: int, arrays: Mapping[str, Any]) -> None:
        save(self, first_row, arrays)
        saved.append(first_row)
        if len(saved) == after:
            os.kill(os.getpid(), number)

    RunFolder.save_block = save_and_signal  # type: ignore[method-assign]
    try:
        app()
    finally:
        sys.stderr.write(f"rows computed: {saved}\n")


if __name__ == "__main__":
    main()
