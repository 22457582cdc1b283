"""The recipe: one validated TOML file that is a whole analysis."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from friedel.core.errors import FriedelError, RecipeError
from friedel.crystal import PhaseSet, is_cif_path, load_phases
from friedel.identify.grains.components import ComponentOptions
from friedel.io import ReadOptions
from friedel.nets.cards import card_beside
from friedel.pipeline.scans.lookalikes import sought_phases
from friedel.pipeline.scans.result import ScanOptions
from friedel.pipeline.series.options import SeriesOptions

_MAX_BYTES = 1 << 20


class _Strict(BaseModel):
    """No unknown keys, no coercion, no change after validation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RegionOptions(_Strict):
    """What part of a scan or micrograph is analysed, and with what part of a scan strain is compared.

    Parameters
    ----------
    roi
        Rectangle ((y0, y1), (x0, x1)).
    roi_mask
        Image that is 0 outside of it, relative to the recipe.
    strain_reference
        Rectangle ((y0, y1), (x0, x1)) of a scan whose mean lattice strain is relative to; not set, strain is relative
        to the file of the phase.
    """

    roi: tuple[tuple[int, int], tuple[int, int]] | None = None
    roi_mask: str | None = None
    strain_reference: tuple[tuple[int, int], tuple[int, int]] | None = None


class Recipe(_Strict):
    """A whole analysis.

    The sections ``scan`` and ``micrograph`` hold the settings of the two roads, and ``series`` those that a series has
    besides those of a micrograph; what the input does not take is ignored. ``read`` holds facts that override the
    file's.

    Parameters
    ----------
    format
        Of the recipe itself.
    input
        File to analyse, relative to the recipe.
    phases
        Names of the library, or .cif files relative to the recipe.
    min_probability
        A phase is called present where its presence is at least this.
    seed
        Of everything that is drawn at random.
    """

    format: Literal[1] = 1
    input: str
    phases: Annotated[tuple[str, ...], Field(min_length=1, max_length=32)]
    min_probability: Annotated[float, Field(gt=0, le=1)] = 0.5
    seed: Annotated[int, Field(ge=0)] = 0
    read: ReadOptions = ReadOptions()
    region: RegionOptions = RegionOptions()
    scan: ScanOptions = ScanOptions()
    micrograph: ComponentOptions = ComponentOptions()
    series: SeriesOptions = SeriesOptions()


def parse_recipe(values: dict[str, Any], source: str = "recipe") -> Recipe:
    """Validate plain values, as TOML gives them.

    Raises
    ------
    RecipeError
        Naming every key that is unknown, missing or of the wrong type or range.
    """
    try:
        return Recipe.model_validate_json(json.dumps(values))
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}{_got(e['input'])}"
            for e in error.errors(include_url=False)
        ]
        raise RecipeError(f"{source}: " + "; ".join(lines) + ". See: friedel recipe schema") from None
    except (FriedelError, TypeError, ValueError) as error:
        raise RecipeError(f"{source}: {error}") from error


def _got(value: object) -> str:
    return f", got {value!r}" if isinstance(value, (str, int, float)) else ""


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe from a TOML file; paths in it are relative to its folder."""
    return with_full_paths(parse_recipe(load_values(path), str(path)), Path(path).resolve().parent)


def with_full_paths(recipe: Recipe, folder: Path) -> Recipe:
    """Lay the paths of a recipe, which are relative to a folder, out in full."""
    changes: dict[str, Any] = {"input": str(folder / recipe.input)}
    changes["phases"] = tuple(placed(name, folder) for name in recipe.phases)
    lookalikes = ",".join(placed(name, folder) for name in recipe.scan.lookalikes.split(","))
    denoise, segmenter = (
        str(folder / name) if card_beside(name) else name for name in (recipe.scan.denoise, recipe.micrograph.segmenter)
    )
    changes["scan"] = replace(recipe.scan, lookalikes=lookalikes, denoise=denoise)
    changes["micrograph"] = replace(recipe.micrograph, segmenter=segmenter)
    if recipe.region.roi_mask is not None:
        changes["region"] = recipe.region.model_copy(update={"roi_mask": str(folder / recipe.region.roi_mask)})
    return recipe.model_copy(update=changes)


def phases_of(recipe: Recipe) -> PhaseSet:
    """Load the phases of a recipe, and try the look-alikes that it names: a wrong name is told before hours are spent.

    Raises
    ------
    CrystalError, FileError
        If one is unknown or cannot be read, or is both a phase and a look-alike.
    """
    phases = load_phases(recipe.phases)
    if recipe.scan.lookalikes != "auto":
        sought_phases(phases, recipe.scan, "counts")
    return phases


def files_of(recipe: Recipe) -> tuple[str, ...]:
    """Every file that a recipe names, apart from networks: its input, structures, and the mask of the region."""
    names = (*recipe.phases, *recipe.scan.lookalikes.split(","))
    mask = () if recipe.region.roi_mask is None else (recipe.region.roi_mask,)
    return (recipe.input, *(name.strip() for name in names if is_cif_path(name)), *mask)


def placed(phase: str, folder: Path) -> str:
    """Lay the path of a .cif file, which is relative to a folder, out in full; names of the library stay."""
    return str(folder / phase.strip()) if is_cif_path(phase) else phase


def load_values(path: str | Path) -> dict[str, Any]:
    """Read a TOML file into plain values; RecipeError says where it is broken."""
    try:
        data = Path(path).read_bytes()
        if len(data) > _MAX_BYTES:
            raise RecipeError(f"{path}: {len(data)} bytes are too many for a recipe. To map a file: friedel map")
        return tomllib.loads(data.decode("utf-8"))
    except IsADirectoryError as error:
        raise RecipeError(f"{path}: is a folder. The recipe of a run is the recipe.toml in its folder.") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}). Check the spelling and the folder.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: is not valid TOML: {error}.") from error


def dump_recipe(recipe: Recipe) -> str:
    """Write a recipe as TOML with every default spelt out; what is not set has no TOML value and is left out."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe."""
    return Recipe.model_json_schema()
