"""What all trainings share: steps, averages of weights, curves, and checkpoints from which they go on."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from friedel.core.errors import CorruptFileError, RecipeError
from friedel.nets.training.recipe import TrainingRecipe, dump_training_recipe

Progress = Callable[[int, int, str], None]
OnValidation = Callable[[int, list[dict[str, object]]], None]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a training is made of while it runs."""

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int
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


def begin(recipe: TrainingRecipe, network: nn.Module, out: Path, key: dict[str, str]) -> State:
    """Start a training of a network in a folder, or take up the one that is there.

    Raises
    ------
    RecipeError
        If the folder holds a training with another recipe, or other data by ``key``.
    """
    out.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay
    )
    state = State(network, {n: p.detach().clone() for n, p in network.named_parameters()}, optimiser, 0, 0.0, 0.0)
    checkpoint = out / "checkpoint.safetensors"
    if checkpoint.exists():
        state = _load(checkpoint, state, key, recipe)
    (out / "recipe.toml").write_text(dump_training_recipe(recipe), encoding="utf-8")
    _forget_after(out / "curve.csv", state.step)
    _forget_after(out / "validation.csv", state.step)
    return state


def run_steps(
    recipe: TrainingRecipe, state: State, out: Path, key: dict[str, str], step: Callable[[int], dict[str, Tensor]],
    validate: Callable[[], list[dict[str, object]]], tell: tuple[Progress, OnValidation],
) -> State:  # fmt: skip
    """Take the steps that are left.

    Parameters
    ----------
    key
        What a checkpoint must agree with.
    step
        Computes the losses of a step, by name; the one called "loss" is made small, the others are for the curve.
    validate
        Scores ``state.average``.
    tell
        Called after some steps, and after each validation.
    """
    progress, on_validation = tell
    began, core_began = time.perf_counter() - state.seconds, time.process_time() - state.core_seconds
    sums: dict[str, float] = {}
    since = state.step
    for number in range(state.step, recipe.steps):
        for name, value in _descend(recipe, state, number, step(number)).items():
            sums[name] = sums.get(name, 0.0) + value
        done, seconds = number + 1, time.perf_counter() - began
        if done % 50 == 0 or done == recipe.steps:
            means = {name: total / (done - since) for name, total in sums.items()}
            row = {"step": done, **{name: f"{mean:.6f}" for name, mean in means.items()},
                   "learning_rate": f"{_rate(recipe, number):.3g}", "seconds": f"{seconds:.1f}"}  # fmt: skip
            _append(out / "curve.csv", row)
            progress(done, recipe.steps, "  ".join(f"{name} {mean:.5f}" for name, mean in means.items()))
            sums, since = {}, done
        if done % recipe.validate_every == 0 or done == recipe.steps:
            rows = validate()
            for scores in rows:
                _append(out / "validation.csv", {"step": done} | scores)
            on_validation(done, rows)
        if done % recipe.checkpoint_every == 0 or done == recipe.steps:
            core = time.process_time() - core_began
            state = State(state.network, state.average, state.optimiser, done, seconds, core)
            _save(out / "checkpoint.safetensors", state, key, recipe)
    return state


def _descend(recipe: TrainingRecipe, state: State, number: int, losses: dict[str, Tensor]) -> dict[str, float]:
    """Take one step down the loss, and follow the weights with their average."""
    for group in state.optimiser.param_groups:
        group["lr"] = _rate(recipe, number)
    state.optimiser.zero_grad(set_to_none=True)
    losses["loss"].backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimiser.step()
    decay = min(recipe.average, (1 + number) / (10 + number))
    with torch.no_grad():
        for name, parameter in state.network.named_parameters():
            state.average[name].lerp_(parameter, 1.0 - decay)
    return {name: float(loss.detach()) for name, loss in losses.items() if name != "loss"}


def put_average(network: nn.Module, average: dict[str, Tensor]) -> None:
    """Put averaged weights into a network."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(average[name])


def autocast(recipe: TrainingRecipe, device: str) -> contextlib.AbstractContextManager[None]:
    """Compute convolutions in bf16 where the recipe says so."""
    if recipe.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.partition(":")[0], torch.bfloat16)  # type: ignore[no-any-return]


def _rate(recipe: TrainingRecipe, step: int) -> float:
    """Learning rate: a linear warm-up, steady, and half a cosine down to a hundredth."""
    if step < recipe.warm_up:
        return recipe.learning_rate * (step + 1) / recipe.warm_up
    turn = max(step - recipe.cools_from, 0) / max(recipe.steps - recipe.cools_from, 1)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * turn)))


def _save(path: Path, state: State, key: dict[str, str], recipe: TrainingRecipe) -> None:
    """Write a checkpoint so that a kill leaves the old or the new one."""
    tensors = {f"average.{name}": value.contiguous() for name, value in state.average.items()}
    for name, parameter in state.network.named_parameters():
        moments = state.optimiser.state[parameter]
        tensors[f"weight.{name}"] = parameter.detach().contiguous()
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            tensors[f"{moment}.{name}"] = moments[moment].contiguous()
    new = path.with_suffix(".new")
    about = key | {"step": str(state.step), "whole_recipe": recipe.digest, "cools_from": str(recipe.cools_from),
                   "seconds": f"{state.seconds:.3f}", "core_seconds": f"{state.core_seconds:.3f}"}  # fmt: skip
    save_file(tensors, new, metadata=about | {"sha256": _digest(tensors, about)})
    new.replace(path)


def _digest(tensors: dict[str, Tensor], about: dict[str, str]) -> str:
    """Hash of all that a checkpoint holds; safetensors has no checksum of its own."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a checkpoint; CorruptFileError unless it is whole."""
    try:
        with safe_open(path, framework="pt", device="cpu") as stored:
            about = dict(stored.metadata() or {})
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
    except Exception as error:  # what safetensors raises has no base of its own
        raise CorruptFileError(path, f"it is no whole checkpoint ({error})", "Remove it to train anew.") from error
    if about.pop("sha256", "") != _digest(tensors, about):
        raise CorruptFileError(path, "it is not what was written", "Remove it to train anew.")
    return tensors, about


def _load(path: Path, state: State, key: dict[str, str], recipe: TrainingRecipe) -> State:
    stored, about = _read(path)
    differs = [name for name in key if about.get(name) != key[name]]
    has_cooled = int(about["step"]) > min(int(about["cools_from"]), recipe.cools_from)
    if has_cooled and about["whole_recipe"] != recipe.digest:
        differs.append("number of steps, and its learning rate has begun to fall")
    if differs:
        raise RecipeError(f"{path} is of a training with another {' and '.join(differs)}. Choose another --out.")
    with torch.no_grad():
        for name, parameter in state.network.named_parameters():
            parameter.copy_(stored[f"weight.{name}"])
            state.average[name].copy_(stored[f"average.{name}"])
            state.optimiser.state[parameter] = {
                "step": stored[f"step.{name}"],
                "exp_avg": torch.empty_like(parameter).copy_(stored[f"exp_avg.{name}"]),
                "exp_avg_sq": torch.empty_like(parameter).copy_(stored[f"exp_avg_sq.{name}"]),
            }
    times = float(about["seconds"]), float(about["core_seconds"])
    return State(state.network, state.average, state.optimiser, int(about["step"]), *times)


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
