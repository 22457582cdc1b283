"""The recipe of a training: one validated TOML file."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from friedel.core.errors import FriedelError, RecipeError
from friedel.nets.architecture import Architecture
from friedel.nets.training.generator import PatternRanges
from friedel.simulate.training.micrographs import Variety


class TrainingRecipe(BaseModel):
    """What every training states.

    Lengths of ``steps``, and of what happens every so many, are in batches. The learning rate rises over ``warm_up``,
    stays, and falls over the share ``cool_down`` of the steps; before it falls, a training can still be given more or
    fewer steps. ``average`` is the decay of the running mean of the weights, which is what is kept in the end.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    seed: Annotated[int, Field(ge=0)] = 0
    architecture: Architecture = Architecture()
    steps: Annotated[int, Field(ge=1)] = 20000
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 2e-3
    warm_up: Annotated[int, Field(ge=0)] = 200
    cool_down: Annotated[float, Field(gt=0, le=1)] = 0.3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-3
    average: Annotated[float, Field(ge=0, lt=1)] = 0.998
    precision: Literal["bf16", "fp32"] = "bf16"
    validate_every: Annotated[int, Field(ge=1)] = 1000
    checkpoint_every: Annotated[int, Field(ge=1)] = 500

    @property
    def digest(self) -> str:
        """Hash of all that decides the result."""
        return _hash(self.model_dump(mode="json"))

    @property
    def digest_of_start(self) -> str:
        """Hash of all that decides the result up to ``cools_from``: of everything but the number of steps."""
        return _hash(self.model_dump(mode="json", exclude={"steps", "cool_down", "validate_every", "checkpoint_every"}))

    @property
    def cools_from(self) -> int:
        """First step in which the learning rate falls."""
        return max(self.warm_up, round((1.0 - self.cool_down) * self.steps))


class DenoiserRecipe(TrainingRecipe):
    """How a denoiser is trained."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")] = "denoiser"
    heat_weight: Annotated[float, Field(ge=0)] = 10.0
    focal: Annotated[float, Field(ge=0, le=4)] = 0.0
    validation_patterns: Annotated[int, Field(ge=1)] = 40
    max_zones: Annotated[int, Field(ge=1, le=200)] = 60
    ranges: PatternRanges = PatternRanges()


class SegmenterRecipe(TrainingRecipe):
    """How a segmenter of spectra is trained.

    ``micrographs`` are simulated for training, and ``validation_micrographs`` of other crystals to choose thresholds
    by; their ``shapes`` are taken in turn. A batch is made of pieces of ``crop_px`` squared. The loss is cross entropy,
    focal where ``focal`` is above 0, plus ``dice_weight`` times one less the Dice coefficient.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")] = "segmenter"
    steps: Annotated[int, Field(ge=1)] = 6000
    batch: Annotated[int, Field(ge=1, le=4096)] = 4
    crop_px: Annotated[int, Field(ge=32, le=2048)] = 256
    dice_weight: Annotated[float, Field(ge=0)] = 0.05
    focal: Annotated[float, Field(ge=0, le=4)] = 0.0
    micrographs: Annotated[int, Field(ge=1)] = 2400
    validation_micrographs: Annotated[int, Field(ge=1)] = 120
    shapes: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)] = (
        (512, 512), (512, 512), (384, 640), (640, 384), (450, 450), (768, 512), (511, 513),
    )  # fmt: skip
    variety: Variety = Variety()


R = TypeVar("R", bound=TrainingRecipe)


def _hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def parse_training_recipe(values: dict[str, Any], source: str = "recipe") -> DenoiserRecipe:
    """Validate plain values; RecipeError names every key that is wrong."""
    return parse_recipe_of(DenoiserRecipe, values, source)


def load_training_recipe(path: str | Path) -> DenoiserRecipe:
    """Read a recipe of a denoiser from a TOML file."""
    return load_recipe_of(DenoiserRecipe, path)


def parse_recipe_of(kind: type[R], values: dict[str, Any], source: str = "recipe") -> R:
    """Validate plain values as a recipe of some kind; RecipeError names every key that is wrong."""
    try:
        return kind.model_validate_json(json.dumps(values))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors(include_url=False)]
        raise RecipeError(f"{source}: " + "; ".join(lines)) from None
    except (FriedelError, TypeError, ValueError) as error:
        raise RecipeError(f"{source}: {error}") from error


def load_recipe_of(kind: type[R], path: str | Path) -> R:
    """Read a recipe of some kind from a TOML file."""
    try:
        return parse_recipe_of(kind, tomllib.loads(Path(path).read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: is not valid TOML: {error}.") from error


def dump_training_recipe(recipe: TrainingRecipe) -> str:
    """Write a recipe as TOML with every default spelt out."""
    return tomli_w.dumps(recipe.model_dump(mode="json"))
