"""A folder that a microscope writes into: each file is mapped when it is whole, once, and a page shows all of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from friedel.core.errors import FileError, FriedelError, RunFolderError
from friedel.io import inspect
from friedel.io.formats import known_suffixes
from friedel.pipeline.batches.batch import BatchEntry, check_batch_folder, folder_names, run_one
from friedel.pipeline.batches.report import write_batch
from friedel.pipeline.recipe import Recipe, dump_recipe
from friedel.pipeline.run import RunOptions
from friedel.pipeline.runs.files import load_summary
from friedel.pipeline.runs.folder import is_run, writing_to
from friedel.pipeline.runs.provenance import sha256_of_text
from friedel.report.files import write_atomic

#: Endings that programs give to files which they have not finished, and headers of files that are read with them.
_NOT_YET = frozenset((".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".xml"))
_STATE, _LOCK = "watch.json", ".watch.lock"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """When a file is taken for whole.

    Parameters
    ----------
    poll_s
        Seconds from look to look.
    settle_looks
        Looks through which size and time of a file must stay the same.
    give_up_looks
        Looks after which a file that stays the same and cannot be read is no longer waited for, but said to be bad.
    """

    poll_s: float = 2.0
    settle_looks: int = 3
    give_up_looks: int = 30

    def __post_init__(self) -> None:
        if not self.poll_s > 0 or not 1 <= self.settle_looks <= self.give_up_looks:
            raise FriedelError(f"Seconds and numbers of looks must be positive, got {self}.")


@dataclass(frozen=True, slots=True)
class _Known:
    """A file that is done with: its run folder, size and time when it was mapped, and why it could not be."""

    name: str
    size: int
    mtime_ns: int
    error: str = ""


@dataclass(slots=True)
class _Watched:
    """What is known of a folder: files done, kept on disk, and files looked at, with how often they stayed the same."""

    known: dict[str, _Known] = field(default_factory=dict)
    looks: dict[str, tuple[tuple[int, int], int]] = field(default_factory=dict)


def watch(
    folder: Path,
    out: Path,
    recipe_for: Callable[[str], Recipe],
    options: RunOptions,
    how: WatchOptions,
    *,
    tell: Callable[[BatchEntry], None] = lambda entry: None,
    pause: Callable[[float], bool] | None = None,
) -> None:
    """Map the files that appear in a folder, until interrupted; a later call with the same arguments goes on.

    Files in folders within are not looked at. A file is mapped once its size and time have stayed the same for some
    looks and it can be read; a file that changes later is mapped again. What is done is noted in ``out``; an
    interrupted mapping goes on where it was.

    Parameters
    ----------
    tell
        Called with what became of each file.
    pause
        Waits the given seconds between looks, and returns True to end; by default, it just waits.

    Raises
    ------
    FileError
        If ``folder`` is none.
    RunFolderError
        If another watch holds ``out``, or it was watched with other settings.
    """
    if not folder.is_dir():
        raise FileError(folder, "it is no folder", "Name the folder into which the microscope writes.")
    pause = pause or _wait
    check_batch_folder(out)
    with writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
    settings = recipe_for(str(folder))
    with _locked(out):
        watched = _Watched(_load(out, settings))
        entries = _entries_of(out, watched)
        shown: list[str] | None = None
        try:
            while True:
                ready, waiting = _look(folder, watched, recipe_for, how)
                if shown != waiting:
                    shown = waiting
                    _show(out, entries, settings, folder, waiting, how)
                for path in ready:
                    entry = _map(path, out, watched, recipe_for, options)
                    entries = {**{n: e for n, e in entries.items() if n != entry.name}, entry.name: entry}
                    _save(out, settings, watched)
                    _show(out, entries, settings, folder, waiting, how)
                    tell(entry)
                if pause(how.poll_s):
                    return
        finally:
            write_batch(out, list(entries.values()), settings.min_probability, state=f"{folder} is not watched now.")


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _look(
    folder: Path, watched: _Watched, recipe_for: Callable[[str], Recipe], how: WatchOptions
) -> tuple[list[Path], list[str]]:
    """Return the files that are whole and not done, oldest first, and the names of those that are waited for."""
    found = {path: signature for path in _candidates(folder) if (signature := _signature(path)) is not None}
    looks, ready, waiting = {}, [], []
    for path, signature in sorted(found.items(), key=lambda item: (item[1][1], item[0].name)):
        done = watched.known.get(str(path))
        if done is not None and (done.size, done.mtime_ns) == signature:
            continue
        before, count = watched.looks.get(str(path), (None, 0))
        count = count + 1 if before == signature else 1
        looks[str(path)] = signature, count
        if count >= how.settle_looks and (count >= how.give_up_looks or _is_readable(path, recipe_for)):
            ready.append(path)
        else:
            waiting.append(path.name)
    watched.looks = looks
    return ready, waiting


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield the files that are named like data, and not like something unfinished or hidden."""
    known = set(known_suffixes().split(", "))
    for path in folder.iterdir():
        endings = {ending.lower() for ending in path.suffixes}
        if path.suffix.lower() in known and not endings & _NOT_YET and not path.name.startswith((".", "~")):
            yield path.absolute()


