"""Importing friedel, and asking it for help, stays light: heavy libraries load when they are used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "matplotlib", "rsciio", "scipy", "skimage", "h5py", "zarr", "dask", "distributed", "spglib")

REPORT = f"""
import json, sys
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.__stdout__)
"""
HELP = """
import sys
sys.argv = ["friedel", "--help"]
from friedel.cli.main import app
try:
    app()
except SystemExit as end:
    assert end.code == 0, end.code
"""


def loaded_after(code: str) -> list[str]:
    """Heavy libraries that a fresh interpreter has loaded after running ``code``."""
    done = subprocess.run([sys.executable, "-c", code + REPORT], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    ["import friedel", "import friedel.core.images, friedel.core.spots, friedel.core.blocks", "import friedel.crystal",
     "import friedel.cli.main", HELP],
    ids=["friedel", "core", "crystal", "cli", "help"],
)  # fmt: skip
def test_heavy_libraries_wait_until_they_are_used(code: str) -> None:
    assert loaded_after(code) == []


def test_the_check_sees_a_library_that_is_loaded() -> None:
    assert loaded_after("import h5py") == ["h5py"]
