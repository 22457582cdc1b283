"""The recipe of a training: one validated TOML file."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from friedel.core.errors import FriedelError, RecipeError
from friedel.nets.architecture import Architecture
from friedel.nets.training.generator import PatternRanges


class DenoiserRecipe(BaseModel):
    """How a denoiser is trained.

    Lengths of ``steps``, and of what happens every so many, are in batches. The learning rate rises over ``warm_up``,
    stays, and falls over the share ``cool_down`` of the steps; before it falls, a training can still be given more or
    fewer steps. ``average`` is the decay of the running mean of the weights, which is what is kept in the end.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")] = "denoiser"
    seed: Annotated[int, Field(ge=0)] = 0
    architecture: Architecture = Architecture()
    steps: Annotated[int, Field(ge=1)] = 20000
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 2e-3
    warm_up: Annotated[int, Field(ge=0)] = 200
    cool_down: Annotated[float, Field(gt=0, le=1)] = 0.3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-3
    heat_weight: Annotated[float, Field(ge=0)] = 10.0
    focal: Annotated[float, Field(ge=0, le=4)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.998
    precision: Literal["bf16", "fp32"] = "bf16"
    validate_every: Annotated[int, Field(ge=1)] = 1000
    checkpoint_every: Annotated[int, Field(ge=1)] = 500
    validation_patterns: Annotated[int, Field(ge=1)] = 40
    max_zones: Annotated[int, Field(ge=1, le=200)] = 60
    ranges: PatternRanges = PatternRanges()

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


def _hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def parse_training_recipe(values: dict[str, Any], source: str = "recipe") -> DenoiserRecipe:
    """Validate plain values; RecipeError names every key that is wrong."""
    try:
        return DenoiserRecipe.model_validate_json(json.dumps(values))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors(include_url=False)]
        raise RecipeError(f"{source}: " + "; ".join(lines)) from None
    except (FriedelError, TypeError, ValueError) as error:
        raise RecipeError(f"{source}: {error}") from error


def load_training_recipe(path: str | Path) -> DenoiserRecipe:
    """Read a recipe from a TOML file."""
    try:
        return parse_training_recipe(tomllib.loads(Path(path).read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: is not valid TOML: {error}.") from error


def dump_training_recipe(recipe: DenoiserRecipe) -> str:
    """Write a recipe as TOML with every default spelt out."""
    return tomli_w.dumps(recipe.model_dump(mode="json"))