def _signature(path: Path) -> tuple[int, int] | None:
    """Return size and time of a file, None if it is empty, gone or none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if path.is_file() and status.st_size else None


def _is_readable(path: Path, recipe_for: Callable[[str], Recipe]) -> bool:
    """Tell whether a file is whole as far as its header says."""
    try:
        inspect(path, recipe_for(str(path)).read)
    except (FriedelError, OSError):
        return False
    return True


def _map(
    path: Path, out: Path, watched: _Watched, recipe_for: Callable[[str], Recipe], options: RunOptions
) -> BatchEntry:
    """Map one file, going on where an interrupted mapping was, and note it as done if it has not changed meanwhile."""
    before = _signature(path)
    taken = {known.name: file for file, known in watched.known.items()}
    name = folder_names([path], taken)[0]
    recipe = recipe_for(str(path))
    entry = run_one(name, recipe, out, replace(options, resume=True))
    if entry.summary is None and (out / f"{name}.partial").exists():
        # What is left may be of a file that has changed since.
        entry = run_one(name, recipe, out, replace(options, resume=False))
    if before is not None and before == _signature(path):
        watched.known[str(path)] = _Known(name, *before, entry.error)
    return entry


def _show(out: Path, entries: dict[str, BatchEntry], settings: Recipe, folder: Path, waiting: list[str],
          how: WatchOptions) -> None:  # fmt: skip
    """Write the page, which loads itself again."""
    state = f"Watching {folder}." + (f" Waiting for {', '.join(waiting[:5])} to be whole." if waiting else "")
    if len(waiting) > 5:
        state += f" {len(waiting) - 5} more are waited for."
    write_batch(out, list(entries.values()), settings.min_probability, state=state,
                refresh_s=max(2, round(how.poll_s)))  # fmt: skip


def _settings_hash(settings: Recipe) -> str:
    return sha256_of_text(dump_recipe(settings))


def _load(out: Path, settings: Recipe) -> dict[str, _Known]:
    """Return what an earlier watch has done here; runs that are gone are to be made again."""
    path = out / _STATE
    if not path.exists():
        return {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        same, files = state["settings"] == _settings_hash(settings), state["files"]
        known = {file: _Known(**facts) for file, facts in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}). Delete it; finished runs are kept.") from error
    if not same:
        raise RunFolderError(f"{out} was made with other settings. Restore them, or choose another --out.")
    return {file: facts for file, facts in known.items() if facts.error or is_run(out / facts.name)}


def _save(out: Path, settings: Recipe, watched: _Watched) -> None:
    files = {file: {"name": k.name, "size": k.size, "mtime_ns": k.mtime_ns, "error": k.error}
             for file, k in watched.known.items()}  # fmt: skip
    with writing_to(out):
        state = {"settings": _settings_hash(settings), "files": files}
        write_atomic(out / _STATE, json.dumps(state, indent=1).encode())


def _entries_of(out: Path, watched: _Watched) -> dict[str, BatchEntry]:
    """Return what an earlier watch has found, by the names of the runs."""
    return {k.name: BatchEntry(k.name, file, None if k.error else load_summary(out / k.name), k.error)
            for file, k in watched.known.items()}  # fmt: skip


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep other watches out of a folder."""
    with writing_to(out):
        handle = (out / _LOCK).open("w")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFolderError(f"{out} is used by another watch. Stop that, or choose another --out.") from error
        yield
