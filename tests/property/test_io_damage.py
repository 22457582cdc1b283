"""Damage at random places: a file ends in a typed error or gives an array of the promised shape."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from friedel.core.errors import FileError
from friedel.io.guard import GuardedArray, GuardedFile
from friedel.io.limits import Limits

IMAGE = np.arange(35, dtype=np.uint16).reshape(5, 7)


def make_files(folder: Path) -> dict[str, bytes]:
    """Make one small sound file of each of several formats."""
    np.save(folder / "a.npy", IMAGE)
    tifffile.imwrite(folder / "a.tif", IMAGE, compression="zlib")
    mrc = bytearray(1024)
    mrc[:16], mrc[64:76], mrc[208:214] = struct.pack("<4i", 7, 5, 1, 6), struct.pack("<3i", 1, 2, 3), b"MAP DD"
    blo = struct.pack("<6sH3I5H2dIHI", b"IMGBLO", 258, 90, 90, 0, 4, 0, 2, 1, 0, 1.0, 1.0, 200_000, 6226, 2000)
    mib = b"MQ1,000001,00384,01,0007,0005,U16,   1x1,".ljust(384)
    made = {".npy": (folder / "a.npy").read_bytes(), ".tif": (folder / "a.tif").read_bytes()}
    made |= {".mrc": bytes(mrc) + IMAGE.tobytes(), ".mib": mib + IMAGE.tobytes()}
    return made | {".blo": blo.ljust(90, b"\0") + bytes(2 * 22)}


with tempfile.TemporaryDirectory() as made_in:
    SOUND = make_files(Path(made_in))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(SOUND)), st.floats(0, 0.999), st.binary(min_size=1, max_size=4), st.booleans())
def test_damaged_file_is_refused_or_gives_what_it_promises(suffix: str, where: float, junk: bytes, cut: bool) -> None:
    sound = SOUND[suffix]
    at = int(where * len(sound))
    damaged = sound[:at] if cut else sound[:at] + junk + sound[at + len(junk) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"damaged{suffix}")
        path.write_bytes(damaged)
        try:
            array = GuardedArray(GuardedFile(path, Limits(memory_bytes=2**26, wall_s=10)))
            outcome: FileError | bool = np.asarray(array).shape == array.shape
        except FileError as error:
            outcome = error
    assert outcome is True or (type(outcome) is not FileError and isinstance(outcome, FileError) and outcome.remedy)
