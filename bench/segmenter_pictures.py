"""Hand-labelled pictures of real FFTs: the network as it comes, fine-tuned on some of the windows, and CFAR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from friedel.core.arrays import Float32Array, FloatArray
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern
from friedel.nets.half_plane import whole_of
from friedel.nets.scoring import WANTED, Score, score_spots
from friedel.nets.segmenter import Segmenter
from friedel.nets.training import networks
from friedel.nets.training.export import read_segmenter
from friedel.nets.training.finish_segmenter import best_mask_threshold
from friedel.nets.training.judging import NEAR_PX, judge_mask, middles
from friedel.nets.training.pictures import write_pictures
from friedel.nets.training.recipe import SegmenterRecipe
from friedel.nets.training.segmenting import segment, train_segmenter
from friedel.nets.training.spectra import Spectrum, load_spectrum
from friedel.spots.cfar import Cfar
from friedel.spots.segmentation import MaskScore

FINE_STEPS = 200
#: Spectra of the windows to learn from, by which thresholds are chosen.
_TUNED_ON = 120

PAGE = """
## Real FFTs, labelled by hand

Pictures of FFTs of real micrographs of zirconium oxides, 64 x 64 px (Zhang et al., Micron 166, 103402, 2023;
github.com/rememberBr/HRTEM): {windows} windows in {views} views each, turned and shifted. What a grey value means is
not known, so that each picture is first brought to the statistics of speckle. {learnt} windows are for thresholds and
for fine-tuning ({steps} batches of 16); the other {judged}, {pictures} pictures, are judged here. Spots count within 3
px.

| method | Dice | IoU | recall | precision | spot F1 |
|---|---|---|---|---|---|
{rows}
"""


def measure_pictures_of(folder: Path, segmenter: Segmenter, out: Path) -> str:
    """Judge, fine-tune on the windows that are not judged, and judge again."""
    training, judged = write_pictures(folder / "images", folder / "label", out / "pictures")
    network = networks.Segmenter(segmenter.card.architecture)
    read_segmenter(network, segmenter.path)
    rows = [_row("network, from simulations alone", network, training, judged), _cfar_row(judged)]
    recipe = SegmenterRecipe(
        name="pictures", architecture=segmenter.card.architecture, steps=FINE_STEPS, learning_rate=3e-4, warm_up=50,
        crop_px=64, batch=16, validate_every=FINE_STEPS, checkpoint_every=100, average=0.98,
    )  # fmt: skip
    tuned = train_segmenter(recipe, training, judged, out / "fine", load=load_spectrum, start=network, device="cpu")
    rows.insert(1, _row("network, fine-tuned on other windows", tuned.network, training, judged))
    sources = [{path.stem.rpartition("_")[0] for path in part} for part in (training, judged)]
    return PAGE.format(
        windows=len(sources[0]) + len(sources[1]), views=(len(training) + len(judged)) // sum(map(len, sources)),
        steps=FINE_STEPS, learnt=len(sources[0]), judged=len(sources[1]), pictures=len(judged), rows="\n".join(rows),
    )  # fmt: skip


def pool(masks: Sequence[MaskScore]) -> MaskScore:
    """Add up the pixels of several masks; the distance is that of the worst."""
    hits, false, missed, rejected = np.sum([(m.hits, m.false, m.missed, m.rejected) for m in masks], axis=0).tolist()
    return MaskScore(hits, false, missed, rejected, max(m.hausdorff_px for m in masks))


def _row(name: str, network: torch.nn.Module, training: Sequence[Path], judged: Sequence[Path]) -> str:
    some = np.random.default_rng(0).choice(len(training), min(_TUNED_ON, len(training)), replace=False)
    known = [load_spectrum(training[int(i)]) for i in some]
    threshold = best_mask_threshold([(_look(network, s), s.mask, s.counts) for s in known])
    masks, spots = [], Score()
    for spectrum in (load_spectrum(path) for path in judged):
        score, mask = judge_mask(_look(network, spectrum), spectrum.mask, threshold)
        masks.append(mask)
        spots += score
    pooled = pool(masks)
    cells = [f"{v:.2f}" for v in (pooled.dice, pooled.iou, pooled.recall, pooled.precision, spots.f1)]
    return f"| {name} | {' | '.join(cells)} |"


def _look(network: torch.nn.Module, spectrum: Spectrum) -> Float32Array:
    assert isinstance(network, networks.Segmenter)
    return segment(network.eval(), spectrum.half, spectrum.width)


def _cfar_row(judged: Sequence[Path]) -> str:
    score = Score()
    for spectrum in (load_spectrum(path) for path in judged):
        power = np.asarray(whole_of(spectrum.half, spectrum.width), dtype=np.float32)
        height, width = power.shape
        grid = ReciprocalGrid(step_inv_a=(1 / height, 1 / width), centre_px=(height // 2, width // 2))
        found = Cfar(window="none").find(Pattern(power, grid, origin="fft"), (4 / min(power.shape), 0.7))
        true_px = middles(spectrum.mask)
        spots_px = _in_half(grid.px_of(found.k_inv_a), (height, width))
        score += score_spots(spots_px, true_px, np.full(len(true_px), WANTED), NEAR_PX)
    return f"| CFAR | – | – | – | – | {score.f1:.2f} |"


def _in_half(px: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Move spots of the plane to kx >= 0, and count columns from there."""
    away = px - (shape[0] // 2, shape[1] // 2)
    return np.asarray(np.where(away[:, 1:] < 0, -away, away) + np.array([shape[0] // 2, 0]))
