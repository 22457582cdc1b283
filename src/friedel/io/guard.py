"""Reading files in a guarded child process: what the parent holds."""

from __future__ import annotations

import itertools
import json
import math
import os
import select
import signal
import stat
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core import errors
from friedel.core.arrays import AnyArray
from friedel.core.errors import FileError
from friedel.io.describe import Description
from friedel.io.limits import Limits
from friedel.io.views import LazyView

#: Longest description or error that a child may send.
MAX_HEADER_BYTES = 2**24

#: The child: ``-P`` keeps the current folder, where a file may be named like a module, off its path.
COMMAND = (sys.executable, "-P", "-m", "friedel.io.child")

_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLOSC")}


def file_stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of last change in ns, of a file that can be read; a FileError says what is wrong."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except PermissionError:
        raise not_permitted(path) from None
    except (FileNotFoundError, NotADirectoryError):
        raise FileError(path, "no such file", "Check the spelling and the folder.") from None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise errors.UnsupportedFileError(path, "neither a file nor a folder", "Name a file of a known format.")
    return (status.st_size if stat.S_ISREG(status.st_mode) else 0), status.st_mtime_ns


def not_permitted(path: str | Path) -> errors.FileNotPermittedError:
    """Return the error for a file that the operating system refuses."""
    return errors.FileNotPermittedError(path, "permission denied", "Ask its owner for the right to read it (chmod +r).")


class Child:
    """A child process that has one file open; it is ended at the first error, or when nothing refers to it."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.owner_pid = os.getpid()
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"} | _ONE_THREAD
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
        self.stop = weakref.finalize(self, _stop, self.process, self.owner_pid)
        self.ask({"do": "open", "path": str(path), "limits": limits.to_json()})

    def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
        """Send a request and return the header and the raw bytes of the answer; any error ends the child."""
        try:
            return self._ask(request, time.monotonic() + self.limits.wall_s)
        except FileError:
            self.stop()
            raise

    def _ask(self, request: dict[str, Any], deadline: float) -> tuple[dict[str, Any], bytearray]:
        try:
            os.write(self.process.stdin.fileno(), json.dumps(request).encode() + b"\n")  # type: ignore[union-attr]
        except BrokenPipeError:
            raise self._cause_of_death() from None
        length = int.from_bytes(self._receive(8, deadline), "little")
        if length > MAX_HEADER_BYTES:
            raise errors.CorruptFileError(self.path, "its reader answers nonsense", "Report this file.")
        answer = json.loads(self._receive(length, deadline))
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["path"], answer["problem"], answer["remedy"])
        return answer, self._receive(answer.get("nbytes", 0), deadline)

    def _receive(self, n_bytes: int, deadline: float) -> bytearray:
        """Receive exactly so many bytes before the deadline."""
        stream = self.process.stdout.fileno()  # type: ignore[union-attr]
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        buffer = bytearray(n_bytes)
        view = memoryview(buffer)
        while view:
            if not poll.poll(max(0.0, 1e3 * (deadline - time.monotonic()))):
                raise _timed_out(self.path, f"no answer within {self.limits.wall_s:g} s")
            count = os.readv(stream, [view])
            if count == 0:
                raise self._cause_of_death()
            view = view[count:]
        return buffer

    def _cause_of_death(self) -> FileError:
        """Tell from the exit status why the child died."""
        code = self.process.wait(timeout=30)
        if code == -signal.SIGXCPU:
            return _timed_out(self.path, f"the reader used more than {self.limits.cpu_s:g} s of CPU time")
        if code == -signal.SIGKILL:
            remedy = "Free memory, or read smaller blocks."
            return errors.FileTooLargeError(self.path, "the system ended its reader, most likely for memory", remedy)
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        remedy = "The file is most likely damaged; copy it again."
        return errors.CorruptFileError(self.path, f"its reader crashed ({how})", remedy)


def _timed_out(path: Path, problem: str) -> errors.ReadTimedOutError:
    return errors.ReadTimedOutError(
        path, problem, "Copy it to a fast local disk; if that does not help, it is damaged."
    )


def _stop(process: subprocess.Popen[bytes], owner_pid: int) -> None:
    """End a child, unless this process is a fork of the one that started it."""
    if os.getpid() != owner_pid:
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


class GuardedFile:
    """A file that is opened and read in a child process with limits on memory, CPU and wall time.

    A copy that travels to another process (by pickle or fork) starts a child of its own on first use. A file that
    changes after it was opened is refused.
    """

    def __init__(self, path: str | Path, limits: Limits | None = None) -> None:
        self.path = Path(path).absolute()
        self.limits = limits or Limits()
        self._stamp = file_stamp(self.path)
        self._forget_child()
        self.description = Description.from_json(self._ask({"do": "describe"})[0])

    def read(self, key: list[tuple[int, int, int]]) -> AnyArray:
        """Read a block, given by (start, stop, step) per axis; native byte order."""
        header, payload = self._ask({"do": "read", "key": key})
        return np.frombuffer(payload, dtype=np.dtype(header["dtype"])).reshape(header["shape"])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "limits": self.limits, "_stamp": self._stamp, "description": self.description}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_child()

    def _forget_child(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
        """Ask the child of this process, which is started if there is none."""
        with self._lock:
            if file_stamp(self.path) != self._stamp:
                raise errors.CorruptFileError(self.path, "it changed after it was opened", "Read it again.")
            if self._child is None or self._child.owner_pid != os.getpid() or not self._child.stop.alive:
                self._child = Child(self.path, self.limits)
            return self._child.ask(request)


class GuardedArray(LazyView):
    """The array of a guarded file: read when sliced (ints and slices with positive step).

    Blocks larger than half the memory limit are read in pieces along the leading axes.
    """

    def __init__(self, file: GuardedFile) -> None:
        self._file = file
        self.shape = file.description.shape
        self.dtype = np.dtype(file.description.dtype)

    def _read(self, spans: list[range]) -> AnyArray:
        shape = tuple(len(span) for span in spans)
        split = next((axis for axis, size in enumerate(shape[:-2]) if size > 1), None)
        nbytes, limit = math.prod(shape) * self.dtype.itemsize, self._file.limits.memory_bytes // 2
        if split is None or nbytes <= limit:
            return self._file.read([(span.start, span.stop, span.step) for span in spans])
        out = np.empty(shape, self.dtype)
        edges = np.linspace(0, shape[split], min(shape[split], math.ceil(nbytes / limit)) + 1).astype(int)
        for start, stop in itertools.pairwise(edges.tolist()):
            part = [*spans[:split], spans[split][start:stop], *spans[split + 1 :]]
            out[(slice(None),) * split + (slice(start, stop),)] = self._read(part)
        return out
