"""Runs in the formats of other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from friedel.core.errors import RunFolderError, UnsupportedFileError
from friedel.io.maps.hspy import to_hspy
from friedel.io.maps.netcdf import to_netcdf
from friedel.io.maps.tiff import to_tiff
from friedel.io.maps.types import MapSet
from friedel.io.writing import atomic
from friedel.pipeline.runs.folder import writing_to
from friedel.pipeline.runs.maps import maps_of_run
from friedel.pipeline.runs.orientations import orientations_of_run
from friedel.pipeline.runs.pdf import write_run_pdf
from friedel.pipeline.runs.tables import write_tables
from friedel.report.orientation_map import to_ang

#: What is added to the name of a run; formats of several files make a folder.
ENDINGS = {"hspy": ".hspy", "tiff": "-tiff", "ang": ".ang", "csv": "-csv", "pdf": ".pdf", "netcdf": ".nc"}


def export_run(run: str | Path, to: str, out: str | Path | None = None) -> Path:
    """Write a finished run for another program.

    Parameters
    ----------
    to
        "hspy", "netcdf", "tiff" (a folder), "ang", "csv" (a folder) or "pdf".
    out
        File or folder to write; None takes the name of the run and puts it beside the run.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    UnsupportedFileError
        For another format.
    RunFolderError
        If ``run`` is no finished run, or ``out`` exists or cannot be written; nothing half written is left.
    DataError, CalibrationError
        If the run has not what the format is for.
    """
    run = Path(run)
    if to not in ENDINGS:
        raise UnsupportedFileError(run, f"runs are not exported as {to!r}", f"Choose one of {', '.join(ENDINGS)}.")
    maps = maps_of_run(run)
    folder = run.resolve()
    path = folder.with_name(folder.name + ENDINGS[to]) if out is None else Path(out)
    if path.exists():
        raise RunFolderError(f"{path} exists already. Choose another --out, or remove it.")
    if not path.parent.is_dir():
        raise RunFolderError(f"{path.parent} does not exist. Make that folder, or choose another --out.")
    with writing_to(path):
        _WRITERS[to](path, run, maps)
    return path


def _write_pictures(path: Path, run: Path, maps: MapSet) -> None:
    """Write a TIFF per map; of labels, which ImageJ holds up to 24 phases, the presence says the same."""
    with atomic(path) as temporary:
        temporary.mkdir()
        for image in maps.images:
            if image.name == "label" and int(image.data.max(initial=np.uint32(0))) > 2**24:
                continue
            to_tiff(temporary / f"{image.name}.tif", image)


def _write_tables(path: Path, run: Path, maps: MapSet) -> None:
    with atomic(path) as temporary:
        write_tables(temporary, run, maps)


_WRITERS: dict[str, Callable[[Path, Path, MapSet], None]] = {
    "hspy": lambda path, run, maps: to_hspy(path, maps),
    "netcdf": lambda path, run, maps: to_netcdf(path, maps),
    "tiff": _write_pictures,
    "csv": _write_tables,
    "ang": lambda path, run, maps: to_ang(path, orientations_of_run(run, maps)),
    "pdf": lambda path, run, maps: write_run_pdf(path, run, maps),
}
