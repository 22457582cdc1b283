"""How a network does on patterns of crystals that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from friedel.core.arrays import BoolArray, Float32Array, FloatArray
from friedel.nets.scoring import Score, score_spots
from friedel.nets.spot_map import Trust, find_peaks
from friedel.nets.training.generator import CRYSTAL, Batch, PatternRanges, generate, network_input, stabilise
from friedel.nets.training.kinematics import Bank
from friedel.nets.training.networks import Denoiser
from friedel.nets.training.recipe import DenoiserRecipe
from friedel.simulate.ranges import Range

#: First number of the seeds of validation patterns.
_VALIDATION_SEED = 2
#: Electrons per pattern at which validation asks.
DOSES = (30, 100, 300, 1000, 3000, 10000)
_THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
#: How near a found spot must be, px; half the radius of a disk where that is more.
TOLERANCE_PX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """Fixed patterns, a batch for each dose of crystals, and one of vacuum, amorphous film and noise."""

    batches: tuple[Batch, ...]
    negatives: Batch


def make_validation(recipe: DenoiserRecipe, bank: Bank, device: str) -> Validation:
    """Make the patterns; the seed of the recipe does not change them."""
    n = recipe.validation_patterns
    some = replace(recipe.ranges, negatives=(0.0, 0.0, 0.0))
    batches = tuple(
        generate(bank, at_dose(some, dose), n, (_VALIDATION_SEED, i), device=device) for i, dose in enumerate(DOSES)
    )
    none = replace(recipe.ranges, negatives=(0.3, 0.4, 0.3))
    return Validation(batches, generate(bank, none, 3 * n, (_VALIDATION_SEED, len(DOSES)), device=device))


def at_dose(ranges: PatternRanges, dose_electrons: float) -> PatternRanges:
    """Fix the dose of the patterns."""
    return replace(ranges, noise=replace(ranges.noise, dose_electrons=Range(dose_electrons, dose_electrons)))


def validate(
    network: Denoiser, average: dict[str, Tensor], validation: Validation, device: str
) -> list[dict[str, object]]:
    """Score the averaged weights: for each dose the error in z, and F1 and position error at the best threshold."""
    own = {name: p.detach().clone() for name, p in network.named_parameters()}
    _set(network, average)
    rows: list[dict[str, object]] = []
    false = [
        score_at(run_network(network, validation.negatives)[1], validation.negatives, Trust(t)).false
        for t in _THRESHOLDS
    ]
    for dose, batch in zip(DOSES, validation.batches, strict=True):
        z, probability = run_network(network, batch)
        error = float((torch.as_tensor(z) - stabilise(batch.expected).cpu()).square().mean().sqrt())
        scores = [score_at(probability, batch, Trust(t)) for t in _THRESHOLDS]
        best = int(np.argmax([s.f1 for s in scores]))
        s = scores[best]
        rows.append({"dose": dose, "rmse_z": f"{error:.4f}", "threshold": _THRESHOLDS[best], "f1": f"{s.f1:.4f}",
                     "precision": f"{s.precision:.4f}", "recall": f"{s.recall:.4f}", "error_px": f"{s.error_px:.3f}",
                     "false_on_nothing": f"{false[best] / len(validation.negatives.kind):.4f}"})  # fmt: skip
    _set(network, own)
    return rows


def score_at(probability: Float32Array, batch: Batch, trust: Trust) -> Score:
    """Score the spots of maps; those on the transmitted beam do not count."""
    pattern, px, _ = find_peaks(probability, trust, off_beam(batch))
    true_px, kind = batch.spot_px.cpu().numpy(), batch.spot_kind.cpu().numpy().copy()
    kind[batch.kind != CRYSTAL] = 0
    reach = tolerances_px(batch)
    return sum((score_spots(px[pattern == i], true_px[i], kind[i], reach[i]) for i in range(len(probability))), Score())


def off_beam(batch: Batch) -> BoolArray:
    """Pixels (n, ky, kx) off the transmitted beam."""
    rows, columns = np.indices(batch.counts.shape[1:])
    y, x = batch.centre_px.cpu().numpy().T[:, :, None, None]
    beam = 2.5 * batch.spot_sigma_px.cpu().numpy() + batch.disk_radius_px.cpu().numpy()
    return np.asarray(np.hypot(rows - y, columns - x) >= beam[:, None, None])


def tolerances_px(batch: Batch) -> FloatArray:
    """How near a found spot must be (n,)."""
    return np.asarray(np.maximum(TOLERANCE_PX, 0.5 * batch.disk_radius_px.double().cpu().numpy()))


def run_network(network: Denoiser, batch: Batch) -> tuple[Float32Array, Float32Array]:
    """Return denoised z and probabilities (n, ky, kx)."""
    parts = []
    with torch.no_grad():
        z = network_input(batch.counts, batch.told_centre_px)
        for start in range(0, len(z), 32):
            denoised, logits = network(z[start : start + 32])
            parts.append((denoised.float().cpu().numpy(), torch.sigmoid(logits).float().cpu().numpy()))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _set(network: Denoiser, values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(values[name])
