"""``friedel train``, ``tune``, ``weights`` and ``denoise``: networks, made and used."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from friedel.cli.files import Energy, File, ScanStep, Shape, Step, read_scan, require_new, scan_options
from friedel.cli.progress import BY_ITSELF, friendly_errors, progress_bars

if TYPE_CHECKING:
    from friedel.crystal import Crystal
    from friedel.nets.training.recipe import DenoiserRecipe, SegmenterRecipe

R = TypeVar("R", "DenoiserRecipe", "SegmenterRecipe")

train_app = typer.Typer(help="Train networks on simulated data.", no_args_is_help=True)
weights_app = typer.Typer(help="The networks that come with friedel.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", help="Folder of the training; one that was interrupted goes on.")]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="Training recipe, a TOML file.")]
Folder = Annotated[Path | None, typer.Option("--materials", help="Train on the .cif files of this folder instead.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Batches to train, in place of the recipe's.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads; the weights depend on their number.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@train_app.command("denoiser")
def train_denoiser(
    out: Out,
    recipe: RecipeFile = None,
    materials: Folder = None,
    device: Device = "auto",
    steps: Steps = None,
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Train a denoiser; writes NAME.onnx with its card, the learning curve and a checkpoint from which it goes on."""
    with friendly_errors(debug=debug, go_on=BY_ITSELF):
        _need_torch()
        from friedel.nets.training.finish import finish
        from friedel.nets.training.loop import train
        from friedel.nets.training.recipe import DenoiserRecipe
        from friedel.nets.training.steps import use_threads

        use_threads(threads)
        made = _recipe(DenoiserRecipe, recipe, steps)
        parts = _crystals(materials)
        with progress_bars(quiet=False) as show:
            trained = train(
                made, parts["train"], parts["validation"], out, device=device,
                progress=lambda done, total, text: show("training", done, total),
            )  # fmt: skip
            show("judging", 0, 1)
            card = finish(made, trained, parts, out)
            show("judging", 1, 1)
        typer.echo(f"weights: {card.with_suffix('.onnx')}\ncard:    {card}\ncurve:   {out / 'curve.csv'}")


@train_app.command("segmenter")
def train_segmenter_command(
    out: Out,
    recipe: RecipeFile = None,
    images: Annotated[Path | None, typer.Option(help="Folder of FFTs (.png, .tif) of your own to learn from.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Folder of their labels, of the same names.")] = None,
    start: Annotated[str | None, typer.Option(help="Segmenter to go on from: a shipped one, or a NAME.onnx.")] = None,
    materials: Folder = None,
    device: Device = "auto",
    steps: Steps = None,
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Train a segmenter of spectra, on simulated micrographs or on labelled FFTs; writes NAME.onnx with its card.

    FFTs whose names agree up to the last "_" are taken for views of one and stay together when some are set aside.
    """
    with friendly_errors(debug=debug, go_on=BY_ITSELF):
        _need_torch()
        from friedel.core.errors import RecipeError
        from friedel.nets.training.recipe import SegmenterRecipe
        from friedel.nets.training.segmenter import learn_from_pictures, learn_from_simulations
        from friedel.nets.training.steps import use_threads

        use_threads(threads)
        made = _recipe(SegmenterRecipe, recipe, steps)
        if (images is None) != (labels is None):
            raise RecipeError("--images and --labels belong together: one folder of FFTs, one of their labels.")
        with progress_bars(quiet=False) as show:
            if images is not None and labels is not None:
                card = learn_from_pictures(made, images, labels, out, start=start, device=device, progress=show)
            else:
                card = learn_from_simulations(
                    made, _crystals(materials), out, start=start, device=device, progress=show
                )
        typer.echo(f"weights: {card.with_suffix('.onnx')}\ncard:    {card}\ncurve:   {out / 'curve.csv'}")


def tune_command(
    out: Out,
    recipe: RecipeFile = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, earlier ones counted in.")] = 20,
    materials: Folder = None,
    device: Device = "auto",
    steps: Steps = None,
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Search for better settings of a training, and write the best as a recipe."""
    with friendly_errors(debug=debug, go_on=BY_ITSELF):
        _need_torch()
        from friedel.nets.training.recipe import DenoiserRecipe, dump_training_recipe
        from friedel.nets.training.steps import use_threads
        from friedel.nets.training.tune import tune

        use_threads(threads)
        made, parts = _recipe(DenoiserRecipe, recipe, steps), _crystals(materials)
        with progress_bars(quiet=False) as show:
            best = tune(
                made, parts["train"], parts["validation"], out, trials=trials, device=device,
                progress=lambda done, total, text: show("trials", done, total),
            )  # fmt: skip
        (out / "best.toml").write_text(dump_training_recipe(best), encoding="utf-8")
        typer.echo(f"best recipe: {out / 'best.toml'}")


@weights_app.command("list")
def list_weights(debug: Debug = False) -> None:
    """List the networks in the package, with what they can do."""
    from friedel.nets.cards import find_card, load_card, shipped_names

    with friendly_errors(debug=debug):
        for name in shipped_names():
            card = load_card(find_card(name))
            shape = card.architecture
            typer.echo(f"{card.name} {card.version}  {card.summary}")
            typer.echo(f"    {shape.family}, {card.parameters / 1e6:.2f} M parameters, trained {card.training.date}")
            for metric in card.metrics:
                typer.echo(f"    {metric}")
            for limit in card.limits:
                typer.echo(f"    limit: {limit}")


@weights_app.command("verify")
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Shipped names or files; all shipped by default.")] = None,
    debug: Debug = False,
) -> None:
    """Check that weights are those that their cards describe, and that they run."""
    import numpy as np

    from friedel.nets.cards import SegmenterCard, find_card, shipped_names, verify_weights
    from friedel.nets.inference import load_network
    from friedel.nets.segmenter import load_segmenter

    with friendly_errors(debug=debug):
        for name in names or shipped_names():
            path = find_card(name)
            card = verify_weights(path)
            if isinstance(card, SegmenterCard):
                load_segmenter(name).probability(np.ones((64, 33), dtype=np.float32), 64)
            else:
                load_network(name).run(np.zeros((1, 64, 64), dtype=np.float32), np.full((1, 2), 31.5))
            typer.echo(f"{path.parent / card.file}: {card.name} {card.version} is whole and runs")


