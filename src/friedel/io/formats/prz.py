"""Panta Rhei files: a zip of numpy arrays; their pickled metadata are never loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

from friedel.core.errors import TruncatedFileError, UnsupportedFileError
from friedel.io.formats import vendor
from friedel.io.formats.common import COPY_AGAIN, Opened, require_plausible
from friedel.io.limits import Limits


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a .prz file with rosettasciio, without its pickles."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as problem:
        raise TruncatedFileError(path, f"its directory is missing ({problem})", COPY_AGAIN) from None
    require_plausible(path, sum(member.file_size for member in members), path.stat().st_size, limits)
    try:
        return vendor.open_file(path, limits)
    except KeyError as problem:
        raise UnsupportedFileError(
            path, f"a Panta Rhei file of an older kind, without {problem}", "Export it as .hspy from Panta Rhei."
        ) from None
