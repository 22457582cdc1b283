"""The formats that friedel reads: suffix and first bytes decide which reader opens a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from friedel.core.errors import TruncatedFileError, UnsupportedFileError
from friedel.io.formats.common import COPY_AGAIN, Opened
from friedel.io.limits import Limits


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its name, suffixes, the first bytes of its files (none: any), and the module that opens it."""

    name: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    module: str


_HDF5 = (b"\x89HDF\r\n\x1a\n",)
_ZIP = (b"PK\x03\x04",)

FORMATS = (
    Format("Digital Micrograph", (".dm3", ".dm4"), (b"\x00\x00\x00\x03", b"\x00\x00\x00\x04"), "dm"),
    Format("MRC", (".mrc", ".mrcs"), (), "mrc"),
    Format("NanoMEGAS block file", (".blo",), (b"IMGBLO",), "blo"),
    Format("Merlin", (".mib",), (b"MQ1,",), "mib"),
    Format("TIA", (".ser",), (b"II\x97\x01",), "ser"),
    Format("TVIPS", (".tvips",), (), "tvips"),
    Format("EMPAD", (".raw", ".xml"), (), "empad"),
    Format("HDF5", (".hspy", ".h5", ".hdf5", ".emd", ".nxs"), _HDF5, "hdf5"),
    Format("Panta Rhei", (".prz",), _ZIP, "prz"),
    Format("zipped zarr", (".zspy", ".zarr"), _ZIP, "zarrs"),
    Format("TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "tiff"),
    Format("picture", (".png", ".bmp"), (b"\x89PNG\r\n\x1a\n", b"BM"), "picture"),
    Format("numpy", (".npy",), (b"\x93NUMPY",), "npy"),
)

_HINTS = {
    ".zip": "Unpack it first, and name the file inside.",
    ".npz": "Save the one array in it as .npy.",
    ".emi": "Name the .ser file that lies beside it.",
    ".cif": "It holds a structure: name it among the phases.",
    ".hdr": "Name the .mib file that lies beside it.",
    ".seq": "Save it as .mrc or .tif in the DE software.",
}


def known_suffixes() -> str:
    """List the suffixes that friedel reads."""
    return ", ".join(suffix for known in FORMATS for suffix in known.suffixes)


def find_format(path: Path) -> Format:
    """Find the format of a file from its suffix and first bytes; UnsupportedFileError if they do not fit."""
    suffix = path.suffix.lower()
    found = next((known for known in FORMATS if suffix in known.suffixes), None)
    if found is None:
        hint = _HINTS.get(suffix, f"friedel reads {known_suffixes()}, zarr folders and folders of images.")
        raise UnsupportedFileError(path, f"files named *{suffix or path.name} are not read", hint)
    with path.open("rb") as stream:
        head = stream.read(16)
    if not head:
        raise TruncatedFileError(path, "it is empty", COPY_AGAIN)
    if found.magic and not head.startswith(found.magic):
        raise UnsupportedFileError(
            path, f"it is named {suffix} but does not begin like one ({found.name})", "Give it its right suffix."
        )
    return found


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a file or folder: check what it promises, and describe it."""
    if path.is_dir():
        is_zarr = any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))
        name = "zarrs" if is_zarr else "folder"
    else:
        name = find_format(path).module
    opener: Callable[[Path, Limits], Opened] = import_module(f"friedel.io.formats.{name}").open_file
    return opener(path, limits)
