"""The errors of friedel: each says what, where, got against expected, and the remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


class FriedelError(Exception):
    """Base of every error that friedel raises on purpose; its text is meant for the user."""


class CalibrationError(FriedelError):
    """A scale, centre or energy is missing or impossible."""


class DataError(FriedelError):
    """An array has the wrong shape, type or values."""


class CrystalError(FriedelError):
    """A crystal structure is unknown, unreadable or impossible."""


class FetchError(FriedelError):
    """A web service cannot be reached, refuses, or answers with something else than was asked for."""


class RecipeError(FriedelError):
    """A recipe has a wrong key, type or value."""


class RunFolderError(FriedelError):
    """A run folder cannot be written, resumed or replaced."""


class FileError(FriedelError):
    """A file cannot be used; the message begins with its path.

    Parameters
    ----------
    path
        The file.
    problem
        What is wrong, got against expected.
    remedy
        What the user can do about it.
    """

    def __init__(self, path: str | Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem.rstrip('.')}. {remedy}")
        self.path, self.problem, self.remedy = Path(path), problem, remedy

    def __reduce__(self) -> tuple[type[FileError], tuple[str, str, str]]:
        """Rebuild from the three parts, so that the error crosses process borders."""
        return type(self), (str(self.path), self.problem, self.remedy)


class TruncatedFileError(FileError):
    """The file holds fewer bytes, frames or chunks than its header promises."""


class CorruptFileError(FileError):
    """The file contradicts itself or its format."""


class UnsupportedFileError(FileError):
    """The format, or this flavour of it, is not one that friedel reads."""


class FileTooLargeError(FileError):
    """Reading the file would take more memory than allowed, or more than its size can justify."""


class ReadTimedOutError(FileError):
    """The reader did not finish within its time limit."""


class FileNotPermittedError(FileError):
    """The operating system does not let this user read the file."""


@contextlib.contextmanager
def naming(path: str | Path, *doubts: str) -> Iterator[None]:
    """Put the file in hand before an error about its data or calibration that does not name it, and doubts after it."""
    try:
        yield
    except (CalibrationError, DataError) as error:
        said = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise type(error)(" ".join((said, *doubts))) from error
