"""``friedel phases``: the phase library on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from friedel.cli.phases_fetch import fetch
from friedel.cli.progress import friendly_errors
from friedel.core.errors import CrystalError
from friedel.crystal import (
    Crystal,
    add_phase,
    chemical_formula,
    density_g_cm3,
    load_phase,
    phase_names,
    reflections,
    zone_net,
)

app = typer.Typer(help="The phase library: CIF files by name, their cells and reflections.", no_args_is_help=True)

app.command("fetch")(fetch)

Name = Annotated[str, typer.Argument(help="Name in the library, or path to a .cif file.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.command("list")
def list_phases(
    search: Annotated[str, typer.Option(help="Show only phases with this text in name, formula or symmetry.")] = "",
    as_json: Json = False,
) -> None:
    """List the phases of the library."""
    with friendly_errors(debug=False):
        rows = [_summary(load_phase(name)) for name in phase_names()]
    wanted = [row for row in rows if search.lower() in " ".join(str(value) for value in row.values()).lower()]
    if as_json:
        typer.echo(json.dumps(wanted))
        return
    table = Table("name", "formula", "space group", "a, b, c (Å)", "angles (deg)")
    for row in wanted:
        lengths, angles = (" ".join(f"{x:g}" for x in part) for part in (row["cell"][:3], row["cell"][3:]))
        table.add_row(row["name"], row["formula"], f"{row['space_group']} ({row['number']})", lengths, angles)
    Console().print(table)


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show cell, space group, sites and source of a phase."""
    with friendly_errors(debug=False):
        crystal = load_phase(name)
    facts = _summary(crystal) | {
        "crystal_system": crystal.crystal_system,
        "volume_a3": round(crystal.volume_a3, 4),
        "density_g_cm3": round(density_g_cm3(crystal), 4),
        "source": crystal.source,
    }
    sites = [
        {"label": s.label, "element": s.element, "xyz": s.fract_xyz, "occupancy": s.occupancy, "b_iso_a2": s.b_iso_a2}
        for s in crystal.sites
    ]
    if as_json:
        typer.echo(json.dumps(facts | {"sites": sites}))
        return
    table = Table("site", "element", "x", "y", "z", "occupancy", "B (Å²)")
    for s in crystal.sites:
        table.add_row(s.label, s.element, *(f"{x:.5g}" for x in (*s.fract_xyz, s.occupancy, s.b_iso_a2)))
    console = Console()
    for key, value in facts.items():
        text = " ".join(f"{x:g}" for x in value) if key == "cell" else value
        console.print(f"{key:15s} {text}", markup=False, highlight=False)
    console.print(table)


@app.command("reflections")
def list_reflections(
    name: Name,
    d_min_a: Annotated[float, typer.Option(help="Smallest d-spacing in Å.")] = 0.8,
    zone: Annotated[str, typer.Option(metavar="U,V,W", help="Only the reflections of this zone axis.")] = "",
    as_json: Json = False,
) -> None:
    """List the reflections of a phase, longest d-spacing first."""
    with friendly_errors(debug=False):
        crystal = load_phase(name)
        rows = _zone_rows(crystal, zone, d_min_a) if zone else _family_rows(crystal, d_min_a)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(*(rows[0] if rows else ("hkl",)), title=f"{crystal.name} {zone and f'[{zone}]'}".rstrip())
    for row in rows:
        table.add_row(*(_cell_text(value) for value in row.values()))
    Console().print(table)


@app.command()
def add(
    cif: Annotated[Path, typer.Argument(help="CIF file with one structure.")],
    name: Annotated[str | None, typer.Option(help="Name in the library; by default the file's.")] = None,
) -> None:
    """Check a CIF file and copy it into your own library."""
    with friendly_errors(debug=False):
        crystal = add_phase(cif, name)
    typer.echo(f"{crystal.name}: {chemical_formula(crystal)}, {crystal.space_group}")


def _summary(crystal: Crystal) -> dict[str, Any]:
    return {
        "name": crystal.name,
        "formula": chemical_formula(crystal),
        "space_group": crystal.space_group.symbol,
        "number": crystal.space_group.number,
        "cell": crystal.cell,
    }


def _family_rows(crystal: Crystal, d_min_a: float) -> list[dict[str, Any]]:
    table = reflections(crystal, d_min_a)
    columns = zip(table.hkl, table.d_a, table.relative_f2, table.multiplicity, strict=True)
    return [
        {"hkl": h.tolist(), "d_a": float(d), "g_inv_a": float(1 / d), "relative_f2": float(f), "multiplicity": int(m)}
        for h, d, f, m in columns
    ]


def _zone_rows(crystal: Crystal, zone: str, d_min_a: float) -> list[dict[str, Any]]:
    if not d_min_a > 0:
        raise CrystalError(f"d_min_a must be a positive length in Å, got {d_min_a}. Pass --d-min-a, e.g. 0.8.")
    net = zone_net(crystal, _indices(zone), 1.0 / d_min_a)
    share = net.f2 / max(float(net.f2.max(initial=0.0)), np.finfo(float).tiny)
    azimuth = np.degrees(np.arctan2(net.k_inv_a[:, 0], net.k_inv_a[:, 1]))
    columns = zip(net.hkl, net.d_a, share, azimuth, net.is_extinct, strict=True)
    return [
        {"hkl": h.tolist(), "d_a": float(d), "g_inv_a": float(1 / d), "relative_f2": float(f),
         "azimuth_deg": float(phi), "is_extinct": bool(extinct)}
        for h, d, f, phi, extinct in columns
    ]  # fmt: skip


def _indices(zone: str) -> tuple[int, int, int]:
    try:
        u, v, w = (int(part) for part in zone.split(","))
    except ValueError:
        raise CrystalError(f"--zone must be three whole numbers such as 0,0,1, got {zone!r}.") from None
    return u, v, w


def _cell_text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(index) for index in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
