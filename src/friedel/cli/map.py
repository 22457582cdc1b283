"""``friedel map`` and ``friedel run``: from a file, or a recipe, to a run folder."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from friedel.cli.batch import inputs_of, map_many
from friedel.cli.kinds import warn_of_ignored
from friedel.cli.parsing import float_pair, index_range, int_pair, phase_list, rectangle
from friedel.cli.progress import WITH_RESUME, friendly_errors, progress_bars

if TYPE_CHECKING:
    from friedel.pipeline.recipe import Recipe
    from friedel.pipeline.run import RunOptions
    from friedel.pipeline.runs.files import Summary

Out = Annotated[Path, typer.Option("--out", help="Run folder to write; an earlier run there is replaced.")]
Jobs = Annotated[int, typer.Option(min=1, help="Local worker processes.")]
Scheduler = Annotated[str | None, typer.Option(help="Existing Dask scheduler, tcp://host:8786.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as one line of JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def map_command(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="A 4D-STEM scan, a micrograph or a series; or many, or a pattern like '*.mrc'."
        ),
    ],
    out: Out,
    phases: Annotated[str | None, typer.Option(help="Phases: library names or .cif files, with commas.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="Start from this recipe; options override it.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Scan: a file by friedel calibrate; options override it.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="scan, micrograph or series, where the file leaves it open.")] = None,
    energy_kev: Annotated[float | None, typer.Option(help="Beam energy, keV.")] = None,
    min_probability: Annotated[float | None, typer.Option(help="A phase is present from here on.  [0.5]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.  [0]")] = None,
    step_inv_a: Annotated[float | None, typer.Option(help="Scan: 1/Å per detector pixel.")] = None,
    centre: Annotated[str | None, typer.Option(help="Scan: transmitted beam KY,KX in px, not to be fitted.")] = None,
    scan_shape: Annotated[str | None, typer.Option(help="Scan: positions NY,NX.")] = None,
    scan_step_nm: Annotated[float | None, typer.Option(help="Scan: distance of positions, nm.")] = None,
    annulus_inv_a: Annotated[str | None, typer.Option(help="Scan: ring LO,HI in which spots are sought.")] = None,
    roi: Annotated[str | None, typer.Option(help="Analyse only Y0:Y1,X0:X1.")] = None,
    roi_mask: Annotated[str | None, typer.Option(help="Analyse only where this image is not 0.")] = None,
    strain_reference: Annotated[str | None, typer.Option(help="Scan: strain relative to Y0:Y1,X0:X1.")] = None,
    denoise: Annotated[str | None, typer.Option(help="Scan: auto, none, or a network (name or .onnx).  [auto]")] = None,
    neighbours: Annotated[
        bool, typer.Option("--neighbours", help="Scan: also a map in which neighbours count.")
    ] = False,
    template: Annotated[str | None, typer.Option(help="Scan: auto, counts, hexagon or lattice.")] = None,
    lookalikes: Annotated[
        str | None, typer.Option(help="Scan: auto, none, or phases that could be taken for the candidates.  [auto]")
    ] = None,
    pixel_size_a: Annotated[float | None, typer.Option(help="Micrograph: Å per pixel.")] = None,
    detector: Annotated[str | None, typer.Option(help="Micrograph: auto, cfar or net.")] = None,
    frame_time_s: Annotated[float | None, typer.Option(help="Series: seconds per frame.")] = None,
    dose_rate: Annotated[float | None, typer.Option(help="Series: e/Å²/s.")] = None,
    frames: Annotated[str | None, typer.Option(help="Series: frames A:B.")] = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    resume: Resume = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Map the phases of a scan, micrograph or series, and write a run folder with a report."""
    overrides = {
        "phases": phase_list(phases),
        "min_probability": min_probability,
        "seed": seed,
        "read.kind": kind,
        "read.energy_kev": energy_kev,
        "read.step_inv_a": step_inv_a,
        "read.centre_px": float_pair(centre),
        "read.scan_shape": int_pair(scan_shape),
        "read.scan_step_nm": scan_step_nm,
        "read.pixel_size_a": pixel_size_a,
        "read.frame_time_s": frame_time_s,
        "read.dose_rate_e_per_a2_s": dose_rate,
        "read.frames": index_range(frames),
        "region.roi": rectangle(roi),
        "region.roi_mask": None if roi_mask is None else str(Path(roi_mask).absolute()),
        "region.strain_reference": rectangle(strain_reference),
        "scan.annulus_inv_a": float_pair(annulus_inv_a),
        "scan.template": template,
        "scan.neighbours": neighbours or None,
        "scan.lookalikes": ",".join(phase_list(lookalikes) or ()) or None,
        "micrograph.detector": detector,
        "scan.denoise": str(Path(denoise).absolute()) if denoise and denoise.lower().endswith(".onnx") else denoise,
    }
    passed = passed_options(context)
    with friendly_errors(debug=debug, go_on=WITH_RESUME):
        inputs, is_batch = inputs_of(paths)
        settings = calibrated(calibration, overrides)
        if is_batch:
            options = run_options(jobs, scheduler, resume=resume)
            recipe_for = partial(make_recipe, base=recipe, overrides=settings)
            map_many(inputs, recipe_for, out, options, passed, as_json=as_json, quiet=quiet)
        else:
            made = make_recipe(inputs[0], recipe, settings)
            _run(made, out, run_options(jobs, scheduler, resume=resume), passed, as_json=as_json, quiet=quiet)


