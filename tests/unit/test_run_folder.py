from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from friedel.core.errors import RunFolderError
from friedel.pipeline.runs import folder as run_folder
from friedel.pipeline.runs.folder import RunFolder, is_run, open_run, writing_to

KEY = {"recipe": "abc", "input": "def"}


def fill(run: RunFolder, text: str = "new") -> None:
    for name in ("provenance.json", "summary.json"):
        (run.partial / name).write_text("{}")
    (run.partial / "report.html").write_text(text)


def finished(path: Path, text: str = "old") -> Path:
    with open_run(path, KEY) as run:
        fill(run, text)
    return path


def fail(path: Path) -> None:
    """Fill a run and fail at the end."""
    with open_run(path, KEY) as run:
        fill(run)
        raise ZeroDivisionError


def everything_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_run_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    with open_run(path, KEY) as run:
        fill(run)
        assert not path.exists()
        assert run.partial.name == "run.partial"
    assert is_run(path)
    assert sorted(p.name for p in path.iterdir()) == ["provenance.json", "report.html", "summary.json"]
    assert [p.name for p in path.parent.iterdir()] == ["run"]


def test_finished_run_replaces_an_older_run_whole(tmp_path: Path) -> None:
    path = finished(tmp_path / "run")
    (path / "evolution.csv").write_text("from the old run")
    with open_run(path, KEY) as run:
        fill(run)
        assert (path / "report.html").read_text() == "old"
    assert (path / "report.html").read_text() == "new"
    assert not (path / "evolution.csv").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_failed_run_leaves_the_old_run_whole_and_no_litter(tmp_path: Path) -> None:
    path = finished(tmp_path / "run")
    before = everything_in(path)
    with pytest.raises(ZeroDivisionError):
        fail(path)
    assert everything_in(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_run_without_summary_is_not_put_in_place(tmp_path: Path) -> None:
    path = finished(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"summary\.json"), open_run(path, KEY):
        pass
    assert (path / "report.html").read_text() == "old"


def test_failed_rename_brings_the_old_run_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = finished(tmp_path / "run")
    rename = Path.rename

    def fail_to_publish(self: Path, target: Path) -> Path:
        if self.name == "run.partial":
            raise OSError(errno.EIO, "injected")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_to_publish)
    with pytest.raises(RunFolderError, match="injected"), open_run(path, KEY) as run:
        fill(run)
    assert (path / "report.html").read_text() == "old"


def test_crash_between_the_two_renames_is_mended_by_the_next_run(tmp_path: Path) -> None:
    path = finished(tmp_path / "run")
    aside = tmp_path / "run.partial" / ".work" / "replaced"
    aside.parent.mkdir(parents=True)
    path.rename(aside)
    with pytest.raises(ZeroDivisionError):
        fail(path)
    assert (path / "report.html").read_text() == "old"


def test_folder_that_is_no_run_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "thesis"
    path.mkdir()
    (path / "chapter.tex").write_text("precious")
    with pytest.raises(RunFolderError, match="--out"), open_run(path, KEY):
        pytest.fail("must refuse before any work is done")
    assert (path / "chapter.tex").read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


def test_notes_of_the_user_inside_a_run_are_not_deleted(tmp_path: Path) -> None:
    path = finished(tmp_path / "run")
    (path / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"notes\.txt"), open_run(path, KEY):
        pytest.fail("must refuse before any work is done")
    assert (path / "notes.txt").read_text() == "mine"


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert is_run(finished(tmp_path / "run"))


def test_file_in_the_place_of_the_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunFolderError, match="is a file"), open_run(tmp_path / "run", KEY):
        pass


def test_foreign_folder_named_partial_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / "mine").write_text("mine")
    with pytest.raises(RunFolderError, match="in the way"), open_run(tmp_path / "run", KEY):
        pass
    assert (tmp_path / "run.partial" / "mine").read_text() == "mine"


