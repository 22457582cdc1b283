"""``friedel calibrate``: centre, descan, scale and ellipse of a scan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from friedel.cli.files import Debug, Energy, File, ScanStep, Shape, Step, read_scan, require_new, scan_options
from friedel.cli.parsing import phase_list
from friedel.cli.progress import friendly_errors, progress_bars


def calibrate(
    path: File,
    standard: Annotated[
        str | None, typer.Option(help="Polycrystalline standard whose rings the patterns show: a phase or .cif file.")
    ] = None,
    phases: Annotated[
        str | None, typer.Option(help="Phases known to be in the scan as single crystals, with commas.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="TOML file to write, for friedel map --calibration.")
    ] = None,
    step_inv_a: Step = None,
    scan_shape: Shape = None,
    scan_step_nm: ScanStep = None,
    energy_kev: Energy = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    debug: Debug = False,
) -> None:
    """Find centre and descan, and scale and ellipse from a standard or a known phase, each with its error."""
    with friendly_errors(debug=debug):
        from friedel.core.errors import naming
        from friedel.crystal import load_phase, load_phases
        from friedel.pipeline.scans.calibrate import calibrate_scan, write_calibration

        require_new(out)
        names = phase_list(phases)
        scan = read_scan(path, scan_options(step_inv_a, scan_shape, scan_step_nm, energy_kev))
        with progress_bars(quiet=quiet or as_json) as progress, naming(path):
            found = calibrate_scan(
                scan,
                standard=load_phase(standard) if standard else None,
                phases=load_phases(names) if names else None,
                progress=progress,
            )
        if out is not None:
            write_calibration(out, found, Path(path).name)
        if as_json:
            typer.echo(json.dumps(found.entries))
            return
        for name, entry in found.entries.items():
            typer.echo(f"{name:>20}  {_text(entry)}")
        if not (standard or names):
            typer.echo("scale and ellipse are as stored; --standard or --phases names what can tell them")
        if out is not None:
            typer.echo(f"written: {out}")


def _text(entry: dict[str, Any]) -> str:
    """Value, error and source."""
    values = entry["value"] if isinstance(entry["value"], list) else [entry["value"]]
    sigma = "" if entry["sigma"] is None else f" ± {entry['sigma']:.2g}"
    return f"{', '.join(f'{value:.6g}' for value in values)}{sigma}  ({entry['source']})"
