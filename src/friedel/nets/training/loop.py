"""Training: the same seed gives the same weights, also after a kill."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from friedel.core.errors import RecipeError
from friedel.crystal import Crystal
from friedel.nets.training.generator import generate, network_input, targets
from friedel.nets.training.kinematics import Bank, build_bank
from friedel.nets.training.losses import charbonnier, spot_loss
from friedel.nets.training.networks import Denoiser
from friedel.nets.training.recipe import DenoiserRecipe, dump_training_recipe
from friedel.nets.training.validation import Validation, make_validation, validate

#: First number of the seeds of training batches; validation has another.
_TRAINING_SEED = 1
Progress = Callable[[int, int, str], None]
OnValidation = Callable[[int, list[dict[str, object]]], None]


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What a training is made of while it runs."""

    network: Denoiser
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int
    seconds: float
    core_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network with its averaged weights, and how long the training took, interruptions left out.

    ``core_seconds`` is the time of all processor cores.
    """

    network: Denoiser
    seconds: float
    core_seconds: float


def choose_device(wanted: str) -> str:
    """Resolve "auto" to a GPU where there is one."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def use_threads(threads: int | None) -> None:
    """Set the number of threads; None leaves it to torch."""
    if threads is not None:
        torch.set_num_threads(threads)


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
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = Denoiser(recipe.architecture).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay
    )
    key = {
        "recipe": recipe.digest_of_start,
        "crystals": json.dumps([[c.name for c in part] for part in (training, validation)]),
    }
    state = _State(network, {n: p.detach().clone() for n, p in network.named_parameters()}, optimiser, 0, 0.0, 0.0)
    checkpoint = out / "checkpoint.safetensors"
    if checkpoint.exists():
        state = _load(checkpoint, state, key, recipe)
    (out / "recipe.toml").write_text(dump_training_recipe(recipe), encoding="utf-8")
    _forget_after(out / "curve.csv", state.step)
    _forget_after(out / "validation.csv", state.step)
    bank = build_bank(training, max_zones=recipe.max_zones, device=device)
    held_out = make_validation(recipe, build_bank(validation, max_zones=recipe.max_zones, device=device), device)
    state = _run(recipe, state, bank, held_out, out, key, device, (progress, on_validation))
    return Trained(averaged(network, state.average), state.seconds, state.core_seconds)


