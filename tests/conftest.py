"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests run side by side, and what they compute is small: more threads than cores make them several times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real and independently simulated files; tests that need it are skipped where it is absent."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("FRIEDEL_SHARED", default)) / "data"
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set FRIEDEL_SHARED to the folder that holds data/")
    return folder
