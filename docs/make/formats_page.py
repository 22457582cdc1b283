"""Write docs/reference/formats.md: what friedel makes of every file in a folder of samples.

Usage: python docs/make/formats_page.py FOLDER [OUTPUT]
"""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from friedel.core.errors import FileError
from friedel.io import inspect
from friedel.io.describe import Axis
from friedel.io.formats import FORMATS

COMPANIONS = {".txt", ".csv", ".md"}

HEAD = """# Formats that friedel reads

Made by `docs/make/formats_page.py` on {date} with friedel {friedel}, rosettasciio {rosettasciio}, Python {python}.

{formats}

A folder of images of one kind is a series; a folder with a zarr array or group in it is opened as zarr.
Where a calibration is missing, reading stops with an error that names the option in the last column
(the beam energy, the scan step and the time per frame may stay unknown).

## Samples

{good} of {all} sample files open; the others are refused for the reason given.

| file | format | kind | shape | last axes | energy | missing, or why it is refused |
|---|---|---|---|---|---|---|
"""


def samples(folder: Path) -> list[Path]:
    """List the files of a folder and, as one entry each, its zarr folders; texts that accompany data are left out."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.suffix not in (".zspy", ".zarr"):
            found += samples(path)
        elif path.suffix.lower() not in COMPANIONS:
            found.append(path)
    return found


def row(path: Path, folder: Path) -> tuple[bool, str]:
    """Return whether a file opens, and its row of the table."""
    name = path.relative_to(folder)
    try:
        info = inspect(path)
    except FileError as error:
        kind = type(error).__name__.removesuffix("Error").removesuffix("File")
        reason = f"{kind}: {error.problem}. {error.remedy}".replace(f"{folder.absolute()}/", "").replace("|", "\\|")
        return False, f"| {name} | | | | | | {reason} |"
    scale = " , ".join(shown(axis) for axis in info.axes[-2:])
    energy = f"{info.energy_kev:g} keV" if info.energy_kev else ""
    lacks = ", ".join(f"{what} `{option}`" for what, option in info.missing)
    return True, f"| {name} | {info.format_name} | {info.kind} | {info.shape} | {scale} | {energy} | {lacks} |"


def shown(axis: Axis) -> str:
    """Write the scale of an axis."""
    return f"{axis.scale:.5g} {axis.unit or '(no unit)'}" if axis.scale is not None else "not stated"


def main(folder: Path, output: Path) -> None:
    """Write the table."""
    rows = [row(path, folder) for path in samples(folder)]
    formats = "\n".join(f"- {entry.name}: {', '.join(entry.suffixes)}" for entry in FORMATS)
    head = HEAD.format(
        date=datetime.now(UTC).date(),
        friedel=version("friedel"),
        rosettasciio=version("rosettasciio"),
        python=platform.python_version(),
        formats=formats,
        good=sum(is_good for is_good, _ in rows),
        all=len(rows),
    )
    output.write_text(head + "\n".join(line for _, line in rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    page = Path(__file__).parents[1] / "reference" / "formats.md"
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else page)
