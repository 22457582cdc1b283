from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import friedel
from friedel.cli.main import app
from friedel.cli.map import _answer
from friedel.core.grids import ReciprocalGrid
from friedel.pipeline.runs.files import Summary


def info(path: Path) -> str:
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 0, result.output
    return result.output


def test_info_says_how_to_map_a_lone_picture_that_is_a_pattern(tmp_path: Path) -> None:
    np.save(tmp_path / "picture.npy", np.ones((40, 50), dtype=np.uint16))
    text = info(tmp_path / "picture.npy")
    assert "40 x 50, uint16" in text
    assert "missing  pixel size: pass --pixel-size-a" in text
    assert "--kind scan --step-inv-a" in text


def test_info_tells_what_is_needed_from_what_may_stay_unknown(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", np.ones((2, 3, 40, 50), dtype=np.uint16))
    lines = info(tmp_path / "scan.npy").splitlines()
    assert [line.split()[0] for line in lines if "--step-inv-a" in line] == ["missing"]
    assert [line.split()[0] for line in lines if "--energy-kev" in line] == ["unknown"]


def test_info_gives_reciprocal_steps_in_inverse_angstrom(tmp_path: Path) -> None:
    scan = friedel.PatternScan(np.ones((1, 1, 40, 50), np.uint16), ReciprocalGrid((0.01, 0.02), (20.0, 25.0)))
    friedel.write_scan(tmp_path / "scan.zarr", scan)
    text = info(tmp_path / "scan.zarr")
    assert "40  0.01 1/Å per px" in text
    assert "50  0.02 1/Å per px" in text


@pytest.mark.parametrize(
    ("n_positions", "share", "says"),
    [(1, 1.0, "in this pattern: lif"), (1, 0.0, "in this pattern: none of the phases"), (2, 1.0, "lif  100.0 %")],
    ids=["found in one pattern", "not found in one pattern", "found in a map"],
)
def test_answer_for_one_pattern_is_no_percentage(n_positions: int, share: float, says: str) -> None:
    fractions = {"lif": share, "none": 1.0 - share, "mixed": 0.0}
    assert says in _answer(Summary("scan", ("lif",), fractions, {}, n_positions, 0))


@pytest.mark.parametrize(
    ("step", "words", "said"),
    [
        ("friedel.io.inspect", ["info", "scan.npy"], "\n"),
        ("friedel.cli.map._run", ["map", "a.mrc", "--phases", "lif", "--out", "run"], "; go on with --resume\n"),
        ("friedel.nets.training.loop.train", ["train", "denoiser", "--out", "run"], "; the same command goes on"),
    ],
)  # fmt: skip
def test_who_interrupts_is_told_how_to_go_on_where_that_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, words: list[str], said: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if "training" in step:
        pytest.importorskip("torch")
        monkeypatch.setattr("friedel.cli.networks._crystals", lambda _: {"train": [], "validation": [], "test": []})
    monkeypatch.setattr(step, interrupt)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 130
    assert result.stderr.startswith(f"interrupted{said}")


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "may not write there"), (errno.ENOSPC, "the disk is full"), (errno.EIO, "fault of friedel")],
)
def test_where_the_system_refuses_to_write_friedel_is_not_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refuse(_: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "shut" / ".v.png.1.part"))

    monkeypatch.setattr("friedel.io.inspect", refuse)
    result = CliRunner().invoke(app, ["info", "scan.zarr"])
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.startswith(f"error: {tmp_path / 'shut'}:") == (number != errno.EIO)


def test_output_that_nobody_reads_to_the_end_is_no_fault() -> None:
    code = "from friedel.cli.main import app; app()"
    command = [sys.executable, "-c", code, "weights", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        reading.stdout.close()
        assert reading.stderr.read() == b""


@pytest.mark.parametrize(("given", "taken"), [({}, "1"), ({"OMP_NUM_THREADS": "3"}, "3")])
def test_small_matrix_products_take_one_thread_unless_told_otherwise(given: dict[str, str], taken: str) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in names} | given
    code = "import sys, os, friedel.cli; print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [taken, "False"]
