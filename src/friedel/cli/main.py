"""The ``friedel`` command."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from friedel.cli import (
    calibrate,
    demo,
    evaluate,
    export,
    files,
    gui,
    map,  # noqa: A004 - the verb's own name
    networks,
    phases,
    recipes,
    simulate,
    watch,
)

app = typer.Typer(
    help="Which phases are where in this sample, and how sure are we?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("map")(map.map_command)
app.command("run")(map.run_command)
app.command("watch")(watch.watch_command)
app.command("info")(files.info)
app.command("calibrate")(calibrate.calibrate)
app.command("virtual")(files.virtual)
app.command("spots")(files.spots)
app.command("denoise")(networks.denoise)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("gui")(gui.gui)
app.command("demo")(demo.demo)
app.add_typer(recipes.app, name="recipe")
app.add_typer(phases.app, name="phases")
app.add_typer(simulate.app, name="simulate")
app.add_typer(networks.train_app, name="train")
app.command("tune")(networks.tune_command)
app.add_typer(networks.weights_app, name="weights")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"friedel {version('friedel')}")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Which phases are where in this sample, and how sure are we?"""
