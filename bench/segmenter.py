"""How well are spots of spectra marked: the network, CFAR, and the ways of Raghavendran et al. (2025)?

Judges on simulated micrographs of crystals of the test split, from a seed on which nothing was tuned; thresholds are
chosen on other crystals. --data is the folder of a training (``friedel train segmenter --out``); the peers are trained
on its spectra, once, into --out. --pictures is a folder with images/ and label/ of hand-labelled FFTs.

python bench/segmenter.py --weights FILE --data FOLDER --out FOLDER [--pictures FOLDER] [--write]
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from segmenter_peers import (
    CNN_WIDTH,
    PAPER_WIDTH,
    WIDTH,
    PlainUnet,
    SmallCnn,
    brightest_cluster,
    gflop,
    picture_of,
    probability_of,
    trained,
)
from segmenter_pictures import measure_pictures_of, pool

from friedel.core.arrays import Float32Array, FloatArray
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.nets.half_plane import half_of, whole_of
from friedel.nets.scoring import FAINT, WANTED, Score, score_spots
from friedel.nets.segmenter import SegmentDetector, Segmenter, load_segmenter, spot_regions
from friedel.nets.training import networks
from friedel.nets.training.finish_segmenter import best_mask_threshold
from friedel.nets.training.judging import Case, judge, judged_spots, make_cases
from friedel.patterns.diffractogram import diffractogram
from friedel.simulate.training.materials import load_materials
from friedel.simulate.training.micrographs import Variety
from friedel.spots.cfar import Cfar
from friedel.spots.noise_floor import noise_floor
from friedel.spots.segmentation import MaskScore, score_mask

DOCS = Path(__file__).parents[1] / "docs" / "bench" / "segmenter.md"
VALIDATION_SEED, TEST_SEED = 2, 20_263
SHAPES = ((512, 512), (384, 640), (450, 450), (768, 512))
UNET_STEPS, CNN_STEPS = 4000, 1500
SNR_EDGES = (4.0, 6.0, 10.0, 20.0, np.inf)
DOSE_EDGES = (50.0, 230.0, 1080.0, 5000.1)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
CLUSTERS = (2, 3, 4, 5)
#: A mask of more regions is noise, and has no spots.
_MOST_REGIONS = 1000
_NOISE_IMAGES = 60


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """A way to mark spots: probability of the half plane from power over noise, and the thresholds that go with it."""

    name: str
    probability: Callable[[FloatArray], Float32Array]
    gflop: float
    mask_threshold: float = 0.5
    spot_threshold: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a method made of a case: the mask of the half plane, if it makes one, and spots (N, 2) in px."""

    mask: MaskScore | None
    spots_px: FloatArray


def peer(name: str, network: torch.nn.Module, billions: float) -> Method:
    """Wrap a network that sees pictures."""
    return Method(
        name, lambda ratio: probability_of(network, picture_of(half_of(ratio), ratio.shape[1])), billions
    )  # fmt: skip


def clusters(number: int) -> Method:
    """k-means of the grey values of the picture."""
    name = f"k-means, {number} clusters"
    return Method(name, lambda ratio: brightest_cluster(picture_of(half_of(ratio), ratio.shape[1]), number), 0.0)


def ours(segmenter: Segmenter) -> Method:
    """The network with the thresholds of its card."""
    card = segmenter.card
    billions = gflop(networks.Segmenter(card.architecture), 3, (1024, 544))
    return Method(
        "network", lambda ratio: segmenter.probability(half_of(np.minimum(ratio, 6e4)), ratio.shape[1]), billions,
        card.mask_threshold, card.threshold,
    )  # fmt: skip


def ratio_of(case: Case) -> FloatArray:
    """Power over noise (ky, kx)."""
    return np.asarray(case.pattern.data / noise_floor(case.pattern))


def tuned(method: Method, cases: Sequence[Case]) -> Method:
    """Choose the mask's threshold by Dice, and that of spots by F1, on cases that are not judged."""
    seen = [(case, ratio, method.probability(ratio)) for case in cases for ratio in [ratio_of(case)]]
    mask = best_mask_threshold([(p, case.mask, case.ring) for case, _, p in seen])

    def f1(threshold: float) -> float:
        return sum((judge(c, spots_of(p, r, c, threshold)) for c, r, p in seen), Score()).f1

    return Method(method.name, method.probability, method.gflop, mask, max(THRESHOLDS, key=f1))


def spots_of(half: Float32Array, ratio: FloatArray, case: Case, threshold: float) -> FloatArray:
    """Spots of a map of the half plane, most probable first."""
    if ndimage.label(half >= threshold)[1] > _MOST_REGIONS:
        return np.zeros((0, 2))
    probability = np.asarray(whole_of(half, ratio.shape[1]))
    return np.asarray(spot_regions(probability, ratio, case.search, threshold)[:, :2])


