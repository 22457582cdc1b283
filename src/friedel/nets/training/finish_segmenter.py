"""What makes a trained segmenter fit for use: thresholds from validation data, a test, and a card."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from friedel.core.arrays import BoolArray, Float32Array, FloatArray
from friedel.crystal import Crystal
from friedel.nets.cards import SegmenterCard, SegmenterMetric, SpectrumPreprocessing, Training, dump_card
from friedel.nets.half_plane import half_of, whole_of
from friedel.nets.scoring import Score
from friedel.nets.segmenter import spot_regions
from friedel.nets.training.export import export_segmenter
from friedel.nets.training.judging import Case, judge, make_cases, total
from friedel.nets.training.networks import Segmenter
from friedel.nets.training.recipe import SegmenterRecipe
from friedel.nets.training.segmenting import TrainedSegmenter, segment
from friedel.nets.training.spectra import Spectrum
from friedel.spots.cfar import Cfar
from friedel.spots.noise_floor import noise_floor
from friedel.spots.segmentation import score_mask

#: Seeds of micrographs; no set has that of another.
TRAINING_SEED, VALIDATION_SEED, TEST_SEED = 1, 2, 3
_TEST_MICROGRAPHS = 60
_THRESHOLDS: tuple[float, ...] = (*np.round(np.arange(0.06, 0.96, 0.03), 2).tolist(), 0.97, 0.98, 0.99, 0.995)
_LIMITS = (
    "Trained on simulated micrographs alone: grains on an amorphous film, of crystals of many systems.",
    "Spots are asked for between 8 px from the centre and 1 1/Å or the Nyquist frequency.",
    "Sides of 384 to 768 px were trained; larger micrographs show the same spots wider.",
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities from which on a pixel belongs to the mask, and a region is a spot."""

    mask: float
    spot: float


def choose_by_cases(network: Segmenter, cases: Sequence[Case]) -> Thresholds:
    """Choose the mask's threshold by its Dice coefficient, and that of spots by the false ones of ``Cfar``.

    The spot threshold is the lowest at which no more false spots are found than by ``Cfar`` with its defaults.
    """
    allowed = total(cases, find_by_cfar).false
    seen = [(case, *look(network, case)) for case in cases]
    rates = [(t, sum((_judge(case, p, ratio, t) for case, ratio, p in seen), Score()).false) for t in _THRESHOLDS]
    spot = next((t for t, false in rates if false <= allowed), _THRESHOLDS[-1])
    masks = [(half_of(p), case.mask, case.ring) for case, _, p in seen]
    return Thresholds(best_mask_threshold(masks), spot)


def choose_by_masks(network: Segmenter, spectra: Sequence[Spectrum]) -> Thresholds:
    """Choose both thresholds by the Dice coefficient of labelled pictures."""
    masks = [(segment(network, s.half, s.width), s.mask, s.counts) for s in spectra]
    best = best_mask_threshold(masks)
    return Thresholds(best, best)


def best_mask_threshold(masks: Sequence[tuple[Float32Array, BoolArray, BoolArray]]) -> float:
    """Threshold with the best Dice coefficient over all pixels of maps with masks and the pixels that count."""

    def dice(threshold: float) -> float:
        found = [(p >= threshold) & counts for p, _, counts in masks]
        hits = sum(int((f & mask).sum()) for f, (_, mask, _) in zip(found, masks, strict=True))
        marked = sum(
            int(f.sum()) + int((mask & counts).sum()) for f, (_, mask, counts) in zip(found, masks, strict=True)
        )
        return 2 * hits / max(marked, 1)

    return float(max(_THRESHOLDS, key=dice))


def look(network: Segmenter, case: Case) -> tuple[FloatArray, Float32Array]:
    """Power over noise, and probability of a spot (ky, kx)."""
    ratio = case.pattern.data / noise_floor(case.pattern)
    half = segment(network, half_of(np.minimum(ratio, 6e4)), ratio.shape[1])
    return ratio, np.asarray(whole_of(half, ratio.shape[1]))


