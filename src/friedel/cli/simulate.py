"""``friedel simulate``: labelled synthetic data."""

from __future__ import annotations

import typer

app = typer.Typer(help="Make labelled synthetic data.", no_args_is_help=True)
