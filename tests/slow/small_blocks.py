"""friedel with blocks of one row, so that a small scan is the work of many blocks."""

from __future__ import annotations

import logging

from friedel.cli.main import app
from friedel.core import blocks

if __name__ == "__main__":
    blocks.row_blocks.__defaults__ = (2**18,)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    app()
