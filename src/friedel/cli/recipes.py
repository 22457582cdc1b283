"""``friedel recipe``: new, check, schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from friedel.cli.parsing import phase_list
from friedel.cli.progress import friendly_errors

app = typer.Typer(help="Recipes: a whole analysis as one TOML file.", no_args_is_help=True)


@app.command()
def new(
    path: Annotated[Path, typer.Argument(help="Recipe to write.")],
    input_file: Annotated[str, typer.Option("--input", help="File to analyse, relative to the recipe.")],
    phases: Annotated[str, typer.Option(help="Phases: library names or .cif files, with commas.")],
) -> None:
    """Write a recipe with every default spelt out; an existing file is left alone."""
    from friedel.pipeline.recipe import dump_recipe, parse_recipe

    with friendly_errors(debug=False):
        text = dump_recipe(parse_recipe({"input": input_file, "phases": phase_list(phases)}))
        try:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            typer.echo(f"error: {path}: cannot be written ({error.strerror}). Choose another name.", err=True)
            raise typer.Exit(1) from None


@app.command()
def check(path: Annotated[Path, typer.Argument(help="Recipe to check.")]) -> None:
    """Check a recipe: every key, type and range, and that its phases exist."""
    from friedel.pipeline.recipe import load_recipe, phases_of

    with friendly_errors(debug=False):
        phases_of(load_recipe(path))
        typer.echo(f"{path}: good")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe."""
    from friedel.pipeline.recipe import schema as json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