def test_second_run_on_the_same_folder_is_refused_while_the_first_lasts(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with open_run(path, KEY) as run:
        fill(run)
        code = "import sys; from friedel.pipeline.runs.folder import open_run\nwith open_run(sys.argv[1], {}): pass"
        other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
        assert "is being made by another run" in other.stderr
        with pytest.raises(RunFolderError, match="another run"), open_run(path, KEY):
            pass
        assert (run.partial / "report.html").exists()
    assert is_run(finished(path))


def test_killed_run_does_not_lock_the_folder_for_ever(tmp_path: Path) -> None:
    code = (
        "import os, sys; from friedel.pipeline.runs.folder import open_run\n"
        "with open_run(sys.argv[1], {'recipe': 'abc', 'input': 'def'}) as run:\n"
        "    run.save_block(0, {}); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    with open_run(tmp_path / "run", KEY, resume=True) as run:
        assert run.finished_blocks() == {0}
        fill(run)
    assert is_run(tmp_path / "run")


def interrupted(path: Path, arrays: dict[str, np.ndarray]) -> None:
    def work() -> None:
        with open_run(path, KEY) as run:
            run.save_block(7, arrays)
            (run.partial / "summary.json").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()


def test_kept_block_comes_back_bit_for_bit(tmp_path: Path) -> None:
    arrays = {"presence": np.array([[0.1, np.nan, -0.0]], np.float32), "offsets": np.array([0, 2**60])}
    interrupted(tmp_path / "run", arrays)
    with open_run(tmp_path / "run", KEY, resume=True) as run:
        assert run.finished_blocks() == {7}
        assert not (run.partial / "summary.json").exists()
        back = run.load_block(7)
        fill(run)
    assert {name: (a.dtype, a.tobytes()) for name, a in back.items()} == {
        name: (a.dtype, a.tobytes()) for name, a in arrays.items()
    }


def test_without_resume_kept_blocks_are_discarded(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", {"a": np.zeros(3)})
    with open_run(tmp_path / "run", KEY) as run:
        assert run.finished_blocks() == set()
        fill(run)


def test_resume_under_another_key_says_what_changed_and_keeps_the_blocks(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", {"a": np.zeros(3)})
    with (
        pytest.raises(RunFolderError, match="recipe was abc, is now xyz") as error,
        open_run(tmp_path / "run", {**KEY, "recipe": "xyz"}, resume=True),
    ):
        pass
    assert "input" not in str(error.value)
    with open_run(tmp_path / "run", KEY, resume=True) as run:
        assert run.finished_blocks() == {7}
        fill(run)


def test_damaged_block_counts_as_not_done(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", {"a": np.arange(1000)})
    (block,) = (tmp_path / "run.partial").rglob("*.npz")
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 0xFF
    block.write_bytes(bytes(data))
    with open_run(tmp_path / "run", KEY, resume=True) as run:
        assert run.finished_blocks() == set()
        fill(run)


def test_full_disk_is_an_error_that_names_path_and_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def work() -> None:
        with open_run(tmp_path / "run", KEY) as run:
            monkeypatch.setattr(run_folder, "write_atomic", full)
            run.save_block(0, {"a": np.zeros(2)})

    with pytest.raises(RunFolderError, match=r"run\.partial: the disk is full.*--resume"):
        work()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_refusal_to_write_names_path_and_option(number: int) -> None:
    with pytest.raises(RunFolderError, match=r"^there: .*may not write.*--out"), writing_to(Path("there")):
        raise OSError(number, os.strerror(number))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_parent_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunFolderError, match=r"may not write there.*--out"), open_run(tmp_path / "run", KEY):
        pass


def test_parent_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="file/run"), open_run(tmp_path / "file" / "run", KEY):
        pass


def test_symbolic_link_to_a_run_stays_a_link(tmp_path: Path) -> None:
    finished(tmp_path / "run-1")
    (tmp_path / "latest").symlink_to("run-1")
    with open_run(tmp_path / "latest", KEY) as run:
        fill(run)
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "run-1" / "report.html").read_text() == "new"
