"""``friedel info``, ``virtual`` and ``spots``: one step each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from friedel.cli.parsing import float_pair, int_pair
from friedel.cli.progress import friendly_errors, progress_bars

if TYPE_CHECKING:
    from friedel.core.images import PatternScan
    from friedel.io import ReadOptions

File = Annotated[str, typer.Argument(metavar="FILE", help="File of any known format.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Step = Annotated[float | None, typer.Option(help="1/Å per detector pixel, where the file lacks it.")]
Shape = Annotated[str | None, typer.Option(help="Positions NY,NX, where the file lacks them.")]
ScanStep = Annotated[float | None, typer.Option(help="Distance of positions, nm.")]
Energy = Annotated[float | None, typer.Option(help="Beam energy, keV.")]
Annulus = Annotated[str, typer.Option(help="Ring LO,HI in 1/Å.")]

#: Options for facts without which a file can be mapped all the same.
_MAY_STAY_UNKNOWN = ("--energy-kev", "--scan-step-nm", "--frame-time-s")


def info(
    path: File,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    debug: Debug = False,
) -> None:
    """Show what a file holds, what it lacks, and which option supplies it."""
    from friedel.io import inspect

    with friendly_errors(debug=debug):
        found = inspect(path)
    if as_json:
        axes = [{"name": a.name, "size": a.size, "scale": a.scale, "unit": a.unit} for a in found.axes]
        typer.echo(
            json.dumps(
                {
                    "path": str(found.path),
                    "format": found.format_name,
                    "kind": found.kind,
                    "shape": list(found.shape),
                    "dtype": found.dtype,
                    "axes": axes,
                    "energy_kev": found.energy_kev,
                    "missing": [list(item) for item in found.missing],
                    "notes": list(found.notes),
                }
            )
        )
        return
    typer.echo(f"{found.path}\n  format   {found.format_name}\n  kind     {found.kind}")
    typer.echo(f"  shape    {' x '.join(map(str, found.shape))}, {np.dtype(found.dtype).name}")
    for axis in found.axes:
        typer.echo(f"  axis     {axis.name or '?':4} {axis.size:6d}  {_scale_text(axis.scale, axis.unit)}")
    typer.echo(f"  energy   {'not stated' if found.energy_kev is None else f'{found.energy_kev:g} keV'}")
    for what, option in found.missing:
        mark, advice = ("unknown", "not needed; to state it,") if option in _MAY_STAY_UNKNOWN else ("missing", "pass")
        typer.echo(f"  {mark}  {what}: {advice} {option}")
    if any(option == "--pixel-size-a" for _, option in found.missing):
        typer.echo("  note     If this is a diffraction pattern, map it with --kind scan --step-inv-a instead.")
    for note in found.notes:
        typer.echo(f"  note     {note}")


def _scale_text(scale: float | None, unit: str | None) -> str:
    """Step of an axis in the file's unit; reciprocal lengths, which have many spellings, in 1/Å."""
    from friedel.core.units import is_reciprocal_length, reciprocal_length_inv_a

    if scale is None or not unit:
        return "no calibration"
    if is_reciprocal_length(unit):
        return f"{reciprocal_length_inv_a(scale, unit):.6g} 1/Å per px"
    return f"{scale:.6g} {unit} per px"


def virtual(
    path: File,
    annulus_inv_a: Annulus,
    out: Annotated[Path, typer.Option("--out", help="Picture to write: .tif (calibrated), .png or .npy.")],
    step_inv_a: Step = None,
    scan_shape: Shape = None,
    scan_step_nm: ScanStep = None,
    energy_kev: Energy = None,
    debug: Debug = False,
) -> None:
    """Make a virtual image of a scan: the light in an annulus about the fitted beam."""
    with friendly_errors(debug=debug):
        from friedel.core.errors import naming
        from friedel.patterns.survey import survey_scan
        from friedel.pipeline.pictures import write_virtual_image

        require_new(out)
        annulus = float_pair(annulus_inv_a) or (0.0, 0.0)
        scan = read_scan(path, scan_options(step_inv_a, scan_shape, scan_step_nm, energy_kev))
        with progress_bars(quiet=False) as progress, naming(path):
            survey = survey_scan(scan, annulus_inv_a=annulus, progress=lambda d, t: progress("virtual image", d, t))
        write_virtual_image(out, survey)
        typer.echo(out)


def spots(
    path: File,
    annulus_inv_a: Annulus,
    out: Annotated[Path, typer.Option("--out", help="Spot table to write, a .zarr folder.")],
    step_inv_a: Step = None,
    scan_shape: Shape = None,
    scan_step_nm: ScanStep = None,
    energy_kev: Energy = None,
    debug: Debug = False,
) -> None:
    """Find the spots of a scan."""
    with friendly_errors(debug=debug):
        from friedel.core.errors import naming
        from friedel.pipeline.runs.files import write_spots
        from friedel.pipeline.scans.result import ScanOptions
        from friedel.pipeline.scans.road import find_scan_spots

        require_new(out)
        annulus = float_pair(annulus_inv_a) or (0.0, 0.0)
        scan = read_scan(path, scan_options(step_inv_a, scan_shape, scan_step_nm, energy_kev))
        with progress_bars(quiet=False) as progress, naming(path):
            table = find_scan_spots(scan, replace(ScanOptions(), annulus_inv_a=annulus), progress=progress)
        write_spots(out, table)
        typer.echo(f"{len(table)} spots in {table.n_patterns} patterns: {out}")


def require_new(*paths: Path | None) -> None:
    """Raise RunFolderError if something is there already, such as the data that were measured."""
    from friedel.core.errors import RunFolderError

    for path in paths:
        if path is not None and path.exists():
            raise RunFolderError(f"{path} exists already. Choose another name, or remove it.")


def scan_options(
    step_inv_a: float | None, scan_shape: str | None, scan_step_nm: float | None, energy_kev: float | None
) -> ReadOptions:
    """Return what the user states of a scan."""
    from friedel.io import ReadOptions

    return ReadOptions(
        kind="scan",
        step_inv_a=step_inv_a,
        scan_shape=int_pair(scan_shape),
        scan_step_nm=scan_step_nm,
        energy_kev=energy_kev,
    )


def read_scan(path: str, options: ReadOptions) -> PatternScan:
    """Read a file as a scan."""
    from friedel.core.images import PatternScan
    from friedel.io import read

    scan = read(path, options)
    assert isinstance(scan, PatternScan)
    return scan