def averaged(network: Denoiser, average: dict[str, Tensor]) -> Denoiser:
    """Put averaged weights into a network."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(average[name])
    return network


def _run(
    recipe: DenoiserRecipe, state: _State, bank: Bank, held_out: Validation, out: Path, key: dict[str, str],
    device: str, tell: tuple[Progress, OnValidation],
) -> _State:  # fmt: skip
    """Take the steps that are left."""
    progress, on_validation = tell
    began, core_began = time.perf_counter() - state.seconds, time.process_time() - state.core_seconds
    sums, since = [0.0, 0.0], state.step
    for step in range(state.step, recipe.steps):
        losses = _step(recipe, state, bank, step, device)
        sums = [a + b for a, b in zip(sums, losses, strict=True)]
        done, seconds = step + 1, time.perf_counter() - began
        if done % 50 == 0 or done == recipe.steps:
            means = [a / (done - since) for a in sums]
            row = {"step": done, "denoising": f"{means[0]:.5f}", "spots": f"{means[1]:.6f}",
                   "learning_rate": f"{_rate(recipe, step):.3g}", "seconds": f"{seconds:.1f}"}  # fmt: skip
            _append(out / "curve.csv", row)
            progress(done, recipe.steps, f"denoising {means[0]:.4f}  spots {means[1]:.5f}")
            sums, since = [0.0, 0.0], done
        if done % recipe.validate_every == 0 or done == recipe.steps:
            rows = validate(state.network, state.average, held_out, device)
            for scores in rows:
                _append(out / "validation.csv", {"step": done} | scores)
            on_validation(done, rows)
        if done % recipe.checkpoint_every == 0 or done == recipe.steps:
            core = time.process_time() - core_began
            state = _State(state.network, state.average, state.optimiser, done, seconds, core)
            _save(out / "checkpoint.safetensors", state, key, recipe)
    return state


def _step(recipe: DenoiserRecipe, state: _State, bank: Bank, step: int, device: str) -> tuple[float, float]:
    """Take one step; the batch depends on its number alone."""
    batch = generate(bank, recipe.ranges, recipe.batch, (_TRAINING_SEED, recipe.seed, step), device=device)
    clean, heat, weight = targets(batch)
    z = network_input(batch.counts, batch.told_centre_px).contiguous(memory_format=torch.channels_last)
    with autocast(recipe, device):
        denoised, logits = state.network(z)
    loss_z, loss_spots = charbonnier(denoised, clean), spot_loss(logits, heat, weight, recipe.focal)
    for group in state.optimiser.param_groups:
        group["lr"] = _rate(recipe, step)
    state.optimiser.zero_grad(set_to_none=True)
    (loss_z + recipe.heat_weight * loss_spots).backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimiser.step()
    decay = min(recipe.average, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, parameter in state.network.named_parameters():
            state.average[name].lerp_(parameter, 1.0 - decay)
    return float(loss_z.detach()), float(loss_spots.detach())


def autocast(recipe: DenoiserRecipe, device: str) -> contextlib.AbstractContextManager[None]:
    """Compute convolutions in bf16 where the recipe says so."""
    if recipe.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.partition(":")[0], torch.bfloat16)  # type: ignore[no-any-return]


def _rate(recipe: DenoiserRecipe, step: int) -> float:
    """Learning rate: a linear warm-up, steady, and half a cosine down to a hundredth."""
    if step < recipe.warm_up:
        return recipe.learning_rate * (step + 1) / recipe.warm_up
    turn = max(step - recipe.cools_from, 0) / max(recipe.steps - recipe.cools_from, 1)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * turn)))


def _save(path: Path, state: _State, key: dict[str, str], recipe: DenoiserRecipe) -> None:
    """Write a checkpoint so that a kill leaves the old or the new one."""
    tensors = {f"average.{name}": value.contiguous() for name, value in state.average.items()}
    for name, parameter in state.network.named_parameters():
        moments = state.optimiser.state[parameter]
        tensors[f"weight.{name}"] = parameter.detach().contiguous()
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            tensors[f"{moment}.{name}"] = moments[moment].contiguous()
    new = path.with_suffix(".new")
    save_file(tensors, new, metadata=key | {"step": str(state.step), "whole_recipe": recipe.digest,
                                           "cools_from": str(recipe.cools_from), "seconds": f"{state.seconds:.3f}",
                                           "core_seconds": f"{state.core_seconds:.3f}"})  # fmt: skip
    new.replace(path)


def _load(path: Path, state: _State, key: dict[str, str], recipe: DenoiserRecipe) -> _State:
    with safe_open(path, framework="pt", device="cpu") as stored:
        about = stored.metadata()
        differs = [name for name in key if about.get(name) != key[name]]
        has_cooled = int(about["step"]) > min(int(about["cools_from"]), recipe.cools_from)
        if has_cooled and about["whole_recipe"] != recipe.digest:
            differs.append("number of steps, and its learning rate has begun to fall")
        if differs:
            raise RecipeError(f"{path} is of a training with another {' and '.join(differs)}. Choose another --out.")
        with torch.no_grad():
            for name, parameter in state.network.named_parameters():
                parameter.copy_(stored.get_tensor(f"weight.{name}"))
                state.average[name].copy_(stored.get_tensor(f"average.{name}"))
                state.optimiser.state[parameter] = {
                    "step": stored.get_tensor(f"step.{name}"),
                    "exp_avg": torch.empty_like(parameter).copy_(stored.get_tensor(f"exp_avg.{name}")),
                    "exp_avg_sq": torch.empty_like(parameter).copy_(stored.get_tensor(f"exp_avg_sq.{name}")),
                }
    times = float(about["seconds"]), float(about["core_seconds"])
    return _State(state.network, state.average, state.optimiser, int(about["step"]), *times)


def _append(path: Path, row: dict[str, object]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def _forget_after(path: Path, step: int) -> None:
    """Drop what was written after the checkpoint from which the training goes on."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    path.unlink()
    for row in rows:
        _append(path, dict(row))
