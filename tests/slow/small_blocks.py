"""friedel with blocks of a few rows, so that a small scan is the work of many blocks."""

from __future__ import annotations

import logging

from friedel.cli.main import app
from friedel.core import blocks

if __name__ == "__main__":
    blocks.row_blocks.__defaults__ = (2**20,)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    app()
