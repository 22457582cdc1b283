"""``friedel demo``: simulate, map and compare, in under two minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from friedel.cli.progress import friendly_errors, progress_bars


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("friedel-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Simulate an NMC811 scan and an SEI micrograph, map both, and print where the reports are."""
    from friedel.pipeline.demo import run_demo

    with friendly_errors(debug=debug), progress_bars(quiet=False) as progress:
        results = run_demo(out, seed, progress)
    for result in results:
        typer.echo(f"\n{result.title}\n  repeat   {result.command}\n  report   {result.report}")
        for line in result.agreement:
            typer.echo(f"  truth    {line}")