def run_command(
    recipe: Annotated[Path, typer.Argument(help="Recipe, such as the recipe.toml of a run folder.")],
    out: Out,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    resume: Resume = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a recipe."""
    from friedel.pipeline.recipe import load_recipe

    with friendly_errors(debug=debug, go_on=WITH_RESUME):
        _run(load_recipe(recipe), out, run_options(jobs, scheduler, resume=resume), as_json=as_json, quiet=quiet)


def calibrated(calibration: Path | None, overrides: dict[str, Any]) -> dict[str, Any]:
    """Lay the options over a calibration; a scale that is stated replaces the calibration's, with its error."""
    if calibration is None:
        return overrides
    from friedel.pipeline.scans.calibrate import load_calibration

    values = {f"read.{key}": value for key, value in load_calibration(calibration).items()}
    if overrides["read.step_inv_a"] is not None:
        values = {key: value for key, value in values.items() if not key.startswith("read.step_")}
    return values | {key: value for key, value in overrides.items() if value is not None}


def make_recipe(path: str, base: Path | None, overrides: dict[str, Any]) -> Recipe:
    """Lay the options over the recipe they start from, or over the defaults."""
    from friedel.core.errors import RecipeError
    from friedel.pipeline.recipe import dump_recipe, load_recipe, parse_recipe, placed

    values: dict[str, Any] = {}
    if base is not None:
        import tomllib

        values = tomllib.loads(dump_recipe(load_recipe(base)))
    values["input"] = str(Path(path).absolute())
    for name, value in overrides.items():
        if value is None:
            continue
        section, _, key = name.rpartition(".")
        (values.setdefault(section, {}) if section else values)[key] = value
    if not values.get("phases"):
        raise RecipeError("No phases were named. Pass --phases, e.g. --phases lif,li2o; see: friedel phases list")
    values["phases"] = [placed(name, Path.cwd()) for name in values["phases"]]
    if lookalikes := values.get("scan", {}).get("lookalikes"):
        values["scan"]["lookalikes"] = ",".join(placed(name, Path.cwd()) for name in lookalikes.split(","))
    return parse_recipe(values, "options")


def run_options(jobs: int, scheduler: str | None, *, resume: bool) -> RunOptions:
    """Return how a recipe is to be run, with this command line for the provenance."""
    from friedel.pipeline.run import RunOptions

    command = ("friedel", *(shlex.quote(argument) for argument in sys.argv[1:]))
    return RunOptions(jobs, scheduler, resume, command)


def passed_options(context: typer.Context) -> tuple[str, ...]:
    """Names of the options that stand on the command line."""
    sources = [(option.opts[0], context.get_parameter_source(option.name or "")) for option in context.command.params]
    return tuple(name for name, source in sources if source is not None and source.name == "COMMANDLINE")


def _run(
    recipe: Recipe, out: Path, options: RunOptions, passed: Sequence[str] = (), *, as_json: bool, quiet: bool
) -> None:
    from friedel.pipeline.run import run_recipe

    with progress_bars(quiet=quiet or as_json) as progress:
        summary = run_recipe(recipe, out, options, progress=progress)
    warnings = (*summary.warnings, *warn_of_ignored(passed, {summary.kind}))
    if as_json:
        typer.echo(json.dumps({"run": str(out), **asdict(summary), "warnings": warnings}, default=float))
    elif not quiet:
        typer.echo(_answer(summary))
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
        typer.echo(f"report: {out / 'report.html'}")


def _answer(summary: Summary) -> str:
    """Share of positions by phase; for a single position, what is there."""
    if summary.n_positions == 1:
        present = [name for name in summary.phases if summary.fractions[name] > 0]
        return f"in this pattern: {', '.join(present) or 'none of the phases'}"
    return "\n".join(f"{name:>20}  {100 * share:5.1f} %" for name, share in summary.fractions.items())
