"""Lets the studies import what ``bench/`` measures with and ``docs/make/`` draws with: import this before them."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.extend(str(folder) for folder in (ROOT / "bench", ROOT / "docs" / "make") if str(folder) not in sys.path)