def find_by_cfar(case: Case) -> FloatArray:
    """Positions (N, 2) in px found by ``Cfar`` with its defaults."""
    return case.pattern.grid.px_of(Cfar().find(case.pattern, case.annulus_inv_a).k_inv_a)


def _judge(case: Case, probability: Float32Array, ratio: FloatArray, threshold: float) -> Score:
    return judge(case, spot_regions(probability, ratio, case.search, threshold)[:, :2])


def measure_cases(
    network: Segmenter, cases: Sequence[Case], thresholds: Thresholds, doses: Sequence[tuple[float, float]], name: str
) -> tuple[SegmenterMetric, ...]:
    """Measure spots and masks in each range of doses."""
    out = []
    for low, high in doses:
        some = [case for case in cases if low <= case.dose_e_per_a2 < high]
        if not some:
            continue
        score, dice = Score(), []
        for case in some:
            ratio, probability = look(network, case)
            score += _judge(case, probability, ratio, thresholds.spot)
            dice.append(score_mask((half_of(probability) >= thresholds.mask) & case.ring, case.mask).dice)
        out.append(
            SegmenterMetric(
                test_set=name, dose_e_per_a2=(low, high), f1=round(score.f1, 4), precision=round(score.precision, 4),
                recall=round(score.recall, 4), false_per_image=round(score.false / score.patterns, 4),
                dice=round(float(np.mean(dice)), 4),
            )
        )  # fmt: skip
    return tuple(out)


def finish_on_simulations(
    recipe: SegmenterRecipe, trained: TrainedSegmenter, crystals: dict[str, Sequence[Crystal]], data_sha256: str,
    out: Path, progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Path:  # fmt: skip
    """Choose thresholds on validation micrographs, measure on test ones, and write weights and card."""
    counts = {"validation": recipe.validation_micrographs, "test": _TEST_MICROGRAPHS}
    seeds = {"validation": VALIDATION_SEED, "test": TEST_SEED}
    progress("judging", 0, 2)
    cases = {
        part: make_cases(seeds[part], counts[part], crystals[part], recipe.variety, recipe.shapes) for part in counts
    }
    network = trained.network.cpu().eval()
    thresholds = choose_by_cases(network, cases["validation"])
    progress("judging", 1, 2)
    low, high = recipe.variety.dose_e_per_a2
    edges = np.geomspace(low, high, 4)
    doses = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    metrics = measure_cases(network, cases["test"], thresholds, doses, "test crystals, simulated")
    path = write_card(recipe, trained, thresholds, metrics, data_sha256, _LIMITS, out)
    progress("judging", 2, 2)
    return path


def write_card(
    recipe: SegmenterRecipe, trained: TrainedSegmenter, thresholds: Thresholds, metrics: tuple[SegmenterMetric, ...],
    data_sha256: str, limits: tuple[str, ...], out: Path,
) -> Path:  # fmt: skip
    """Write weights and card, and return the card's path."""
    weights = out / f"{recipe.name}.onnx"
    card = SegmenterCard(
        name=recipe.name,
        version=1,
        summary="Marks spots in the power spectra of micrographs.",
        licence="GPL-3.0-or-later",
        file=weights.name,
        sha256=export_segmenter(trained.network, weights),
        parameters=sum(p.numel() for p in trained.network.parameters()),
        architecture=recipe.architecture,
        preprocessing=SpectrumPreprocessing(stride=recipe.architecture.stride),
        threshold=thresholds.spot,
        mask_threshold=thresholds.mask,
        training=Training(
            recipe=recipe.model_dump(mode="json"),
            recipe_sha256=recipe.digest,
            data_sha256=data_sha256,
            seed=recipe.seed,
            patterns=recipe.steps * recipe.batch,
            core_minutes=round(trained.core_seconds / 60.0, 1),
            machine=f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads",
            date=dt.datetime.now(dt.UTC).date().isoformat(),
            start_sha256=trained.start_sha256,
        ),
        metrics=metrics,
        limits=limits,
    )
    path = out / f"{recipe.name}.toml"
    path.write_text(dump_card(card), encoding="utf-8")
    return path
