"""``friedel export``: a run for other programs."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from friedel.cli.progress import friendly_errors


class Format(StrEnum):
    """Formats that a run can be exported to."""

    HSPY = "hspy"
    TIFF = "tiff"
    ANG = "ang"
    CSV = "csv"
    PDF = "pdf"
    NETCDF = "netcdf"


def export(
    run: Annotated[Path, typer.Argument(help="Run folder, the --out of friedel map.")],
    to: Annotated[
        Format,
        typer.Option(
            help="hspy: HyperSpy; netcdf: xarray; tiff: ImageJ, DigitalMicrograph; ang: orix, MTEX; csv: tables; "
            "pdf: a report to print."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write, a folder for tiff and csv; default: beside the run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write the maps of a run for another program."""
    with friendly_errors(debug=debug):
        from friedel.pipeline.export import export_run

        path = export_run(run, to.value, out)
        typer.echo(json.dumps({"out": str(path), "to": to.value}) if as_json else str(path))
