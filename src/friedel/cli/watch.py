"""``friedel watch``: files are mapped as the microscope's computer finishes them."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from friedel.cli.batch import say_entry
from friedel.cli.map import Debug, Jobs, Json, Quiet, Scheduler, calibrated, make_recipe, run_options
from friedel.cli.parsing import int_pair, phase_list
from friedel.cli.progress import BY_ITSELF, friendly_errors

if TYPE_CHECKING:
    from friedel.pipeline.batches.batch import BatchEntry


def watch_command(
    folder: Annotated[Path, typer.Argument(help="Folder into which the microscope's computer writes.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the runs, and for the page that shows them.")],
    phases: Annotated[str | None, typer.Option(help="Phases: library names or .cif files, with commas.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Start from this recipe; options override it.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Scans: a file by friedel calibrate.")] = None,
    kind: Annotated[str | None, typer.Option(help="scan, micrograph or series, where files leave it open.")] = None,
    energy_kev: Annotated[float | None, typer.Option(help="Beam energy, keV.")] = None,
    step_inv_a: Annotated[float | None, typer.Option(help="Scans: 1/Å per detector pixel.")] = None,
    scan_shape: Annotated[str | None, typer.Option(help="Scans: positions NY,NX.")] = None,
    pixel_size_a: Annotated[float | None, typer.Option(help="Micrographs: Å per pixel.")] = None,
    poll_s: Annotated[float, typer.Option(min=0.1, help="Seconds from look to look.")] = 2.0,
    settle_s: Annotated[float, typer.Option(min=0.1, help="Seconds that a file must stay the same.")] = 5.0,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Map files as they appear in a folder, until Ctrl-C; the same command goes on where it was."""
    with friendly_errors(debug=debug, go_on=BY_ITSELF):
        from friedel.pipeline.batches.watch import WatchOptions, watch
        from friedel.pipeline.recipe import phases_of

        settings = calibrated(
            calibration,
            {"phases": phase_list(phases), "read.kind": kind, "read.energy_kev": energy_kev,
             "read.step_inv_a": step_inv_a, "read.scan_shape": int_pair(scan_shape),
             "read.pixel_size_a": pixel_size_a},
        )  # fmt: skip
        phases_of(make_recipe(str(folder), recipe, settings))  # a wrong name is wrong for every file
        looks = max(2, math.ceil(settle_s / poll_s) + 1)
        how = WatchOptions(poll_s, looks, max(looks, math.ceil(60.0 / poll_s)))

        def tell(entry: BatchEntry) -> None:
            say_entry(entry, out, as_json=as_json, quiet=quiet)

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if not quiet and not as_json:
            typer.echo(f"watching {folder}; the page: {out / 'report.html'}; Ctrl-C stops", err=True)
        try:
            watch(folder.absolute(), out, lambda path: make_recipe(path, recipe, settings),
                  run_options(jobs, scheduler, resume=True), how, tell=tell)  # fmt: skip
        except KeyboardInterrupt:
            typer.echo(f"stopped; {BY_ITSELF}", err=True)
