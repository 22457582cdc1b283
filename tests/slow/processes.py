"""friedel as a process of its own, if need be in namespaces of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FRIEDEL = (sys.executable, str(Path(__file__).with_name("small_blocks.py")))


def map_command(scan_file: Path, out: Path, *more: str) -> list[str]:
    """The command line that maps the scan."""
    return [*FRIEDEL, "map", str(scan_file), "--phases", "nmc811-o3,nmc811-o1", "--out", str(out), "--quiet", *more]


def results_of(run: Path) -> dict[str, bytes]:
    """Every file of the map and of the spot table."""
    files = [file for store in ("phase_map.zarr", "spots.zarr") for file in (run / store).rglob("*") if file.is_file()]
    assert len(files) > 5
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def in_namespaces(*kinds: str) -> list[str]:
    """Start of a command line that runs a script in new namespaces; skips where that is not allowed."""
    command = ["unshare", *kinds]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip(f"{' '.join(command)} is not allowed here (it takes root on Linux)")
    return [*command, "sh", "-ec"]
