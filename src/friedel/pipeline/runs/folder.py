"""The life of a run folder: locked while it is made, resumed where it broke off, put in place only when it is whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.core.errors import RunFolderError
from friedel.report.files import write_atomic

#: What a run may write; anything else in a run folder is somebody's own, and keeps the folder from being replaced.
RUN_ENTRIES = frozenset(
    ("recipe.toml", "provenance.json", "summary.json", "phase_map.zarr", "spots.zarr", "components.csv",
     "evolution.csv", "onsets.csv", "film.gif", "report.html")
)  # fmt: skip
#: Folder inside an unfinished run for what is no result: the lock, the key, kept blocks, the run that is replaced.
_WORK = ".work"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run that is being made.

    Parameters
    ----------
    path
        Where the finished run will be.
    partial
        Where its files are written until then: the sibling ``<path>.partial``.
    """

    path: Path
    partial: Path

    @property
    def work(self) -> Path:
        """Where lock, key and kept blocks are."""
        return self.partial / _WORK

    def finished_blocks(self) -> frozenset[int]:
        """First rows of the blocks whose results are whole on disk."""
        blocks = (self.work / "blocks").glob("*.npz")
        return frozenset(int(block.stem) for block in blocks if _is_whole(block))

    def save_block(self, first_row: int, arrays: Mapping[str, AnyArray]) -> None:
        """Keep the result of one block, so that an interrupted run need not compute it again."""
        with writing_to(self.partial):
            buffer = io.BytesIO()
            np.savez(buffer, allow_pickle=False, **arrays)
            write_atomic(self._block(first_row), buffer.getvalue())

    def load_block(self, first_row: int) -> dict[str, AnyArray]:
        """Return the arrays that ``save_block`` kept for this first row, bit for bit."""
        path = self._block(first_row)
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise RunFolderError(
                f"{path}: the kept block is unreadable ({error}). Run again without --resume."
            ) from error

    def _block(self, first_row: int) -> Path:
        return self.work / "blocks" / f"{first_row:09d}.npz"


@contextlib.contextmanager
def open_run(path: str | Path, key: Mapping[str, str], *, resume: bool = False) -> Iterator[RunFolder]:
    """Make a run folder; it appears at ``path`` when the ``with`` block ends without an error, and not before.

    Parameters
    ----------
    key
        What the result depends on, by name: settings, hashes of the inputs, versions. Kept blocks are used again only
        under an equal key.
    resume
        Go on with the blocks of an interrupted run; without one to go on with, start anew.

    Raises
    ------
    RunFolderError
        If another run holds the folder; if something is at ``path`` that is no run; if the key differs from that of
        the interrupted run; if the disk is full or does not let this user write.

    Notes
    -----
    After an error, kept blocks stay in ``<path>.partial`` for ``resume``, and a run that was at ``path`` before stays
    whole.
    """
    path = Path(path).resolve()
    if not path.name:
        raise RunFolderError(f"{path} cannot be a run folder. Choose another --out.")
    run = RunFolder(path, path.with_name(path.name + ".partial"))
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_replaceable(path)
        _check_is_partial(run.partial)
    with _locked(run):
        with writing_to(path):
            _restore(run)
            _prepare(run, dict(key), resume=resume)
        try:
            yield run
            with writing_to(path):
                _publish(run)
        except BaseException:
            _leave(run)
            raise


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write below a path into RunFolderError that names it and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"{path}: the disk is full. Free some space and go on with --resume, or choose another --out."
        elif error.errno in _REFUSED:
            message = f"{path}: this user may not write there ({error.strerror}). Choose another --out."
        else:
            message = f"{path}: writing failed ({error}). Make room or allow writing there, or choose another --out."
        raise RunFolderError(message) from error


def is_run(path: Path) -> bool:
    """Tell whether a folder is a finished run."""
    return (path / "provenance.json").is_file() and (path / "summary.json").is_file()


