"""Small inputs, finished runs, and the command line as the tests call it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from friedel.cli.main import app
from friedel.core.images import Micrograph, PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.io import write_micrograph, write_scan
from friedel.simulate.micrographs.micrograph import sei_micrograph
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

SMALL_SCAN = ScanOptions(
    scan_shape=(8, 10), pattern_shape=(96, 96), step_inv_a=0.022, dose_electrons=5000.0, descan_px=0.0
)
Friedel = Callable[..., Result]


def call(*arguments: object) -> Result:
    """Run friedel in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def friedel() -> Friedel:
    """Run friedel and return exit code and output, whatever they are."""
    return call


@pytest.fixture(scope="session")
def done() -> Friedel:
    """Run friedel, which must succeed."""

    def succeed(*arguments: object) -> Result:
        result = call(*arguments)
        assert result.exit_code == 0, result.output
        return result

    return succeed


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """Run friedel, which must refuse in one line; return that line."""

    def refuse(*arguments: object) -> str:
        result = call(*arguments)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert "fault of friedel" not in result.stderr
        return result.stderr

    return refuse


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of inputs."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="session")
def simulated_scan() -> tuple[PatternScan, PhaseMap]:
    """O3, O1, both, carbon and vacuum, with their truth."""
    return simulate_nmc811_scan(0, SMALL_SCAN)


@pytest.fixture(scope="session")
def simulated_micrograph() -> tuple[Micrograph, PhaseMap]:
    """Grains of Li, LiF, Li2O and Li2CO3 with their truth."""
    return sei_micrograph(0, (320, 320))


@pytest.fixture(scope="session")
def scan_file(inputs: Path, simulated_scan: tuple[PatternScan, PhaseMap]) -> Path:
    """A calibrated scan of 8 x 10 positions."""
    path = inputs / "scan.zarr"
    write_scan(path, simulated_scan[0])
    return path


@pytest.fixture(scope="session")
def bare_scan_file(inputs: Path, simulated_scan: tuple[PatternScan, PhaseMap]) -> Path:
    """The same patterns as numbers in a list, without any calibration."""
    path = inputs / "patterns.npy"
    np.save(path, np.asarray(simulated_scan[0].data).reshape(80, 96, 96))
    return path


@pytest.fixture(scope="session")
def micrograph_file(inputs: Path, simulated_micrograph: tuple[Micrograph, PhaseMap]) -> Path:
    """A micrograph of 320 x 320 px with its pixel size."""
    path = inputs / "sei.mrc"
    write_micrograph(path, simulated_micrograph[0])
    return path


@pytest.fixture(scope="session")
def scan_run(done: Friedel, scan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scan, mapped with every default; read only."""
    out = tmp_path_factory.mktemp("runs") / "scan"
    done("map", scan_file, "--phases", "nmc811-o3,nmc811-o1", "--out", out)
    return out


@pytest.fixture(scope="session")
def micrograph_run(done: Friedel, micrograph_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The micrograph, mapped with every default; read only."""
    out = tmp_path_factory.mktemp("runs") / "micrograph"
    done("map", micrograph_file, "--phases", "li,lif,li2o,li2co3", "--out", out)
    return out


@pytest.fixture(scope="session")
def results_of() -> Callable[[Path], dict[str, bytes]]:
    """Read what must be bit-identical between equal runs: every file of the map and of the spot table."""

    def read(run: Path) -> dict[str, bytes]:
        stores = [run / "phase_map.zarr", run / "spots.zarr"]
        files = [file for store in stores for file in store.rglob("*") if file.is_file()]
        assert len(files) > 5
        return {str(file.relative_to(run)): file.read_bytes() for file in files}

    return read
