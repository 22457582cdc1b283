"""``friedel evaluate``: a run against a truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from friedel.cli.progress import friendly_errors

if TYPE_CHECKING:
    from friedel.report.tables import Table


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, the --out of friedel map.")],
    truth: Annotated[Path, typer.Option(help="Truth: a phase_map.zarr, or a run folder with one.")],
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json and evaluation.html.")] = None,
    min_probability: Annotated[
        float | None, typer.Option(min=0, max=1, help="Presence from which on a phase is named; default: the run's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Compare a run with a truth: accuracy, F1 and IoU of each phase, kappa, and whether presence is calibrated."""
    with friendly_errors(debug=debug):
        from friedel.pipeline.evaluate import evaluate_run, record_of, write_evaluation
        from friedel.report.evaluation import confusion_table, overall_table, phase_table

        result = evaluate_run(run, truth, min_probability)
        if out is not None:
            write_evaluation(out, result, title=f"{run.name} against {truth.name}")
        if as_json:
            typer.echo(json.dumps(record_of(result)))
            return
        for table in (overall_table(result.evaluation), phase_table(result.evaluation)):
            typer.echo(_text(table))
        typer.echo("rows: what is there, columns: what the map says")
        typer.echo(_text(confusion_table(result.evaluation)))
        if out is not None:
            typer.echo(f"report: {out / 'evaluation.html'}")


def _text(table: Table) -> str:
    """Columns of text, numbers to the right."""
    rows = [table.header, *map(table.texts, table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    lines = ("  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))) for row in rows)
    return "\n".join(lines) + "\n"
