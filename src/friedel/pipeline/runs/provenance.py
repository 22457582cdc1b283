"""What a result came from: inputs, software, settings, machine and time."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import friedel
from friedel.core.errors import FileError, FileNotPermittedError

#: Called with (bytes done, bytes in all).
Progress = Callable[[int, int], None]

#: Packages whose version can change a number in the result.
PACKAGES = ("friedel", "numpy", "scipy", "scikit-image", "rosettasciio", "zarr", "gemmi", "spglib")

#: Files of a package that its results depend on; networks are hashed by themselves.
_CODE = {".py", ".cif", ".json", ".toml"}
_CHUNK_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything that is needed to make a result again.

    Parameters
    ----------
    recipe_sha256
        Hash of the recipe as run.
    inputs_sha256
        Hash of each input file or folder, by its path as given.
    weights_sha256
        Hash of each network's weights, by name; empty on the classical path.
    network_device
        Where the network ran, "cpu" or "cuda"; empty on the classical path.
    versions
        Of Python and the packages that can change a number.
    command
        The command line, argument by argument; empty where the run was started from Python.
    time_utc
        Start, ISO 8601.
    spatial_prior
        How neighbouring positions had a say in a map beside that of the evidence; empty where they had none.
    """

    recipe_sha256: str
    inputs_sha256: Mapping[str, str]
    weights_sha256: Mapping[str, str]
    network_device: str
    versions: Mapping[str, str]
    seed: int
    command: tuple[str, ...]
    host: str
    time_utc: str
    spatial_prior: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self)


def collect_provenance(
    recipe_toml: str,
    inputs_sha256: Mapping[str, str],
    *,
    seed: int,
    weights_sha256: Mapping[str, str] | None = None,
    command: Iterable[str] = (),
) -> Provenance:
    """Return the provenance of a run that starts now on this machine."""
    return Provenance(
        recipe_sha256=sha256_of_text(recipe_toml),
        inputs_sha256=dict(inputs_sha256),
        weights_sha256=dict(weights_sha256 or {}),
        network_device="",
        versions=versions(),
        seed=seed,
        command=tuple(command),
        host=platform.platform(),
        time_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages in ``PACKAGES`` that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def code_sha256(package: Path = Path(friedel.__file__).parent) -> str:
    """Return the SHA-256 of a package's code and tables: it tells two states under one version number apart.

    Of a package that is no folder, as in a zip, only the version tells.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.suffix in _CODE and path.is_file()):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_of(path: str | Path, progress: Progress | None = None) -> str:
    r"""Return the SHA-256 of a file, or of a folder such as a zarr store.

    A file's hash is that of its bytes, as ``sha256sum`` prints it. A folder's is the hash of the lines
    ``<sha256 of file>  <relative path>`` of all its files, sorted by path: what
    ``find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum`` prints.

    Parameters
    ----------
    progress
        Called after every few megabytes, for inputs that take minutes.

    Raises
    ------
    FileError
        If the path does not exist, cannot be read, or holds something that is neither file nor folder.
    """
    path = Path(path)
    try:
        files = sorted(_files_in(path), key=os.fsencode) if path.is_dir() else [path]
        total = sum(file.stat().st_size for file in files)
        count = _Count(progress, total)
        if not path.is_dir():
            return _sha256_of_file(path, count)
        outer = hashlib.sha256()
        for file in files:
            line = f"{_sha256_of_file(file, count)}  {file.relative_to(path).as_posix()}\n"
            outer.update(os.fsencode(line))
        return outer.hexdigest()
    except FileNotFoundError as error:
        raise FileError(path, "there is no such file or folder", "Check the path.") from error
    except PermissionError as error:
        raise FileNotPermittedError(path, "this user may not read it", "Ask its owner, or copy it.") from error
    except OSError as error:
        raise FileError(path, f"reading failed ({error})", "Check the disk or the network drive.") from error


class _Count:
    """Bytes read so far, told to whoever wants to know."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, n: int) -> None:
        """Count n more bytes."""
        self._done += n
        if self._progress is not None:
            self._progress(self._done, self._total)


def _sha256_of_file(path: Path, count: _Count) -> str:
    """Hash a regular file piece by piece."""
    if not path.is_file():
        raise FileError(path, "it is neither a file nor a folder, and cannot be hashed", "Give a file or a folder.")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
            count.add(len(piece))
    return digest.hexdigest()


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder; an unreadable folder raises."""

    def fail(error: OSError) -> None:
        raise error

    for where, _, names in os.walk(folder, onerror=fail):
        yield from (Path(where) / name for name in names)
