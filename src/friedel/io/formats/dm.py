"""Digital Micrograph: friedel walks the tags and checks every promised byte, then rosettasciio reads the file.

Tag layout of DM3 and DM4: Chris Boothroyd's description, https://er-c.org/cbb/info/dmformat/.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from friedel.core.errors import CorruptFileError, TruncatedFileError
from friedel.io.formats import vendor
from friedel.io.formats.common import COPY_AGAIN, Opened
from friedel.io.limits import Limits

_BYTES = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 8: 1, 9: 1, 10: 1, 11: 8, 12: 8}
_STRUCT, _STRING, _ARRAY = 15, 18, 20
_END, _GROUP, _DATA = 0, 20, 21
_MAX_DEPTH = 64


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a .dm3 or .dm4 file after its tags were checked."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        TagWalk(path, data).walk()
    return vendor.open_file(path, limits)


class TagWalk:
    """One pass over all tags of a file; raises at the first that reaches beyond its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at = path, data, 0
        self.is_dm4 = False

    def walk(self) -> None:
        """Walk the header and the whole tree."""
        self.is_dm4 = self._take(">I") == 4
        self._word()
        self._take(">I")
        self._group(0)

    def _group(self, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise CorruptFileError(self.path, f"its tags are nested more than {_MAX_DEPTH} deep", COPY_AGAIN)
        self._skip(2)
        for _ in range(self._word()):
            kind, name_length = self._take(">B"), 0
            if kind == _END:
                return
            name_length = self._take(">H")
            self._skip(name_length + (8 if self.is_dm4 else 0))
            if kind == _GROUP:
                self._group(depth + 1)
            elif kind == _DATA:
                self._value()
            else:
                raise CorruptFileError(self.path, f"a tag of kind {kind} at byte {self.at} does not exist", COPY_AGAIN)

    def _value(self) -> None:
        """Skip one value by the size that its description promises."""
        self._skip(4)
        n_info = self._word()
        if n_info < 1:
            raise CorruptFileError(self.path, f"a value at byte {self.at} has no type", COPY_AGAIN)
        self._require(n_info * (8 if self.is_dm4 else 4))
        info = [self._word() for _ in range(n_info)]
        self._skip(self._size(info))

    def _size(self, info: list[int]) -> int:
        try:
            if info[0] == _STRUCT:
                return sum(_BYTES[code] for code in info[4::2])
            if info[0] == _STRING:
                return 2 * info[1]
            if info[0] == _ARRAY and info[1] == _STRUCT:
                return info[-1] * sum(_BYTES[code] for code in info[5:-1:2])
            if info[0] == _ARRAY:
                return info[-1] * _BYTES[info[1]]
            return _BYTES[info[0]]
        except (KeyError, IndexError):
            raise CorruptFileError(self.path, f"a value at byte {self.at} has type {info[:4]}", COPY_AGAIN) from None

    def _word(self) -> int:
        return self._take(">Q" if self.is_dm4 else ">I")

    def _take(self, layout: str) -> int:
        size = struct.calcsize(layout)
        self._require(size)
        value: int = struct.unpack_from(layout, self.data, self.at)[0]
        self.at += size
        return value

    def _skip(self, n_bytes: int) -> None:
        self._require(n_bytes)
        self.at += n_bytes

    def _require(self, n_bytes: int) -> None:
        if self.at + n_bytes > len(self.data):
            raise TruncatedFileError(
                self.path, f"its tags promise bytes up to {self.at + n_bytes}, it has {len(self.data)}", COPY_AGAIN
            )
