"""``friedel simulate``: labelled synthetic data."""

from __future__ import annotations

import typer

from friedel.cli.simulate_dataset import dataset
from friedel.cli.simulate_diffraction import patterns, scan
from friedel.cli.simulate_micrograph import micrograph, series

app = typer.Typer(help="Make labelled synthetic data.", no_args_is_help=True)
app.command("patterns")(patterns)
app.command("scan")(scan)
app.command("dataset")(dataset)
app.command("micrograph")(micrograph)
app.command("series")(series)