def apply(method: Method, case: Case) -> Found:
    """Mark a case."""
    ratio = ratio_of(case)
    half = method.probability(ratio)
    mask = score_mask((half >= method.mask_threshold) & case.ring, case.mask)
    return Found(mask, spots_of(half, ratio, case, method.spot_threshold))


def cfar(case: Case) -> Found:
    """Spots of ``Cfar`` with its defaults."""
    return Found(None, case.pattern.grid.px_of(Cfar().find(case.pattern, case.annulus_inv_a).k_inv_a))


def recall_between(cases: Sequence[Case], found: Sequence[Found], low: float, high: float) -> tuple[float, int]:
    """Share found of the true spots of this signal to noise, and their number."""
    score = Score()
    for case, marked in zip(cases, found, strict=True):
        true_px, kind, tolerance, strength = judged_spots(case)
        asked = (kind == WANTED) & (strength >= low) & (strength < high)
        score += score_spots(marked.spots_px, true_px, np.where(asked, WANTED, FAINT), tolerance)
    return score.recall, score.hits + score.missed


def total_score(cases: Sequence[Case], found: Sequence[Found]) -> Score:
    """Spots of several cases."""
    return sum((judge(case, marked.spots_px) for case, marked in zip(cases, found, strict=True)), Score())


def mask_row(found: Sequence[Found]) -> list[str]:
    """Dice, IoU, recall and precision over the pixels of all cases, and the median Hausdorff distance."""
    masks = [marked.mask for marked in found if marked.mask is not None]
    if not masks:
        return ["–"] * 5
    pooled = pool(masks)
    distance = float(np.median([m.hausdorff_px for m in masks if m.hits + m.missed]))
    shown = "none" if np.isinf(distance) else f"{distance:.0f}"
    return [*(f"{v:.2f}" for v in (pooled.dice, pooled.iou, pooled.recall, pooled.precision)), shown]


PAGE = """# Marking spots in spectra

Made by {made}, Python {python}; {n_test} micrographs of
crystals that no training saw, from a seed on which nothing was tuned. The network has the thresholds of its card: the
mask's by the best Dice coefficient, that of spots so that on validation crystals it finds no more false ones than CFAR.
The others have those with the best Dice and the best F1 on {n_validation} micrographs of validation crystals.

A spot is asked for where a filter of its own shape would see it at 4 times the noise or more; it is found if something
lies within 3 px of it, or 1.2 of its widths. Masks are judged on half the plane, over the pixels of all micrographs;
*Hausdorff* is the median over the micrographs with spots, in px. *False* is false spots an image, *GFLOP* is for
1024 x 512 px.

- *network*: the segmenter of friedel, {million:.2f} million parameters, trained in {core_minutes:.0f} core-minutes on
  {spectra:,} simulated micrographs of other crystals. `friedel weights list` shows its card; `friedel train segmenter`
  trains one, with `--images DIR --labels DIR` on labelled FFTs of your own.
- *CFAR*: the detector without a network (`--detector cfar`), for 0.1 false spots in an image of noise.
- *plain U-Net*: the architecture of Raghavendran et al. (2025) with {width} filters at the first level instead of
  {paper_width}, trained again on the network's own spectra in {unet_steps} batches of 4. At the published width it
  takes {paper_gflop:,.0f} GFLOP an image, and was not trained. It sees the paper's picture (logarithm, contrast,
  Gaussian) of the power over its noise floor.
- *small CNN*: three convolutions of {cnn} filters on that picture, {cnn_steps} batches. *k-means*: its brightest part.

| method | Dice | IoU | recall | precision | Hausdorff | spot F1 | found | false | GFLOP |
|---|---|---|---|---|---|---|---|---|---|
{methods}

In {n_noise} images of white noise alone, 512 x 512 px, the network finds {false_net} spots and CFAR {false_cfar}.

The network finds more of the faint spots. Yet `--detector auto` is CFAR: at low doses the network pays for them with
as many more false ones, so that its F1 is no better there; it states no number of false ones; and on spectra unlike
those of its training (last table) it is worse until it is fine-tuned.

## Faint spots

Share of the spots found, by their signal to noise under a filter of their own shape.

| method | {snr_heads} |
|---|{snr_rule}|
{snr}

## Dose

F1 of spots, and false spots an image.

| method | {dose_heads} |
|---|{dose_rule}|
{doses}
{pictures}"""


def on_noise(segmenter: Segmenter, number: int) -> dict[str, int]:
    """Count the spots found in images of white noise."""
    rng, grid = np.random.default_rng(TEST_SEED), RealGrid((0.3, 0.3))
    out = {"n_noise": number, "false_net": 0, "false_cfar": 0}
    for _ in range(number):
        pattern = diffractogram(Micrograph(rng.normal(size=(512, 512)), grid))
        out["false_net"] += len(SegmentDetector(segmenter).find(pattern, (0.1, 1.0)))
        out["false_cfar"] += len(Cfar().find(pattern, (0.1, 1.0)))
    return out


