"""What the page may see of the disk: the folders it was given, and nothing else."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from friedel.core.errors import FileError, FileNotPermittedError

#: Entries of a folder that are listed at most.
MAX_ENTRIES = 5000
#: Endings of folders that are data files to their users.
STORES = (".zarr", ".zspy")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a folder: its name, and what can be done with it.

    Parameters
    ----------
    kind
        "folder", "file" or "run".
    size, changed_s
        Bytes, and the time of the last change in seconds since 1970.
    """

    name: str
    path: str
    kind: str
    size: int
    changed_s: float


@dataclass(frozen=True, slots=True)
class Pinned:
    """A path below a root that was walked without following links, and what stood there.

    Parameters
    ----------
    path
        Without links and ``..``.
    device, inode
        Identity of the file or folder; ``still_there`` tells whether the path leads to it still.
    """

    path: Path
    device: int
    inode: int
    is_folder: bool


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders that the page may see.

    Links inside them are followed when they lead to a place inside one of them. Devices, pipes and sockets are
    refused. What is opened is walked from the root folder name by name without following links, so that a folder that
    is swapped for a link after it was looked at is not entered.
    """

    folders: tuple[Path, ...]

    @staticmethod
    def of(*folders: str | Path) -> Roots:
        """Make roots of folders that exist; doubles and those inside others are dropped."""
        real = [Path(os.path.realpath(folder)) for folder in folders]
        for folder in real:
            if not folder.is_dir():
                raise FileError(folder, "is not a folder", "Name a folder that exists.")
        outer = [
            f for i, f in enumerate(real) if not any(_is_in(f, g) for j, g in enumerate(real) if j != i and g != f)
        ]
        return Roots(tuple(dict.fromkeys(outer)))

    def pin(self, path: str | Path) -> Pinned:
        """Check a path and say what stands there.

        Raises
        ------
        FileError
            If it leads out of the roots, or is neither a file nor a folder.
        """
        with self.opened(path) as (fd, real):
            status = os.fstat(fd)
            return Pinned(real, status.st_dev, status.st_ino, stat.S_ISDIR(status.st_mode))

    @contextlib.contextmanager
    def opened(self, path: str | Path) -> Iterator[tuple[int, Path]]:
        """Open a file or folder for reading; yields its descriptor and its path without links."""
        if "\0" in str(path):
            raise FileError(str(path).replace("\0", "?"), "is no name of a file", "Choose a file from the list.")
        real = Path(os.path.realpath(path))
        root = next((folder for folder in self.folders if _is_in(real, folder)), None)
        if root is None:
            raise FileNotPermittedError(
                path, "lies outside the folders that this page may see", "Start friedel gui with that folder."
            )
        fd = _walk(root, real)
        try:
            yield fd, real
        finally:
            os.close(fd)

    def still_there(self, pinned: Pinned) -> bool:
        """Whether a path leads where it did when it was pinned."""
        try:
            return self.pin(pinned.path) == pinned
        except FileError:
            return False

    def read_bytes(self, path: str | Path, limit: int) -> bytes:
        """Read a small file whole; FileError if it has more than ``limit`` bytes or is no file."""
        with self.opened(path) as (fd, real):
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise FileError(real, "is no file", "Choose a file.")
            data = bytearray()
            while piece := os.read(fd, limit + 1 - len(data)):
                data += piece
                if len(data) > limit:
                    raise FileError(real, f"has more than {limit} bytes", "Choose a smaller file.")
            return bytes(data)

    def listing(self, path: str | Path) -> tuple[Path, list[Entry]]:
        """List a folder, folders first; what may not be opened, and what is hidden, is left out."""
        with self.opened(path) as (fd, real):
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise FileError(real, "is no folder", "Choose a folder.")
            with os.scandir(fd) as entries:
                names = [entry.name for entry in itertools.islice(entries, MAX_ENTRIES) if entry.name[0] != "."]
            found = [entry for name in names if (entry := self._entry(fd, real, name)) is not None]
        return real, sorted(found, key=lambda entry: (entry.kind == "file", entry.name.lower()))

    def _entry(self, fd: int, folder: Path, name: str) -> Entry | None:
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                if not any(_is_in(Path(os.path.realpath(folder / name)), root) for root in self.folders):
                    return None
                status = os.stat(name, dir_fd=fd)
        except OSError:
            return None
        if stat.S_ISREG(status.st_mode):
            kind = "file"
        elif stat.S_ISDIR(status.st_mode):
            kind = "file" if name.endswith(STORES) else "run" if _looks_like_run(fd, name) else "folder"
        else:
            return None
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return Entry(shown, str(folder / name), kind, status.st_size, status.st_mtime)


def _looks_like_run(fd: int, name: str) -> bool:
    try:
        return all(
            stat.S_ISREG(os.stat(f"{name}/{file}", dir_fd=fd).st_mode) for file in ("provenance.json", "summary.json")
        )
    except OSError:
        return False


def _is_in(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _walk(root: Path, real: Path) -> int:
    """Open a path below a root name by name, following no link."""
    names = real.relative_to(root).parts
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for i, name in enumerate(names):
            outer = fd
            try:
                fd = _enter(outer, name, real, must_be_folder=i < len(names) - 1)
            finally:
                os.close(outer)
    except PermissionError as error:
        raise FileNotPermittedError(real, "permission denied", "Ask its owner for the right to read it.") from error
    except OSError as error:
        raise FileError(
            real, f"cannot be opened ({error.strerror})", "Check the path; list the folder again."
        ) from error
    return fd


def _enter(outer: int, name: str, real: Path, *, must_be_folder: bool) -> int:
    """Open one name in a folder; it is looked at before, since opening a device can have effects, and after."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_DIRECTORY if must_be_folder else 0)
    if _is_plain(os.stat(name, dir_fd=outer, follow_symlinks=False)):
        fd = os.open(name, flags, dir_fd=outer)
        if _is_plain(os.fstat(fd)):
            return fd
        os.close(fd)
    raise FileError(real, "is neither a file nor a folder", "Choose a file from the list.")


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
