"""The guard: whatever a reader does, the parent ends with a typed error that names the file and the remedy."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from friedel.core import errors
from friedel.io import guard
from friedel.io.guard import GuardedArray, GuardedFile
from friedel.io.limits import Limits

CUBE = np.arange(4 * 3 * 5 * 7, dtype=np.uint16).reshape(4, 3, 5, 7)


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    path = tmp_path / "cube.npy"
    np.save(path, CUBE)
    return path


def use_reader(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a reader that misbehaves into the real server of the child."""
    lines = ("import time", "from friedel.io import child", f"def reader(path, limits): {body}")
    script = "\n".join((*lines, "child.open_file = reader", "child.main()"))
    monkeypatch.setattr(guard, "COMMAND", (sys.executable, "-P", "-c", script))


def test_blocks_are_what_numpy_would_give(cube: Path) -> None:
    array = GuardedArray(GuardedFile(cube))
    for key in (0, -1, np.s_[1:3], np.s_[1:3, 0], np.s_[..., 2], np.s_[::2, 1:, ::3, 4], np.s_[2:2], np.s_[1, 2, 3, 4]):
        np.testing.assert_array_equal(array[key], CUBE[key])
    np.testing.assert_array_equal(np.asarray(array), CUBE)


def test_index_beyond_the_array_is_an_index_error(cube: Path) -> None:
    array = GuardedArray(GuardedFile(cube))
    for key in (4, (0, 0, 0, 0, 0), np.s_[::-1], "rows"):
        with pytest.raises(IndexError):
            array[key]


def test_big_blocks_are_read_in_pieces_that_fit_the_limit(cube: Path) -> None:
    file = GuardedFile(cube, Limits(memory_bytes=4 * 35 * 2))
    np.testing.assert_array_equal(GuardedArray(file)[...], CUBE)


def test_one_image_above_the_memory_limit_is_refused(cube: Path) -> None:
    with pytest.raises(errors.FileTooLargeError, match="one image takes 70 bytes, the limit is 69 bytes"):
        GuardedArray(GuardedFile(cube, Limits(memory_bytes=69)))[0, 0]


def test_reader_that_hangs_is_ended_after_the_wall_time(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_reader(monkeypatch, "time.sleep(60)")
    start = time.monotonic()
    with pytest.raises(errors.ReadTimedOutError, match=r"cube\.npy: no answer within 0\.5 s"):
        GuardedFile(cube, Limits(wall_s=0.5))
    assert time.monotonic() - start < 10


def test_reader_that_burns_cpu_is_ended_by_the_system(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_reader(monkeypatch, "\n    while True: pass")
    with pytest.raises(errors.ReadTimedOutError, match=r"more than 0\.01 s of CPU time"):
        GuardedFile(cube, Limits(cpu_s=0.01))


def test_reader_that_grabs_memory_is_refused_it(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_reader(monkeypatch, "return bytearray(2**32)")
    with pytest.raises(errors.FileTooLargeError, match="more memory than allowed"):
        GuardedFile(cube, Limits(memory_bytes=2**20))


def test_reader_that_crashes_is_a_corrupt_file(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_reader(monkeypatch, "import os; os.abort()")
    with pytest.raises(errors.CorruptFileError, match=r"crashed \(SIGABRT\)"):
        GuardedFile(cube)


def test_reader_that_is_killed_ran_out_of_memory(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_reader(monkeypatch, "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(errors.FileTooLargeError, match="ended its reader"):
        GuardedFile(cube)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("raise ValueError('bad tag')", errors.CorruptFileError),
        ("raise EOFError('nothing left')", errors.TruncatedFileError),
        ("raise OSError('truncated file: eof = 96')", errors.TruncatedFileError),
        ("raise NotImplementedError('version 9')", errors.UnsupportedFileError),
        ("raise PermissionError(13, 'denied')", errors.FileNotPermittedError),
        ("raise MemoryError", errors.FileTooLargeError),
        ("print('noise'); import os; os.write(1, b'noise'); raise KeyError('x')", errors.CorruptFileError),
    ],
)
def test_what_a_library_raises_becomes_a_typed_error(
    cube: Path, monkeypatch: pytest.MonkeyPatch, raised: str, expected: type[errors.FileError]
) -> None:
    use_reader(monkeypatch, raised)
    with pytest.raises(expected) as caught:
        GuardedFile(cube)
    assert type(caught.value) is expected
    assert str(caught.value).startswith(str(cube))
    assert caught.value.remedy


def test_child_that_answers_nonsense_is_not_believed(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "COMMAND", (sys.executable, "-c", "import os; os.write(1, b'x' * 64); input()"))
    with pytest.raises(errors.CorruptFileError, match="nonsense"):
        GuardedFile(cube)


def test_missing_file_is_a_plain_file_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mrc", tmp_path / "none" / "none.mrc"):
        with pytest.raises(errors.FileError, match="no such file") as caught:
            GuardedFile(path)
        assert type(caught.value) is errors.FileError


def test_forbidden_file_says_so(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str = "r") -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(errors.FileNotPermittedError, match="permission denied"):
        GuardedFile(cube)


def test_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(errors.UnsupportedFileError, match="neither a file nor a folder"):
        GuardedFile(tmp_path / "pipe.npy")


def test_file_that_changes_after_opening_is_refused(cube: Path) -> None:
    array = GuardedArray(GuardedFile(cube))
    np.save(cube, CUBE[:2])
    with pytest.raises(errors.CorruptFileError, match="changed after it was opened"):
        array[0]


def test_pickled_array_reads_the_same_in_another_process(cube: Path) -> None:
    array = GuardedArray(GuardedFile(cube))
    array[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array))[1:3], CUBE[1:3])
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        np.testing.assert_array_equal(pool.submit(array.__getitem__, 2).result(), CUBE[2])


def test_child_ends_with_its_array(cube: Path) -> None:
    file = GuardedFile(cube)
    child = file._child
    assert child is not None
    process = child.process
    del file, child
    assert process.poll() is not None


def test_child_whose_reader_hangs_ends_without_its_parent(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_reader(monkeypatch, "time.sleep(60)")
    request = {"do": "open", "path": str(cube), "limits": Limits(wall_s=0.1).to_json()}
    orphan = subprocess.run(
        guard.COMMAND, input=json.dumps(request).encode(), capture_output=True, timeout=20, check=False
    )
    assert orphan.returncode == -signal.SIGALRM


def test_child_ends_when_its_parent_is_killed(cube: Path) -> None:
    script = (
        "import os, sys\nfrom friedel.io.guard import GuardedFile\n"
        f"file = GuardedFile({str(cube)!r})\nprint(file._child.process.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    status = Path(f"/proc/{int(parent.stdout)}/stat")
    for _ in range(100):
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its parent by 5 s")


def test_reader_lets_go_of_what_it_has_handed_over(tmp_path: Path) -> None:
    """The pages of a mapped file count as its memory for as long as it holds them."""
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(4, 1, 4096, 4096))
    file = GuardedFile(path)
    array = GuardedArray(file)
    held_mib = []
    for row in range(4):
        array[row]
        array[row, 0, :1]
        assert file._child is not None
        status = Path(f"/proc/{file._child.process.pid}/status").read_text()
        held_mib.append(int(status.partition("RssFile:")[2].split()[0]) / 1024)
    assert held_mib[-1] < held_mib[0] + 8