@weights_app.command("export")
def export(
    name: Annotated[str, typer.Argument(help="A shipped network.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to copy NAME.onnx and NAME.toml to.")],
    debug: Debug = False,
) -> None:
    """Copy weights and card, for other programs or as a start for one's own."""
    from friedel.nets.cards import find_card, verify_weights

    with friendly_errors(debug=debug):
        card_path = find_card(name)
        card = verify_weights(card_path)
        out.mkdir(parents=True, exist_ok=True)
        for source in (card_path, card_path.parent / card.file):
            require_new(out / source.name)
            shutil.copyfile(source, out / source.name)
            typer.echo(out / source.name)


def _need_torch() -> None:
    from importlib.util import find_spec

    from friedel.core.errors import FriedelError

    missing = [name for name in ("torch", "onnx", "onnxscript", "safetensors", "optuna") if find_spec(name) is None]
    if missing:
        raise FriedelError(f"Training needs {', '.join(missing)}. Install with: pip install 'friedel[train]'")


def _recipe(kind: type[R], path: Path | None, steps: int | None) -> R:
    from friedel.nets.training.recipe import load_recipe_of

    recipe = kind() if path is None else load_recipe_of(kind, path)
    return recipe if steps is None else recipe.model_copy(update={"steps": steps})


def _crystals(folder: Path | None) -> dict[str, Sequence[Crystal]]:
    """Crystals of each split; every one must have some."""
    from friedel.core.errors import DataError
    from friedel.simulate.training.materials import load_materials

    found = load_materials(folder)
    parts: dict[str, Sequence[Crystal]] = {
        part: tuple(m.crystal for m in found if m.split == part) for part in ("train", "validation", "test")
    }
    empty = [part for part, crystals in parts.items() if not crystals]
    if empty:
        raise DataError(
            f"Of {len(found)} materials none falls into {' and '.join(empty)}; the split is by composition. Add more."
        )
    return parts


def denoise(
    path: File,
    out: Annotated[Path, typer.Option("--out", help="Scan to write: .zarr or .hspy.")],
    weights: Annotated[str, typer.Option(help="A shipped network, or a file NAME.onnx.")] = "denoiser",
    neighbours: Annotated[bool, typer.Option(help="Add up the counts of alike neighbouring positions first.")] = True,
    step_inv_a: Step = None,
    scan_shape: Shape = None,
    scan_step_nm: ScanStep = None,
    energy_kev: Energy = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    debug: Debug = False,
) -> None:
    """Denoise a scan: same shape, calibration and unit, the expected counts in place of the measured ones."""
    with friendly_errors(debug=debug):
        from friedel.core.errors import naming
        from friedel.io import write_scan
        from friedel.nets.denoise import denoise_scan
        from friedel.nets.inference import load_network
        from friedel.patterns.survey import survey_scan

        require_new(out)
        network = load_network(weights)
        scan = read_scan(path, scan_options(step_inv_a, scan_shape, scan_step_nm, energy_kev))
        with progress_bars(quiet=quiet) as show, naming(path):
            step = max(scan.grid.step_inv_a)
            everything = (step, step * max(scan.pattern_shape))
            survey = survey_scan(scan, annulus_inv_a=everything, progress=lambda d, t: show("survey", d, t))
            limit = network.card.preprocessing.max_electrons
            clean = denoise_scan(
                survey, network, neighbours=neighbours, progress=lambda d, t: show("denoising", d, t)
            )  # fmt: skip
            write_scan(out, replace(clean, grid=scan.grid))
        if survey.electrons > limit:
            typer.echo(
                f"warning: {survey.electrons:.0f} electrons per pattern are more than the {limit:.0f} for which the "
                "network was made; compare with the data as taken before you rely on it.", err=True,
            )  # fmt: skip
        typer.echo(out)
