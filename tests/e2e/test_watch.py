"""A watched folder: whole files are mapped once, partial ones waited for, and nothing is lost or repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from friedel.core.errors import FileError, RunFolderError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.io import write_micrograph
from friedel.pipeline.batches import watch as watching
from friedel.pipeline.batches.batch import BatchEntry
from friedel.pipeline.batches.watch import WatchOptions, watch
from friedel.pipeline.recipe import Recipe, parse_recipe
from friedel.pipeline.run import RunOptions
from friedel.pipeline.runs.files import Summary, write_summary

LOOKS = WatchOptions(poll_s=1.0, settle_looks=2, give_up_looks=4)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A micrograph with fringes of LiF as a file's bytes."""
    x = np.mgrid[:96, :96][1] * 0.4
    counts = np.random.default_rng(0).poisson(40 * (1 + 0.3 * np.cos(2 * np.pi * x / 2.013))).astype(np.uint16)
    path = tmp_path_factory.mktemp("image") / "x.mrc"
    write_micrograph(path, Micrograph(counts, RealGrid((0.4, 0.4))))
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files in the order in which they are mapped, by a stand-in that writes runs at no cost."""
    names: list[str] = []

    def stand_in(name: str, recipe: Recipe, out: Path, options: RunOptions) -> BatchEntry:
        assert options.resume
        names.append(Path(recipe.input).name)
        summary = Summary("micrograph", ("lif",), {"lif": 0.5, "none": 0.5, "mixed": 0.0}, {}, 4, 2, (), {})
        (out / name).mkdir(exist_ok=True)
        write_summary(out / name / "summary.json", summary)
        (out / name / "provenance.json").write_text("{}")
        return BatchEntry(name, recipe.input, summary)

    monkeypatch.setattr(watching, "run_one", stand_in)
    return names


def recipe_for(path: str) -> Recipe:
    return parse_recipe({"input": path, "phases": ["lif"], "read": {"kind": "micrograph"}})


def look(folder: Path, *actions: Callable[[], object], how: WatchOptions = LOOKS) -> Path:
    """Watch; between looks do one thing after another, and stop when there is none left."""
    left = list(actions)

    def pause(seconds: float) -> bool:
        assert seconds == how.poll_s
        if not left:
            return True
        left.pop(0)()
        return False

    out = folder.parent / "runs"
    watch(folder, out, recipe_for, RunOptions(), how, pause=pause)
    return out


def nothing() -> None:
    """Between two looks nothing happens."""


def write(path: Path, data: bytes) -> Callable[[], object]:
    return lambda: path.write_bytes(data)


def test_file_that_grows_is_mapped_once_and_when_it_is_whole(folder: Path, image: bytes, mapped: list[str]) -> None:
    seen: list[int] = []
    parts = [write(folder / "a.mrc", image[: len(image) * i // 5]) for i in range(1, 6)]
    steps = [step for part in parts for step in (part, lambda: seen.append(len(mapped)))]
    look(folder, *steps, nothing, nothing, nothing)
    assert mapped == ["a.mrc"]
    assert seen == [0] * 5


def test_file_that_stays_truncated_is_waited_for_and_then_given_up(
    folder: Path, image: bytes, mapped: list[str]
) -> None:
    (folder / "a.mrc").write_bytes(image[:-1000])
    page = folder.parent / "runs" / "report.html"
    pages: list[str] = []
    look(folder, nothing, lambda: pages.append(page.read_text()))
    assert mapped == []
    assert "Waiting for a.mrc to be whole" in pages[0]
    look(folder, *[nothing] * 4)
    assert mapped == ["a.mrc"]


def test_temporary_hidden_empty_and_foreign_files_are_left_alone(folder: Path, image: bytes, mapped: list[str]) -> None:
    for name in ("a.mrc.part", ".b.mrc", "~c.mrc", "d.tmp.mrc", "notes.txt"):
        (folder / name).write_bytes(image)
    (folder / "empty.mrc").touch()
    (folder / "deeper").mkdir()
    (folder / "deeper" / "e.mrc").write_bytes(image)
    look(folder, *[nothing] * 5)
    assert mapped == []
    look(folder, lambda: (folder / "a.mrc.part").rename(folder / "a.mrc"), *[nothing] * 3)
    assert mapped == ["a.mrc"]


def test_second_watch_repeats_nothing_and_maps_what_is_new_or_changed(
    folder: Path, image: bytes, mapped: list[str]
) -> None:
    for name in ("a.mrc", "b.mrc"):
        (folder / name).write_bytes(image)
    out = look(folder, *[nothing] * 3)
    assert sorted(mapped) == ["a.mrc", "b.mrc"]
    (folder / "c.mrc").write_bytes(image)
    os.utime(folder / "b.mrc", ns=(1, 1))
    look(folder, *[nothing] * 3)
    assert sorted(mapped[2:]) == ["b.mrc", "c.mrc"]
    page = (out / "report.html").read_text()
    assert "3 of 3 files are mapped." in page
    (out / "a" / "summary.json").unlink()
    look(folder, *[nothing] * 3)
    assert mapped[4:] == ["a.mrc"]


def test_file_that_changes_while_it_is_mapped_is_mapped_again(
    folder: Path, image: bytes, mapped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.mrc").write_bytes(image)
    stand_in = watching.run_one

    def slow(*arguments: object) -> BatchEntry:
        entry = stand_in(*arguments)  # type: ignore[arg-type]
        if len(mapped) == 1:
            (folder / "a.mrc").write_bytes(image + b"\0")
            (folder / "a.mrc").write_bytes(image)
            os.utime(folder / "a.mrc", ns=(5, 5))
        return entry

    monkeypatch.setattr(watching, "run_one", slow)
    look(folder, *[nothing] * 8)
    assert mapped == ["a.mrc", "a.mrc"]


def test_page_loads_itself_again_while_watched_and_no_longer_after(
    folder: Path, image: bytes, mapped: list[str]
) -> None:
    (folder / "a.mrc").write_bytes(image)
    pages: list[str] = []
    out = folder.parent / "runs"
    look(folder, nothing, nothing, lambda: pages.append((out / "report.html").read_text()))
    assert '<meta http-equiv="refresh" content="2">' in pages[0]
    assert "1 of 1 files are mapped." in pages[0]
    last = (out / "report.html").read_text()
    assert "refresh" not in last
    assert "is not watched now" in last


def test_other_settings_a_second_watch_and_no_folder_are_refused(
    folder: Path, image: bytes, mapped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.mrc").write_bytes(image)
    out = look(folder, nothing, nothing)

    def again() -> None:
        with pytest.raises(RunFolderError, match="used by another watch"):
            look(folder)

    look(folder, again)
    with pytest.raises(RunFolderError, match="made with other settings"):
        watch(folder, out, lambda path: recipe_for(path).model_copy(update={"seed": 1}), RunOptions(), LOOKS)
    with pytest.raises(FileError, match="it is no folder"):
        look(folder / "a.mrc")


def test_command_maps_stops_on_signals_and_goes_on(folder: Path, image: bytes, tmp_path: Path) -> None:
    (folder / "a.mrc").write_bytes(image)
    (folder / "bad.mrc").write_bytes(b"MAP " * 300)
    out = tmp_path / "runs"
    words = ["watch", folder, "--phases", "lif", "--poll-s", "0.1", "--settle-s", "0.1", "--json", "--out", out]
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "from friedel.cli.main import app; app()"
    for how, expected in ((signal.SIGTERM, [out / "a"]), (signal.SIGINT, [])):
        child = subprocess.Popen([sys.executable, "-c", program, *map(str, words)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)  # fmt: skip
        assert child.stdout is not None
        told = [json.loads(child.stdout.readline()) for _ in expected]
        assert [Path(line["run"]) for line in told] == expected
        if not expected:
            give_time_to_repeat(out)
        child.send_signal(how)
        rest, said = child.communicate(timeout=60)
        assert child.returncode == 0, said
        assert [json.loads(line) for line in rest.splitlines() if "bad" not in line] == []
        assert said.splitlines()[-1] == "stopped; the same command goes on where it was"
    assert "is not watched now" in (out / "report.html").read_text()


def give_time_to_repeat(out: Path) -> None:
    """Wait until the page says that the folder is watched, and some looks more."""
    until = time.monotonic() + 60
    while "Watching" not in (out / "report.html").read_text() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1.0)
