"""What makes trained weights fit for use: a threshold from validation patterns, a test, and a card."""

from __future__ import annotations

import datetime as dt
import itertools
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from friedel.crystal import Crystal
from friedel.nets.cards import Metric, Preprocessing, Training, WeightCard, dump_card
from friedel.nets.spot_map import Trust
from friedel.nets.training.export import export_onnx, hash_crystals
from friedel.nets.training.generator import Batch, PatternRanges, generate
from friedel.nets.training.kinematics import Bank, build_bank
from friedel.nets.training.loop import Trained
from friedel.nets.training.networks import Denoiser
from friedel.nets.training.recipe import DenoiserRecipe
from friedel.nets.training.validation import DOSES, at_dose, run_network, score_at

#: False spots per pattern of vacuum, amorphous film or noise that a trust may let through on validation patterns.
MAX_FALSE = 0.02
_PATTERNS, _NEGATIVES = 120, 600
_THRESHOLDS = np.round(np.arange(0.20, 0.91, 0.05), 2)
_DOUBTS = (1.0, 0.5, 0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05, 0.02, 0.01)
_SEEDS = {"validation": 3, "test": 4}
_LIMITS = (
    "Trained on simulated patterns alone, with single and two-beam intensities, scrambled at random for the rest.",
    "Counts must be in electrons: a gain that is off by more than 30 % is outside of what was trained.",
    "Spots of 0.5 to 2.5 px (one sigma) or disks of up to 9 px radius; doses of 30 to 30,000 electrons per pattern.",
    "The threshold holds for cameras that count; where light spreads between pixels, expect more false spots.",
    "A denoised pattern is an estimate: measure intensities on the counts.",
)


def finish(
    recipe: DenoiserRecipe, trained: Trained, crystals: dict[str, Sequence[Crystal]], out: Path, *, version: int = 1
) -> Path:
    """Choose the threshold, measure on the test crystals, and write weights and card; return the card's path.

    Parameters
    ----------
    crystals
        Those of "train", "validation" and "test".
    """
    network = trained.network.cpu().eval()
    banks = {part: build_bank(crystals[part], max_zones=recipe.max_zones) for part in ("validation", "test")}
    trust = choose_trust(network, banks["validation"], recipe.ranges)
    metrics = measure(network, banks["test"], recipe.ranges, trust, "test")
    weights = out / f"{recipe.name}.onnx"
    sha256 = export_onnx(network, weights)
    card = WeightCard(
        name=recipe.name,
        version=version,
        summary="Denoises electron diffraction patterns and maps where spots are.",
        licence="GPL-3.0-or-later",
        file=weights.name,
        sha256=sha256,
        parameters=sum(p.numel() for p in network.parameters()),
        architecture=recipe.architecture,
        preprocessing=Preprocessing(
            stride=recipe.architecture.stride, max_electrons=recipe.ranges.noise.dose_electrons.high
        ),
        threshold=trust.threshold,
        doubt=trust.doubt,
        training=Training(
            recipe=recipe.model_dump(mode="json"),
            recipe_sha256=recipe.digest,
            data_sha256=hash_crystals(crystals["train"]),
            seed=recipe.seed,
            patterns=recipe.steps * recipe.batch,
            core_minutes=round(trained.core_seconds / 60.0, 1),
            machine=f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads",
            date=dt.datetime.now(dt.UTC).date().isoformat(),
        ),
        metrics=metrics,
        limits=_LIMITS,
    )
    path = out / f"{recipe.name}.toml"
    path.write_text(dump_card(card), encoding="utf-8")
    return path


def choose_trust(network: Denoiser, bank: Bank, ranges: PatternRanges) -> Trust:
    """Find the trust with the best mean F1 over the doses among those that see few spots where there are none."""
    batches, nothing = _patterns(bank, ranges, _SEEDS["validation"])
    maps = [run_network(network, batch)[1] for batch in batches]
    empty = run_network(network, nothing)[1]
    best, best_f1 = Trust(float(_THRESHOLDS[-1])), -1.0
    for threshold, doubt in itertools.product(_THRESHOLDS, _DOUBTS):
        trust = Trust(float(threshold), doubt)
        if score_at(empty, nothing, trust).false > MAX_FALSE * len(nothing.kind):
            continue
        f1 = float(np.mean([score_at(m, b, trust).f1 for m, b in zip(maps, batches, strict=True)]))
        if f1 > best_f1:
            best, best_f1 = trust, f1
    return best


def measure(network: Denoiser, bank: Bank, ranges: PatternRanges, trust: Trust, part: str) -> tuple[Metric, ...]:
    """Score a network at each dose on patterns of the crystals of a part that it was not trained on."""
    batches, nothing = _patterns(bank, ranges, _SEEDS[part])
    false = score_at(run_network(network, nothing)[1], nothing, trust).false / len(nothing.kind)
    out = []
    for dose, batch in zip(DOSES, batches, strict=True):
        score = score_at(run_network(network, batch)[1], batch, trust)
        out.append(
            Metric(
                test_set=f"{part} crystals, simulated",
                dose_electrons=float(dose),
                f1=round(score.f1, 4),
                precision=round(score.precision, 4),
                recall=round(score.recall, 4),
                error_px=round(score.error_px, 4),
                false_on_nothing=round(false, 4),
            )
        )
    return tuple(out)


def _patterns(bank: Bank, ranges: PatternRanges, seed: int) -> tuple[tuple[Batch, ...], Batch]:
    """Patterns of crystals at each dose, and patterns without any, those by cameras that count electrons."""
    some = replace(ranges, negatives=(0.0, 0.0, 0.0))
    counting = replace(ranges.noise, detector=replace(ranges.noise.detector, counting_chance=1.0))
    none = replace(ranges, negatives=(0.3, 0.4, 0.3), noise=counting)
    batches = tuple(generate(bank, at_dose(some, dose), _PATTERNS, (seed, i)) for i, dose in enumerate(DOSES))
    return batches, generate(bank, none, _NEGATIVES, (seed, len(DOSES)))
