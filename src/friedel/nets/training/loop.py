"""Training of a denoiser: the same seed gives the same weights, also after a kill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from friedel.crystal import Crystal
from friedel.nets.training.generator import generate, network_input, targets
from friedel.nets.training.kinematics import Bank, build_bank
from friedel.nets.training.losses import charbonnier, spot_loss
from friedel.nets.training.networks import Denoiser
from friedel.nets.training.recipe import DenoiserRecipe
from friedel.nets.training.steps import (
    OnValidation,
    Progress,
    autocast,
    begin,
    choose_device,
    put_average,
    run_steps,
)
from friedel.nets.training.validation import make_validation, validate

#: First number of the seeds of training batches; validation has another.
_TRAINING_SEED = 1


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network with its averaged weights, and how long the training took, interruptions left out.

    ``core_seconds`` is the time of all processor cores.
    """

    network: Denoiser
    seconds: float
    core_seconds: float


def train(
    recipe: DenoiserRecipe,
    training: Sequence[Crystal],
    validation: Sequence[Crystal],
    out: Path,
    *,
    device: str = "auto",
    progress: Progress = lambda step, steps, text: None,
    on_validation: OnValidation = lambda step, rows: None,
) -> Trained:
    """Train a denoiser, or go on with a training that was interrupted.

    Parameters
    ----------
    training, validation
        Crystals; no crystal should be in both.
    out
        Folder for ``recipe.toml``, ``checkpoint.safetensors``, ``curve.csv`` and ``validation.csv``.
    progress
        Called with steps done, steps in all, and a line about losses.
    on_validation
        Called with the step and the rows of each validation.

    Raises
    ------
    RecipeError
        If the folder holds a training with another recipe or other crystals.
    """
    device = choose_device(device)
    torch.manual_seed(recipe.seed)
    network = Denoiser(recipe.architecture).to(device, memory_format=torch.channels_last)
    key = {
        "recipe": recipe.digest_of_start,
        "crystals": json.dumps([[c.name for c in part] for part in (training, validation)]),
    }
    state = begin(recipe, network, out, key)
    bank = build_bank(training, max_zones=recipe.max_zones, device=device)
    held_out = make_validation(recipe, build_bank(validation, max_zones=recipe.max_zones, device=device), device)
    state = run_steps(
        recipe, state, out, key, lambda step: _losses(recipe, network, bank, step, device),
        lambda: validate(network, state.average, held_out, device), (progress, on_validation),
    )  # fmt: skip
    put_average(network, state.average)
    return Trained(network, state.seconds, state.core_seconds)


def _losses(recipe: DenoiserRecipe, network: Denoiser, bank: Bank, step: int, device: str) -> dict[str, Tensor]:
    """Losses of one step; the batch depends on its number alone."""
    batch = generate(bank, recipe.ranges, recipe.batch, (_TRAINING_SEED, recipe.seed, step), device=device)
    clean, heat, weight = targets(batch)
    z = network_input(batch.counts, batch.told_centre_px).contiguous(memory_format=torch.channels_last)
    with autocast(recipe, device):
        denoised, logits = network(z)
    loss_z, loss_spots = charbonnier(denoised, clean), spot_loss(logits, heat, weight, recipe.focal)
    return {"loss": loss_z + recipe.heat_weight * loss_spots, "denoising": loss_z, "spots": loss_spots}
