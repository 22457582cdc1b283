"""Recipes as the page makes them, and how a run is repeated without the page."""

from __future__ import annotations

import pprint
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from friedel.nets.cards import card_beside, load_card
from friedel.pipeline.recipe import Recipe, files_of, parse_recipe
from friedel.web.roots import Roots


def _pair(value: Any) -> str:
    return ",".join(map(str, value))


def _rectangle(value: Any) -> str:
    return ",".join(f"{start}:{stop}" for start, stop in value)


def _range(value: Any) -> str:
    return f"{value[0]}:{value[1]}"


#: Keys of a recipe that have an option of ``friedel map``, and how it writes their value; None for a flag.
_OPTIONS: dict[str, tuple[str, Callable[[Any], str] | None]] = {
    "min_probability": ("--min-probability", repr),
    "seed": ("--seed", str),
    "read.kind": ("--kind", str),
    "read.energy_kev": ("--energy-kev", repr),
    "read.step_inv_a": ("--step-inv-a", repr),
    "read.centre_px": ("--centre", _pair),
    "read.scan_shape": ("--scan-shape", _pair),
    "read.scan_step_nm": ("--scan-step-nm", repr),
    "read.pixel_size_a": ("--pixel-size-a", repr),
    "read.frame_time_s": ("--frame-time-s", repr),
    "read.dose_rate_e_per_a2_s": ("--dose-rate", repr),
    "read.frames": ("--frames", _range),
    "region.roi": ("--roi", _rectangle),
    "region.roi_mask": ("--roi-mask", str),
    "region.strain_reference": ("--strain-reference", _rectangle),
    "scan.annulus_inv_a": ("--annulus-inv-a", _pair),
    "scan.template": ("--template", str),
    "scan.denoise": ("--denoise", str),
    "scan.neighbours": ("--neighbours", None),
    "scan.lookalikes": ("--lookalikes", str),
    "micrograph.detector": ("--detector", str),
}


def checked_recipe(values: dict[str, Any], roots: Roots) -> Recipe:
    """Make a recipe of plain values; every file that it names must be one that the page may see.

    Raises
    ------
    RecipeError, FileError
        For a wrong key or value, and for a path that leads elsewhere.
    """
    recipe = parse_recipe(values, "recipe")
    for path in files_of(recipe):
        roots.pin(path)
    for name in (recipe.scan.denoise, recipe.micrograph.segmenter):
        if card := card_beside(name):
            roots.pin(card)
            roots.pin(card.parent / load_card(card).file)
    return recipe


def changes(recipe: Recipe) -> dict[str, Any]:
    """Return what a recipe says beyond its input, phases and the defaults, by dotted key."""
    base = parse_recipe({"input": recipe.input, "phases": list(recipe.phases)})
    usual = dict(_leaves(base.model_dump(mode="json")))
    return {key: value for key, value in _leaves(recipe.model_dump(mode="json")) if usual.get(key) != value}


def command_of(recipe: Recipe, run: Path) -> str:
    """Write the command that repeats a run, into a new folder beside it.

    It is ``friedel map`` with options where every setting has one, else ``friedel run`` with the run's own recipe.
    """
    again = str(run.with_name(run.name + "-again"))
    changed = changes(recipe)
    if set(changed) <= set(_OPTIONS):
        words = ["friedel", "map", recipe.input, "--phases", ",".join(recipe.phases)]
        for key, value in changed.items():
            option, text = _OPTIONS[key]
            words += [option] if text is None else [option, text(value)]
    else:
        words = ["friedel", "run", str(run / "recipe.toml")]
    return shlex.join([*words, "--out", again])


def python_of(recipe: Recipe, run: Path) -> str:
    """Write the Python that repeats a run, into a new folder beside it."""
    values: dict[str, Any] = {"input": recipe.input, "phases": list(recipe.phases)}
    for key, value in changes(recipe).items():
        section, _, name = key.rpartition(".")
        inner = values
        for part in section.split(".") if section else ():
            inner = inner.setdefault(part, {})
        inner[name] = value
    text = pprint.pformat(values, sort_dicts=False, width=100)
    again = str(run.with_name(run.name + "-again"))
    return (
        "import friedel as fr\nfrom friedel.pipeline.recipe import parse_recipe\n\n"
        f"recipe = parse_recipe({text})\nsummary = fr.run_recipe(recipe, {again!r})\nprint(summary.fractions)\n"
    )


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
