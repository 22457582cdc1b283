"""What makes trained weights fit for use: a threshold from validation patterns, a test, and a card."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from friedel.crystal import Crystal
from friedel.nets.cards import Metric, OperatingPoint, Preprocessing, Training, WeightCard, dump_card
from friedel.nets.inference import trust_at
from friedel.nets.scoring import Score
from friedel.nets.training.export import export_onnx, hash_crystals
from friedel.nets.training.generator import Batch, PatternRanges, generate
from friedel.nets.training.kinematics import Bank, build_bank
from friedel.nets.training.loop import Trained
from friedel.nets.training.networks import Denoiser
from friedel.nets.training.recipe import DenoiserRecipe
from friedel.nets.training.trust import Judged, choose_points, join, judge_maps
from friedel.nets.training.validation import DOSES, at_dose, run_network, score_at

#: Patterns with and without crystals at each dose, to choose by and to test with, and how many are looked at together.
_VALIDATION, _TEST, _TOGETHER = (300, 2400), (120, 600), 100
_VALIDATION_SEED, _TEST_SEED = 3, 4
#: Shares of vacuum, film and noise among patterns without a crystal, and least share of a film's rings in its light.
_KINDS_OF_NOTHING, _PLAIN_RINGS = (0.15, 0.7, 0.15), 0.1
_LIMITS = (
    "Trained on simulated patterns alone, with single and two-beam intensities, scrambled at random for the rest.",
    "Counts must be in electrons: a gain that is off by more than 30 % is outside of what was trained.",
    "Spots of 0.5 to 2.5 px (one sigma) or disks of up to 9 px radius; doses of 30 to 30,000 electrons per pattern.",
    "Few false spots are promised for cameras that count; where light spreads between pixels, expect more.",
    "The edges of a beam stop look like spots: leave them out of the ring in which spots are sought.",
    "A denoised pattern is an estimate: measure intensities on the counts.",
)


def finish(
    recipe: DenoiserRecipe, trained: Trained, crystals: dict[str, Sequence[Crystal]], out: Path, *, version: int = 1
) -> Path:
    """Choose when spots count, measure on the test crystals, and write weights and card; return the card's path.

    Parameters
    ----------
    crystals
        Those of "train", "validation" and "test".
    """
    network = trained.network.cpu().eval()
    banks = {part: build_bank(crystals[part], max_zones=recipe.max_zones) for part in ("validation", "test")}
    points = choose_points(judge(network, banks["validation"], recipe.ranges))
    metrics = measure(network, banks["test"], recipe.ranges, points)
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
        points=points,
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


def judge(network: Denoiser, bank: Bank, ranges: PatternRanges) -> Judged:
    """Judge what a network sees in validation patterns of all doses, with and without crystals."""
    return join(
        [
            judge_maps(run_network(network, batch)[1], batch)
            for dose in DOSES
            for kinds, n in zip((_crystals_of, _nothing_of), _VALIDATION, strict=True)
            for batch in _patterns(bank, at_dose(kinds(ranges), dose), n, (_VALIDATION_SEED, dose))
        ]
    )


def measure(
    network: Denoiser, bank: Bank, ranges: PatternRanges, points: Sequence[OperatingPoint]
) -> tuple[Metric, ...]:
    """Score a network at each dose on patterns of the test crystals."""

    def score(ranges: PatternRanges, n: int, dose: int) -> Score:
        total = Score()
        for batch in _patterns(bank, at_dose(ranges, dose), n, (_TEST_SEED, dose)):
            trust = trust_at(points, batch.counts.sum(dim=(1, 2)).double().cpu().numpy())
            total += score_at(run_network(network, batch)[1], batch, trust)
        return total

    out = []
    for dose in DOSES:
        found, none = (
            score(kinds(ranges), n, dose) for kinds, n in zip((_crystals_of, _nothing_of), _TEST, strict=True)
        )
        out.append(
            Metric(
                test_set="test crystals, simulated",
                dose_electrons=float(dose),
                f1=round(found.f1, 4),
                precision=round(found.precision, 4),
                recall=round(found.recall, 4),
                error_px=round(found.error_px, 4),
                false_on_nothing=round(none.false / none.patterns, 4),
            )
        )
    return tuple(out)


def _patterns(bank: Bank, ranges: PatternRanges, n: int, seed: tuple[int, int]) -> Iterator[Batch]:
    """Make n patterns, some at a time."""
    for start in range(0, n, _TOGETHER):
        yield generate(bank, ranges, min(_TOGETHER, n - start), (*seed, start))


def _crystals_of(ranges: PatternRanges) -> PatternRanges:
    return replace(ranges, negatives=(0.0, 0.0, 0.0))


def _nothing_of(ranges: PatternRanges) -> PatternRanges:
    """Patterns without a crystal, most of them of a film with plain rings, whose speckles look most like spots.

    By cameras that count electrons, without a beam stop, whose edges look like spots.
    """
    noise = ranges.noise
    rings = replace(noise.amorphous_share, low=max(noise.amorphous_share.low, _PLAIN_RINGS), chance=1.0)
    counting = replace(noise.detector, counting_chance=1.0)
    no_stop = replace(noise.stop_radius_px, chance=0.0)
    return replace(
        ranges, negatives=_KINDS_OF_NOTHING,
        noise=replace(noise, amorphous_share=rings, detector=counting, stop_radius_px=no_stop),
    )  # fmt: skip