def _check_replaceable(path: Path) -> None:
    """Raise unless a new run may take this place: nothing, an empty folder, or a run with nothing of the user's."""
    if not path.exists():
        return
    if not path.is_dir():
        raise RunFolderError(f"{path} is a file, not a run folder. Choose another --out, or move it away.")
    entries = {entry.name for entry in path.iterdir()}
    if entries and not is_run(path):
        raise RunFolderError(
            f"{path} holds files but is no run of friedel (no provenance.json and summary.json), and is left alone. "
            "Choose another --out, or empty it."
        )
    if strange := sorted(entries - RUN_ENTRIES - {_WORK}):
        raise RunFolderError(
            f"{path} is a run, but also holds {', '.join(strange[:3])}, which replacing it would delete. "
            "Move that away, or choose another --out."
        )


def _check_is_partial(partial: Path) -> None:
    """Raise if something that is not an unfinished run stands where this one's files are to go."""
    if partial.is_dir() and (not any(partial.iterdir()) or (partial / _WORK).is_dir()):
        return
    if partial.exists():
        raise RunFolderError(
            f"{partial} is in the way and is no unfinished run. Move it away, or choose another --out."
        )


@contextlib.contextmanager
def _locked(run: RunFolder) -> Iterator[None]:
    """Hold the lock of an unfinished run."""
    with writing_to(run.partial):
        handle = _lock(run)
    try:
        yield
    finally:
        os.close(handle)


def _lock(run: RunFolder) -> int:
    """Open and lock the lock file; again, if another run was put in place and took the file along in between."""
    path = run.work / "lock"
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(handle)):
                return handle
        except BlockingIOError as error:
            os.close(handle)
            raise RunFolderError(
                f"{run.path} is being made by another run. Wait until that ends, or choose another --out."
            ) from error
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _prepare(run: RunFolder, key: dict[str, str], *, resume: bool) -> None:
    """Keep the blocks of an interrupted run with the same key, or start from nothing."""
    key_file, blocks = run.work / "key.json", run.work / "blocks"
    kept = _read_key(key_file)
    if resume and kept is not None and kept != key:
        names = [name for name in sorted({*kept, *key}) if kept.get(name) != key.get(name)]
        changes = "; ".join(f"{n} was {kept.get(n, 'absent')}, is now {key.get(n, 'absent')}" for n in names)
        raise RunFolderError(
            f"{run.partial} cannot be resumed: {changes}. Restore that, or run without --resume to start anew."
        )
    for entry in run.partial.iterdir():
        if entry.name != _WORK:
            _remove(entry)
    if blocks.exists() and not (resume and kept == key):
        shutil.rmtree(blocks)
    blocks.mkdir(exist_ok=True)
    write_atomic(key_file, json.dumps(key, indent=1, sort_keys=True).encode())


def _read_key(path: Path) -> dict[str, str] | None:
    """Return the key of an interrupted run, None if it has none that can be read."""
    try:
        key = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return key if isinstance(key, dict) else None


def _publish(run: RunFolder) -> None:
    """Put a finished run in its place; an old run there steps aside first and comes back if that fails."""
    _check_replaceable(run.path)
    if not is_run(run.partial):
        raise RunFolderError(f"{run.partial} lacks provenance.json or summary.json, so it is not put at {run.path}.")
    if run.path.exists():
        run.path.rename(_aside(run))
    try:
        run.partial.rename(run.path)
    except OSError:
        _restore(run)
        raise
    shutil.rmtree(run.path / _WORK)


def _aside(run: RunFolder) -> Path:
    """Return where an old run waits while the new one takes its place."""
    return run.work / "replaced"


def _restore(run: RunFolder) -> None:
    """Bring back an old run that a crash in the middle of replacing it left aside."""
    if _aside(run).exists() and not run.path.exists():
        _aside(run).rename(run.path)


def _leave(run: RunFolder) -> None:
    """After an error, remove the unfinished run if there is nothing in it to resume."""
    if run.partial.exists() and not _aside(run).exists() and not run.finished_blocks():
        shutil.rmtree(run.partial, ignore_errors=True)


def _remove(entry: Path) -> None:
    """Delete a file or a folder of this run's own."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _is_whole(block: Path) -> bool:
    """Tell whether a kept block passes its checksums."""
    try:
        with zipfile.ZipFile(block) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False
