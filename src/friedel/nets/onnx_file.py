"""Looking into an ONNX file before it is run: no pickle, no zip, and no data from other files.

An ONNX file is a protocol buffer: a row of fields, each a tag and a value. Tag = 8 * number + kind, with kind 0 a
variable-length integer, 1 eight bytes, 2 a length and so many bytes, 5 four bytes
(https://protobuf.dev/programming-guides/encoding). Field numbers are those of onnx.proto of ONNX 1.18.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from friedel.core.errors import CorruptFileError, FileTooLargeError, UnsupportedFileError

MAX_BYTES = 512 * 2**20
_MAX_DEPTH = 64
#: First bytes of what is no ONNX file; the first two can run code when they are opened.
_MAGIC = (
    (b"PK\x03\x04", "a zip, as PyTorch saves pickles in"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x1f\x8b", "a gzip"),
    (b"<", "a page of HTML or XML"),
)
#: Fields of each message that hold messages, by number: those through which a tensor is reached.
_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def require_plain_onnx(data: bytes, path: Path) -> None:
    """Refuse what is no ONNX file, and an ONNX file that takes data from elsewhere.

    Raises
    ------
    UnsupportedFileError
        If the file is of another format, or names external data.
    CorruptFileError, FileTooLargeError
        If it is no sound protocol buffer, or larger than 512 MiB.
    """
    if len(data) > MAX_BYTES:
        raise FileTooLargeError(path, f"it holds {len(data)} bytes, more than {MAX_BYTES}", "Use a smaller network.")
    for magic, what in _MAGIC:
        if data.startswith(magic):
            raise UnsupportedFileError(
                path, f"it is {what}, not ONNX, and is not opened", "Export the network as ONNX."
            )
    try:
        if _has_external_data(memoryview(data), "model", 0):
            remedy = "Export it as one file, with its weights inside."
            raise UnsupportedFileError(path, "it takes data from outside of itself, which is refused", remedy)
    except (IndexError, ValueError) as error:
        raise CorruptFileError(path, f"it is no sound ONNX file ({error})", "Fetch it anew.") from error


def _has_external_data(message: memoryview, kind: str, depth: int) -> bool:
    """Whether a tensor in a message lies outside of the file."""
    if depth > _MAX_DEPTH:
        raise ValueError("its graphs are nested too deep")
    for number, value in _fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return True
        elif number in _MESSAGES[kind]:
            if not isinstance(value, memoryview):
                raise ValueError(f"field {number} of a {kind} is a number")
            if _has_external_data(value, _MESSAGES[kind][number], depth + 1):
                return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message."""
    at = 0
    while at < len(message):
        tag, at = _integer(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _integer(message, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _integer(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field is of the unknown kind {kind}")
        if at + size > len(message):
            raise ValueError("a field reaches beyond the end")
        yield number, message[at : at + size]
        at += size


def _integer(message: memoryview, at: int) -> tuple[int, int]:
    """Return a variable-length integer, and where the next value begins."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("an integer is too long")
