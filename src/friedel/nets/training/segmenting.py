"""Training of a segmenter of spectra: the same seed gives the same weights, also after a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from friedel.core.arrays import AnyArray, Float32Array, IntArray
from friedel.core.errors import DataError
from friedel.nets.half_plane import SEAM_PX, network_input, of_network
from friedel.nets.training.losses import dice_loss, spot_loss
from friedel.nets.training.networks import Segmenter
from friedel.nets.training.recipe import SegmenterRecipe
from friedel.nets.training.spectra import Spectrum, turned
from friedel.nets.training.steps import Progress, autocast, begin, choose_device, put_average, run_steps

_TRAINING_SEED = 11
#: Spectra over which losses on validation data are taken.
_VALIDATED = 24
Load = Callable[[Path], Spectrum]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedSegmenter:
    """A segmenter with its averaged weights, and how long its training took, in seconds and in those of all cores.

    ``start_sha256`` is the hash of the file of weights from which it started; None is random ones.
    """

    network: Segmenter
    seconds: float
    core_seconds: float
    start_sha256: str | None = None


def train_segmenter(
    recipe: SegmenterRecipe, training: Sequence[Path], validation: Sequence[Path], out: Path, *, load: Load,
    start: Segmenter | None = None, device: str = "auto", progress: Progress = lambda step, steps, text: None,
) -> TrainedSegmenter:  # fmt: skip
    """Train a segmenter, or go on with a training that was interrupted.

    Parameters
    ----------
    training, validation
        Files of spectra with masks, which ``load`` reads; no micrograph should be in both.
    out
        Folder for ``recipe.toml``, ``checkpoint.safetensors``, ``curve.csv`` and ``validation.csv``.
    start
        Network to start from; None starts from random weights.
    progress
        Called with steps done, steps in all, and a line about losses.

    Raises
    ------
    RecipeError
        If the folder holds a training with another recipe or other data.
    DataError
        If there is nothing to train on.
    """
    if not training or not validation:
        raise DataError(
            f"A training needs spectra to train and to validate on, got {len(training)}, {len(validation)}."
        )
    device = choose_device(device)
    torch.manual_seed(recipe.seed)
    network = start if start is not None else Segmenter(recipe.architecture)
    network = network.to(device, memory_format=torch.channels_last)
    key = {"recipe": recipe.digest_of_start, "data": digest_of_files([*training, *validation])}
    state = begin(recipe, network, out, key)
    held_out = [load(path) for path in validation[:_VALIDATED]]
    state = run_steps(
        recipe, state, out, key, lambda step: _losses(recipe, network, training, load, step, device),
        lambda: [_validate(network, state.average, held_out)], (progress, lambda step, rows: None),
    )  # fmt: skip
    put_average(network, state.average)
    return TrainedSegmenter(network, state.seconds, state.core_seconds)


def digest_of_files(paths: Sequence[Path]) -> str:
    """Hash of the contents of files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def segment(network: Segmenter, half: AnyArray, width: int) -> Float32Array:
    """Probability of a spot at each pixel of a half plane (ky, width // 2 + 1), by torch."""
    device = next(network.parameters()).device
    seen = torch.as_tensor(network_input(half, width, network.stride)).to(device)
    with torch.no_grad():
        probability = torch.sigmoid(network(seen))[0].cpu().numpy()
    return np.asarray(of_network(probability, half.shape[0], width), dtype=np.float32)


def _losses(
    recipe: SegmenterRecipe, network: Segmenter, training: Sequence[Path], load: Load, step: int, device: str
) -> dict[str, Tensor]:
    """Losses of one step; the batch depends on its number alone."""
    pieces = [_piece(recipe, training, load, step * recipe.batch + i) for i in range(recipe.batch)]
    seen, mask, counts = (torch.as_tensor(np.stack(part)).to(device) for part in zip(*pieces, strict=True))
    with autocast(recipe, device):
        logits = network(seen.contiguous(memory_format=torch.channels_last))
    entropy, dice = spot_loss(logits, mask, counts, recipe.focal), dice_loss(logits, mask, counts)
    return {"loss": entropy + recipe.dice_weight * dice, "entropy": entropy, "dice": dice}


def _piece(
    recipe: SegmenterRecipe, training: Sequence[Path], load: Load, number: int
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Cut piece ``number`` of the training: all spectra in a new order in each round, turned and cropped at random."""
    turn, place = divmod(number, len(training))
    order: IntArray = np.random.default_rng([_TRAINING_SEED, recipe.seed, turn]).permutation(len(training))
    rng = np.random.default_rng([_TRAINING_SEED, recipe.seed, turn, place])
    spectrum = turned(load(training[int(order[place])]), int(rng.integers(4)))
    seen = network_input(spectrum.half, spectrum.width, recipe.architecture.stride)[0]
    planes = np.zeros((2, *seen.shape[1:]), dtype=np.float32)
    asked = np.s_[: spectrum.half.shape[0], SEAM_PX : SEAM_PX + spectrum.half.shape[1]]
    planes[0][asked], planes[1][asked] = spectrum.mask, spectrum.counts
    size = recipe.crop_px
    corner = [int(rng.integers(max(n - size, 0) + 1)) for n in planes.shape[1:]]
    window = np.s_[:, corner[0] : corner[0] + size, corner[1] : corner[1] + size]
    short = [max(size - n, 0) for n in planes.shape[1:]]
    padding = [(0, 0), (0, short[0]), (0, short[1])]
    seen, planes = (np.pad(array[window], padding) for array in (seen, planes))
    return seen, planes[0], planes[1]


def _validate(network: Segmenter, average: dict[str, Tensor], spectra: Sequence[Spectrum]) -> dict[str, object]:
    """Entropy per pixel and Dice coefficient at 0.5 of the averaged weights."""
    own = {name: p.detach().clone() for name, p in network.named_parameters()}
    put_average(network, average)
    entropy, pixels, overlap, total = 0.0, 0, 0, 0
    for spectrum in spectra:
        found = segment(network, spectrum.half, spectrum.width)
        found = np.clip(found, 1e-6, 1 - 1e-6)[spectrum.counts]
        true = spectrum.mask[spectrum.counts]
        entropy -= float(np.log(np.where(true, found, 1 - found)).sum(dtype=np.float64))
        pixels += true.size
        overlap, total = overlap + 2 * int((true & (found > 0.5)).sum()), total + int((found > 0.5).sum() + true.sum())
    put_average(network, own)
    return {"entropy": f"{entropy / pixels:.6f}", "dice": f"{overlap / max(total, 1):.4f}"}
