"""From a recipe to a segmenter with its card: on simulated micrographs, or on labelled pictures of FFTs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from friedel.core.errors import RecipeError
from friedel.crystal import Crystal
from friedel.nets.cards import SegmenterMetric
from friedel.nets.segmenter import load_segmenter
from friedel.nets.training.export import read_segmenter
from friedel.nets.training.finish_segmenter import (
    TRAINING_SEED,
    VALIDATION_SEED,
    Thresholds,
    choose_by_masks,
    finish_on_simulations,
    write_card,
)
from friedel.nets.training.judging import judge_mask
from friedel.nets.training.networks import Segmenter
from friedel.nets.training.pictures import write_pictures
from friedel.nets.training.recipe import SegmenterRecipe
from friedel.nets.training.segmenting import digest_of_files, segment, train_segmenter
from friedel.nets.training.spectra import Spectrum, load_spectrum, write_spectra

Progress = Callable[[str, int, int], None]
_PICTURE_LIMITS = ("Trained on labelled pictures of FFTs; what it finds is what their labels call a spot.",)


def learn_from_simulations(
    recipe: SegmenterRecipe, crystals: dict[str, Sequence[Crystal]], out: Path, *, start: str | None = None,
    device: str = "auto", progress: Progress = lambda what, done, total: None,
) -> Path:  # fmt: skip
    """Simulate micrographs into ``out``, train on them, and return the path of the card.

    Parameters
    ----------
    crystals
        Those of "train", "validation" and "test".
    start
        Segmenter whose weights are taken at the beginning.
    """
    paths = {}
    for part, seed, count in (
        ("train", TRAINING_SEED, recipe.micrographs), ("validation", VALIDATION_SEED, recipe.validation_micrographs),
    ):  # fmt: skip
        paths[part] = write_spectra(
            out / "spectra" / part, seed, count, crystals[part], recipe.variety, recipe.shapes,
            progress=lambda done, total, part=part: progress(f"micrographs ({part})", done, total),  # type: ignore[misc]
        )  # fmt: skip
    network, start_sha256 = _start(recipe, start)
    trained = train_segmenter(
        recipe, paths["train"], paths["validation"], out, load=load_spectrum, start=network,
        device=device, progress=lambda done, total, text: progress("training", done, total),
    )  # fmt: skip
    trained = replace(trained, start_sha256=start_sha256)
    return finish_on_simulations(recipe, trained, crystals, digest_of_files(paths["train"]), out, progress)


def learn_from_pictures(
    recipe: SegmenterRecipe, images: Path, labels: Path, out: Path, *, start: str | None = None,
    device: str = "auto", progress: Progress = lambda what, done, total: None,
) -> Path:  # fmt: skip
    """Train on labelled pictures, and return the path of the card.

    One in five sources is set aside to choose the threshold by; the card's figures are of those.
    """
    progress("reading pictures", 0, 1)
    training, judged = write_pictures(images, labels, out / "spectra")
    progress("reading pictures", 1, 1)
    network, start_sha256 = _start(recipe, start)
    trained = train_segmenter(
        recipe, training, judged, out, load=load_spectrum, start=network, device=device,
        progress=lambda done, total, text: progress("training", done, total),
    )  # fmt: skip
    trained = replace(trained, start_sha256=start_sha256)
    network = trained.network.cpu().eval()
    spectra = [load_spectrum(path) for path in judged]
    thresholds = choose_by_masks(network, spectra)
    metric = measure_pictures(network, spectra, thresholds)
    return write_card(recipe, trained, thresholds, (metric,), digest_of_files(training), _PICTURE_LIMITS, out)


def measure_pictures(network: Segmenter, spectra: Sequence[Spectrum], thresholds: Thresholds) -> SegmenterMetric:
    """Measure spots and masks on labelled pictures, a spot being what hangs together in a label."""
    scores = [judge_mask(segment(network, s.half, s.width), s.mask, thresholds.mask) for s in spectra]
    score = sum((spots for spots, _ in scores[1:]), scores[0][0])
    return SegmenterMetric(
        test_set="labelled pictures set aside", f1=round(score.f1, 4),
        precision=round(score.precision, 4), recall=round(score.recall, 4),
        false_per_image=round(score.false / score.patterns, 4),
        dice=round(float(np.mean([mask.dice for _, mask in scores])), 4),
    )  # fmt: skip


def _start(recipe: SegmenterRecipe, name: str | None) -> tuple[Segmenter | None, str | None]:
    """Network to start from, and the hash of its weights."""
    if name is None:
        return None, None
    ready = load_segmenter(name)
    if ready.card.architecture != recipe.architecture:
        raise RecipeError(f"{name} has another architecture than the recipe: {ready.card.architecture}.")
    network = Segmenter(recipe.architecture)
    read_segmenter(network, ready.path)
    return network, ready.card.sha256
