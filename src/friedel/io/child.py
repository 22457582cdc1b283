"""The child process that opens files: run as ``python -m friedel.io.child``, it answers requests on stdin."""

from __future__ import annotations

import json
import logging
import math
import mmap
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from friedel.core import errors
from friedel.core.errors import FileError
from friedel.io.formats import open_file
from friedel.io.formats.common import Opened, gib
from friedel.io.guard import not_permitted
from friedel.io.limits import Limits

#: Memory that importing the vendor libraries may take.
LIBRARY_BYTES = 384 * 2**20


class Server:
    """Holds the open file and answers requests about it."""

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.limits = Limits()
        self.path = Path()
        self.base_bytes = _data_bytes() + LIBRARY_BYTES
        self.mapped: mmap.mmap | None = None

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
        """Answer one request with a JSON header and raw bytes.

        Should the parent be gone and the reader hang, an alarm ends this process.
        """
        try:
            if request["do"] == "open":
                return self._open(request), b""
            assert self.opened is not None
            if request["do"] == "describe":
                self._restrain(0)
                return self.opened.description.to_json(), b""
            return self._read(request["key"])
        except Exception as problem:  # noqa: BLE001 - vendor readers raise anything; all of it becomes a typed error
            error = as_file_error(self.path, problem)
            parts = {"path": str(error.path), "problem": error.problem, "remedy": error.remedy}
            return {"error": type(error).__name__, **parts}, b""
        finally:
            signal.alarm(0)

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        self.path, self.limits = Path(request["path"]), Limits(**request["limits"])
        self._restrain(0)
        self.opened = open_file(self.path, self.limits)
        return {}

    def _read(self, key: list[Any]) -> tuple[dict[str, Any], memoryview]:
        assert self.opened is not None
        dtype = np.dtype(self.opened.description.dtype)
        slices = tuple(slice(*part) for part in key)
        shape = tuple(len(range(*part)) for part in key)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes > self.limits.memory_bytes:
            raise errors.FileTooLargeError(
                self.path,
                f"one image takes {gib(nbytes)}, the limit is {gib(self.limits.memory_bytes)}",
                "Crop or bin it first, or raise Limits.memory_bytes.",
            )
        self._restrain(nbytes)
        part = self.opened.array[slices]
        self.mapped = _map_behind(part)
        block = np.ascontiguousarray(part, dtype=dtype)
        if block.shape != shape:
            raise errors.TruncatedFileError(
                self.path, f"it gave data of shape {block.shape} where {shape} was promised", "Copy the file again."
            )
        header = {"dtype": dtype.str, "shape": shape, "nbytes": block.nbytes}
        return header, memoryview(block.reshape(-1).view(np.uint8).data)

    def release(self) -> None:
        """Let go of the pages of a mapped file that were read: of a large one they would fill the memory."""
        if self.mapped is not None:
            self.mapped.madvise(mmap.MADV_DONTNEED)
            self.mapped = None

    def _restrain(self, block_bytes: int) -> None:
        """Set the limits of this request; memory maps of files do not count as memory."""
        memory = self.base_bytes + self.limits.memory_bytes + block_bytes
        signal.alarm(math.ceil(self.limits.wall_s) + 1)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = math.ceil(used.ru_utime + used.ru_stime + self.limits.cpu_s)
        for kind, soft in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_CORE, 0)):
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def as_file_error(path: Path, problem: Exception) -> FileError:
    """Turn whatever a reader raised into a typed error with its text."""
    text = f"{type(problem).__name__}: {problem}"
    lower = text.lower()
    if isinstance(problem, FileError):
        return problem
    if isinstance(problem, MemoryError) or ("memory" in lower and "alloc" in lower):
        return errors.FileTooLargeError(
            path, f"reading it takes more memory than allowed ({text})", "Crop it, or raise Limits.memory_bytes."
        )
    if isinstance(problem, PermissionError):
        return not_permitted(problem.filename or path)
    if isinstance(problem, FileNotFoundError):
        return errors.TruncatedFileError(path, f"a part of it is missing ({problem})", "Copy all its files together.")
    if isinstance(problem, NotImplementedError):
        return errors.UnsupportedFileError(
            path, f"its reader does not know this kind ({text})", "Convert it, e.g. to .hspy."
        )
    if isinstance(problem, EOFError) or "truncated" in lower or "end of file" in lower or "unexpected eof" in lower:
        return errors.TruncatedFileError(path, f"it ends too early ({text})", "Copy the file again.")
    return errors.CorruptFileError(
        path, f"its reader failed ({text})", "The file is most likely damaged; copy it again."
    )


def _map_behind(part: Any) -> mmap.mmap | None:
    """Return the mapped file of which an array is a view, if it is one."""
    while isinstance(part, np.ndarray):
        part = part.base
    return part if isinstance(part, mmap.mmap) else None


def _data_bytes() -> int:
    """Memory of this process that counts for RLIMIT_DATA."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return 1024 * int(line.split()[1])
    return 0


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the parent closes the pipe."""
    server = Server()
    for line in requests:
        header, payload = server.answer(json.loads(line))
        text = json.dumps(header).encode()
        answers.write(len(text).to_bytes(8, "little") + text)
        answers.write(payload)
        answers.flush()
        server.release()


def main() -> None:
    """Serve on stdin and stdout; what libraries print goes nowhere."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
