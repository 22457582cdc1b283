"""``friedel simulate dataset``: pairs of clean and noisy patterns for training."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from friedel.cli.parsing import int_pair
from friedel.cli.progress import WITH_RESUME, friendly_errors, progress_bars


def dataset(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    materials: Annotated[int, typer.Option(min=1, help="Number of materials.")] = 435,
    zones: Annotated[int, typer.Option(min=1, help="Largest number of zone axes per material.")] = 60,
    cifs: Annotated[
        Path | None, typer.Option("--cifs", help="Folder of CIF files to take all materials from.", metavar="FOLDER")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    shape: Annotated[str, typer.Option(metavar="KY,KX", help="Pixels of a pattern.")] = "128,128",
    step_inv_a: Annotated[
        float | None, typer.Option(help="1/Å per pixel of all patterns; drawn for each if not given.")
    ] = None,
    scattering: Annotated[str, typer.Option(help="kinematic, two-beam or bloch.")] = "two-beam",
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted set.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write pairs of clean and noisy diffraction patterns, one for each zone axis of each material."""
    pattern_shape = int_pair(shape)
    with friendly_errors(debug=debug, go_on=WITH_RESUME), progress_bars(quiet=quiet) as progress:
        from friedel.pipeline.workers import workers
        from friedel.simulate.training.dataset import PairOptions
        from friedel.simulate.training.materials import load_materials, select_materials
        from friedel.simulate.training.store import read_manifest, write_dataset

        options = PairOptions(
            seed=seed,
            zones=zones,
            shape=pattern_shape or (128, 128),
            step_inv_a=step_inv_a,
            scattering=scattering,  # type: ignore[arg-type]
        )
        chosen = load_materials(cifs) if cifs is not None else select_materials(load_materials(), materials)
        with workers(jobs, None) as executor:
            write_dataset(
                chosen,
                options,
                out,
                resume=resume,
                executor=executor,
                progress=lambda done, total: progress("materials", done, total),
            )
        pairs = read_manifest(out)
    splits = {split: sum(p["split"] == split for p in pairs) for split in ("train", "validation", "test")}
    fewer = sum(sum(p["material"] == m.name for p in pairs) < zones for m in chosen)
    if as_json:
        facts = {"out": str(out), "pairs": len(pairs), "materials": len(chosen), "fewer_zones": fewer, **splits}
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    typer.echo(
        f"{out}: {len(pairs)} pairs of {len(chosen)} materials ({', '.join(f'{n} {s}' for s, n in splits.items())})"
    )
    if fewer:
        typer.echo(f"{fewer} materials have fewer than {zones} zone axes that show two rows of reflections.")
