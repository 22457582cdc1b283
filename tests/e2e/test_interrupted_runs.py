"""Killed, resumed, parallel, failing and competing runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Friedel = Callable[..., Result]
Refused = Callable[..., str]
ResultsOf = Callable[[Path], dict[str, bytes]]
NMC = ("--phases", "nmc811-o3,nmc811-o1")
NEVER = 99


def start(signal_name: str, after: int, *arguments: object) -> subprocess.Popen[str]:
    """Start friedel in another process, which sends itself a signal after some blocks of one row."""
    script = Path(__file__).with_name("signalled_friedel.py")
    command = [sys.executable, script, signal_name, str(after), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; exit code and what stood on stderr."""
    _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr


@pytest.fixture(scope="module")
def uninterrupted(scan_file: Path, results_of: ResultsOf, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run in blocks of one row writes."""
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    code, stderr = finish(start("SIGKILL", NEVER, "map", scan_file, *NMC, "--out", out, "--quiet"))
    assert (code, stderr) == (0, "rows computed: [0, 1, 2, 3, 4, 5, 6, 7]\n")
    return results_of(out)


@pytest.fixture(scope="module")
def killed(scan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run was to be that was killed after three of its eight rows."""
    out = tmp_path_factory.mktemp("killed") / "run"
    code, _ = finish(start("SIGKILL", 3, "map", scan_file, *NMC, "--out", out, "--quiet"))
    assert code == -signal.SIGKILL
    return out


def test_killed_run_is_resumed_to_the_same_bits(
    killed: Path, uninterrupted: dict[str, bytes], scan_file: Path, results_of: ResultsOf, refused: Refused
) -> None:
    assert not killed.exists()
    said = refused("map", scan_file, *NMC, "--seed", "1", "--out", killed, "--resume")
    assert "cannot be resumed: recipe was" in said
    code, stderr = finish(start("SIGKILL", NEVER, "map", scan_file, *NMC, "--out", killed, "--quiet", "--resume"))
    assert (code, stderr) == (0, "rows computed: [3, 4, 5, 6, 7]\n")
    assert results_of(killed) == uninterrupted
    assert [entry.name for entry in killed.parent.iterdir()] == ["run"]
    assert not (killed / ".work").exists()


def test_two_jobs_write_the_same_bits_as_one(
    uninterrupted: dict[str, bytes], scan_file: Path, results_of: ResultsOf, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ("map", scan_file, *NMC, "--out", out, "--quiet", "--jobs", "2")
    code, stderr = finish(start("SIGKILL", NEVER, *command))
    assert (code, stderr) == (0, "rows computed: [0, 1, 2, 3, 4, 5, 6, 7]\n")
    assert results_of(out) == uninterrupted


def test_second_run_at_once_is_refused_and_the_first_ends_well(
    uninterrupted: dict[str, bytes], scan_file: Path, results_of: ResultsOf, refused: Refused, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    first = start("SIGSTOP", 2, "map", scan_file, *NMC, "--out", out, "--quiet")
    try:
        _, status = os.waitpid(first.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        said = refused("map", scan_file, *NMC, "--out", out)
        assert f"{out} is being made by another run" in said
        assert "--out" in said
    finally:
        first.send_signal(signal.SIGCONT)
        code, stderr = finish(first)
    assert code == 0, stderr
    assert results_of(out) == uninterrupted


def test_interrupt_from_the_keyboard_says_how_to_go_on(scan_file: Path, tmp_path: Path) -> None:
    code, stderr = finish(start("SIGINT", 2, "map", scan_file, *NMC, "--out", tmp_path / "run", "--quiet"))
    assert code == 130
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "run").exists()


def test_failed_run_leaves_the_earlier_one_whole(
    done: Friedel, refused: Refused, micrograph_file: Path, results_of: ResultsOf, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ("map", micrograph_file, "--phases", "lif", "--roi", "0:64,0:64", "--out", out)
    done(*command, "--quiet")
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    refused("map", micrograph_file, "--phases", "lif", "--roi", "0:8,0:8", "--out", out)
    refused("map", micrograph_file, "--phases", "no-such-phase", "--out", out)
    refused("map", micrograph_file.with_name("missing.mrc"), "--phases", "lif", "--out", out)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    done(*command, "--min-probability", "0.9", "--quiet")
    assert (out / "recipe.toml").read_bytes() != before[out / "recipe.toml"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_folder_that_is_no_run_is_left_alone(refused: Refused, micrograph_file: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("It was a dark field.")
    said = refused("map", micrograph_file, "--phases", "lif", "--out", tmp_path / "thesis")
    assert str(tmp_path / "thesis") in said
    assert "--out" in said
    assert [entry.name for entry in tmp_path.rglob("*")] == ["thesis", "chapter1.txt"]


def test_run_with_notes_of_the_user_is_not_replaced(
    done: Friedel, refused: Refused, micrograph_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ("map", micrograph_file, "--phases", "lif", "--roi", "0:64,0:64", "--out", out)
    done(*command, "--quiet")
    (out / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(*command)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("where", ["file", "file/run"])
def test_file_in_the_way_of_the_run_folder_is_named(
    refused: Refused, micrograph_file: Path, tmp_path: Path, where: str
) -> None:
    (tmp_path / "file").write_text("here first")
    said = refused("map", micrograph_file, "--phases", "lif", "--out", tmp_path / where)
    assert str(tmp_path / where) in said
    assert "--out" in said
    assert (tmp_path / "file").read_text() == "here first"