def by_snr(cases: Sequence[Case], all_found: dict[str, list[Found]]) -> tuple[str, list[str]]:
    """Table of recall by signal to noise."""
    heads: list[str] = []
    rows = []
    for name, found in all_found.items():
        cells = []
        for low, high in itertools.pairwise(SNR_EDGES):
            recall, number = recall_between(cases, found, low, high)
            cells.append(f"{100 * recall:.0f} %")
            if len(heads) < len(SNR_EDGES) - 1:
                span = f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
                heads.append(f"{span} ({number})")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return " | ".join(heads), rows


def by_dose(cases: Sequence[Case], all_found: dict[str, list[Found]]) -> tuple[str, list[str]]:
    """Table of F1 by dose."""
    spans = list(itertools.pairwise(DOSE_EDGES))
    groups = [[i for i, c in enumerate(cases) if low <= c.dose_e_per_a2 < high] for low, high in spans]
    heads = [f"{low:.0f} to {high:.0f} e/Å² ({len(g)})" for (low, high), g in zip(spans, groups, strict=True)]
    rows = []
    for name, found in all_found.items():
        scores = [total_score([cases[i] for i in g], [found[i] for i in g]) for g in groups]
        cells = [f"{s.f1:.2f}, {s.false / max(s.patterns, 1):.2f}" for s in scores]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return " | ".join(heads), rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="segmenter", help="segmenter: a shipped one or a NAME.onnx")
    parser.add_argument("--data", type=Path, required=True, help="folder of a training, with its spectra")
    parser.add_argument("--out", type=Path, required=True, help="folder for the peers' weights")
    parser.add_argument("--pictures", type=Path, help="folder with images/ and label/")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--write", action="store_true", help="write docs/bench/segmenter.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted((args.data / "spectra" / "train").glob("*.npz"))
    unet = trained(lambda: PlainUnet(WIDTH), "unet", paths, UNET_STEPS, args.out)
    cnn = trained(lambda: SmallCnn(CNN_WIDTH), "cnn", paths, CNN_STEPS, args.out)
    split = {part: [m.crystal for m in load_materials() if m.split == part] for part in ("validation", "test")}
    validation = make_cases(VALIDATION_SEED, args.images // 2, split["validation"], Variety(), SHAPES)
    cases = make_cases(TEST_SEED, args.images, split["test"], Variety(), SHAPES)
    print("cases are made", flush=True)
    by_clusters = [clusters(k) for k in CLUSTERS]
    best = max(by_clusters, key=lambda m: total_score(validation, [apply(m, c) for c in validation]).f1)
    peers = [
        tuned(peer("plain U-Net", unet, gflop(PlainUnet(WIDTH), 1)), validation),
        tuned(peer("small CNN", cnn, gflop(SmallCnn(CNN_WIDTH), 1)), validation),
        best,
    ]  # fmt: skip
    segmenter = load_segmenter(args.weights)
    methods = [ours(segmenter), *peers]
    all_found: dict[str, list[Found]] = {}
    rows = []
    for name, run, cost in (*((m.name, lambda c, m=m: apply(m, c), m.gflop) for m in methods), ("CFAR", cfar, 0.0)):
        began = time.process_time()
        all_found[name] = [run(case) for case in cases]
        score = total_score(cases, all_found[name])
        cells = [*mask_row(all_found[name]), f"{score.f1:.2f}", f"{100 * score.recall:.0f} %",
                 f"{score.false / score.patterns:.2f}", f"{cost:.1f}" if cost else "–"]  # fmt: skip
        rows.append(f"| {name} | {' | '.join(cells)} |")
        print(rows[-1], f"{time.process_time() - began:.0f} s", flush=True)
    snr_heads, snr = by_snr(cases, all_found)
    dose_heads, doses = by_dose(cases, all_found)
    pictures = measure_pictures_of(args.pictures, segmenter, args.out) if args.pictures else ""
    today = dt.datetime.now(tz=dt.UTC).date()
    made = f"`python bench/segmenter.py --write --images {len(cases)}` on {today}, {platform.machine()}"
    page = PAGE.format(
        made=made, python=platform.python_version(), n_test=len(cases), n_validation=len(validation),
        width=WIDTH, paper_width=PAPER_WIDTH, unet_steps=UNET_STEPS,
        paper_gflop=gflop(PlainUnet(PAPER_WIDTH), 1), cnn=CNN_WIDTH, cnn_steps=CNN_STEPS, methods="\n".join(rows),
        snr_heads=snr_heads, snr_rule="|".join(["---"] * (len(SNR_EDGES) - 1)), snr="\n".join(snr),
        dose_heads=dose_heads, dose_rule="|".join(["---"] * (len(DOSE_EDGES) - 1)), doses="\n".join(doses),
        million=segmenter.card.parameters / 1e6, core_minutes=segmenter.card.training.core_minutes, spectra=len(paths),
        pictures=pictures, **on_noise(segmenter, _NOISE_IMAGES),
    )  # fmt: skip
    print(page)
    if args.write:
        DOCS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
