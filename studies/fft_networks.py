"""Short trainings of the HRTEM paper's networks on simulated FFTs, and their scores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
import torch
from fft_sheets import (
    DOSES_E_PER_A2,
    HIDDEN,
    MARKED,
    PARTS,
    SHAPE,
    WORK,
    Part,
    Sheet,
    Stage,
    picture_of,
    sheets_of,
)
from pages import cpu_minutes
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from segmenter_peers import PlainUnet, UnetOptions
from segmenter_pictures import pool
from torch import nn
from torch.nn import functional
from verdicts import mean_and_range, seeds_text

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from friedel.nets.half_plane import half_of, whole_of
from friedel.nets.scoring import FAINT, WANTED, Score, score_spots
from friedel.nets.segmenter import Segmenter
from friedel.nets.training.judging import NEAR_PX, NEAR_WIDTHS, middles
from friedel.spots.noise_floor import noise_floor
from friedel.spots.segmentation import MaskScore, score_mask

#: Filters of the paper's network at its first level, here and there, and the highest learning rate.
WIDTH, PAPER_WIDTH, RATE = 4, 128, 2e-3
#: Pixels that a step of a training sees, whatever the size of its pictures: two half FFTs of 256 x 128 px.
STEP_PX = 2 * 256 * 128
TRAINING_PX = 1200 * STEP_PX
#: Log-odds of a spot at a pixel before anything is learnt.
_FIRST_LOGIT = -4.0
#: Of the paper's three activations the one with which so narrow a network learns from every seed.
ACTIVATION: Literal["elu"] = "elu"
THRESHOLDS = (0.01, 0.02, *np.round(np.arange(0.05, 0.96, 0.05), 2).tolist())


@dataclass(frozen=True, slots=True)
class Look:
    """How a network sees an FFT: the stage of its preprocessing, all of it or half, shrunk by a factor."""

    stage: Stage = "filtered"
    is_whole: bool = False
    shrink: int = 1

    def see(self, plane: AnyArray, width: int) -> Float32Array:
        """Cut a half plane (ky, width // 2 + 1) to what is seen: means over ``shrink`` x ``shrink`` px."""
        seen = whole_of(plane, width) if self.is_whole else plane[:, : width // 2]
        height, columns = (n // self.shrink for n in seen.shape)
        blocks = seen.reshape(height, self.shrink, columns, self.shrink)
        return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)

    def back(self, seen: AnyArray, width: int) -> Float32Array:
        """Bring a map to full size, half a plane of ``width // 2`` columns or the whole."""
        return np.asarray(seen.repeat(self.shrink, axis=0).repeat(self.shrink, axis=1), dtype=np.float32)


def unet_of(width: int) -> nn.Module:
    """Make the paper's network with so many filters at its first level."""
    return PlainUnet(width, UnetOptions(activation=ACTIVATION))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One training: the network and what it is called, what it sees, and for how long."""

    network: str = f"unet{WIDTH}"
    make: Callable[[], nn.Module] = lambda: unet_of(WIDTH)
    look: Look = Look()
    n_sheets: int = 120
    pixels: int = TRAINING_PX
    rate: float = RATE
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the file of weights."""
        part, stage = "whole" if self.look.is_whole else "half", self.look.stage.replace(" ", "-")
        return f"{self.network}-{stage}-{part}-{self.look.shrink}-{self.n_sheets}-{self.seed}"


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network, how it sees, and the processor seconds that its training took."""

    network: nn.Module
    look: Look
    seconds: float


@dataclass(frozen=True, slots=True)
class Marks:
    """How well spots of several FFTs are marked: pixels, the median Hausdorff distance, and spots.

    ``threshold`` is that of the probability from which on a pixel is marked.
    """

    mask: MaskScore
    spots: Score
    threshold: float


#: Measures of marks: how each is read, and how it is shown.
MEASURES: dict[str, tuple[Callable[[Marks], float], str]] = {
    "Dice": (lambda m: m.mask.dice, ".2f"),
    "IoU": (lambda m: m.mask.iou, ".2f"),
    "accuracy": (lambda m: m.mask.pixel_accuracy, ".2%"),
    "precision": (lambda m: m.mask.precision, ".2f"),
    "recall": (lambda m: m.mask.recall, ".2f"),
    "Hausdorff": (lambda m: m.mask.hausdorff_px, ".0f"),
    "spots found": (lambda m: m.spots.recall, ".0%"),
    "false": (lambda m: m.spots.false / m.spots.patterns, ".1f"),
}
#: Those of which less is better.
LESS = ("Hausdorff", "false")
MARK_HEADS = tuple(MEASURES)
MARK_NOTES = (
    "*Dice*, *IoU*, *accuracy*, *precision* and *recall* are over the judged pixels of all test FFTs, *Hausdorff* is "
    "the median over FFTs in px. A spot is *found* if the middle of a marked region lies within 3 px of it, or 1.2 of "
    "its widths; *false* is false regions an FFT. The threshold is that of the best Dice on the validation FFTs. Where "
    "a row has several seeds it holds their means, and the range of Dice."
)
SETTING = (
    f"{PARTS['training'][1]} simulated micrographs of {SHAPE[0]} x {SHAPE[1]} px to learn from (grains of Li, LiF, "
    f"Li₂O and Li₂CO₃ on an amorphous film, {DOSES_E_PER_A2[0]:g} to {DOSES_E_PER_A2[1]:g} e/Å², either lens in turn), "
    f"{PARTS['validation'][1]} others to choose thresholds on, and {PARTS['test'][1]} others to judge on; the paper's "
    f"FFTs have 16 times as many pixels. Its U-Net with {WIDTH} filters at the first level in place of {PAPER_WIDTH}, "
    f"its picture of the FFT, its cross entropy; {TRAINING_PX // STEP_PX} steps that each see as many pixels as two "
    f"half FFTs, transposed and mirrored at random; Adam, rates up to {RATE:g}; of the paper's three activations "
    f"{ACTIVATION.upper()}, with which every seed learns ([half against whole](half-fft.md)). A spot is marked if a "
    f"filter of its own shape sees it at {MARKED:g} times the noise or more; those between {HIDDEN:g} and {MARKED:g} "
    "count neither way."
)


@lru_cache
def known_sheets(part: Part, count: int | None = None) -> tuple[Sheet, ...]:
    """Sheets of a part, kept in memory."""
    return tuple(sheets_of(part, count))


@lru_cache(maxsize=4)
def pictures_of(part: Part, count: int | None, stage: Stage) -> tuple[Float32Array, ...]:
    """Half pictures of the sheets of a part."""
    return tuple(picture_of(sheet, stage) for sheet in known_sheets(part, count))


def trained(plan: Plan) -> Trained:
    """Train, with the paper's cross entropy, or load what was trained before."""
    path = WORK / "networks" / f"{plan.name}.safetensors"
    torch.manual_seed(plan.seed)
    network = plan.make().to(memory_format=torch.channels_last)
    key = json.dumps([repr(plan.look), plan.n_sheets, plan.pixels, plan.rate, str(network)])
    if path.exists():
        with safe_open(path, framework="pt") as stored:
            facts = stored.metadata()
        if facts["key"] == key:
            network.load_state_dict(load_file(path))
            return Trained(network.eval(), plan.look, float(facts["seconds"]))
    pictures = pictures_of("training", plan.n_sheets, plan.look.stage)
    began = time.process_time()
    _train(network, plan, pictures)
    seconds = time.process_time() - began
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, path, {"key": key, "seconds": f"{seconds:.1f}"})
    print(f"{plan.name}: {seconds:.0f} s", flush=True)
    return Trained(network.eval(), plan.look, seconds)


def unet(width: int) -> Plan:
    """Plan of the paper's network with so many filters at its first level."""
    return Plan(f"unet{width}", lambda: unet_of(width))


def _train(network: nn.Module, plan: Plan, pictures: Sequence[Float32Array]) -> None:
    torch.set_num_threads(1)
    _start(network)
    network.train()
    sheets = known_sheets("training", plan.n_sheets)
    optimiser = torch.optim.Adam(network.parameters(), lr=plan.rate)
    size = plan.look.see(sheets[0].power, sheets[0].width).size
    batch = max(STEP_PX // size, 1)
    steps = plan.pixels // (batch * size)

    @cache
    def seen(chosen: int, view: int) -> tuple[Float32Array, ...]:
        """Picture, mask and counts of a sheet, transposed and mirrored; few enough to be kept."""
        sheet = sheets[chosen]
        planes = (turned(p, view, sheet.width) for p in (pictures[chosen], sheet.mask, sheet.counts))
        return tuple(plan.look.see(plane, sheet.width) for plane in planes)

    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=steps)
    for step in range(steps):
        pieces = [seen(*_drawn(plan.seed, len(sheets), step * batch + i)) for i in range(batch)]
        picture, mask, counts = (torch.as_tensor(np.stack(part)) for part in zip(*pieces, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(picture[:, None].contiguous(memory_format=torch.channels_last))
        loss = (functional.binary_cross_entropy_with_logits(logits, mask, reduction="none") * counts).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()


def _start(network: nn.Module) -> None:
    """Draw weights that keep the size of signals through many layers (He et al. 2015), and a rare spot at first."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    head = network.head
    assert isinstance(head, nn.Conv2d)
    nn.init.kaiming_normal_(head.weight, nonlinearity="linear")
    nn.init.constant_(head.bias, _FIRST_LOGIT)


def _drawn(seed: int, sheets: int, number: int) -> tuple[int, int]:
    """Which sheet is FFT ``number`` of a training, and from which view: all in a new order in each round."""
    turn, place = divmod(number, sheets)
    order: IntArray = np.random.default_rng([seed, turn]).permutation(sheets)
    return int(order[place]), int(np.random.default_rng([seed, turn, place]).integers(4))


def turned(half: AnyArray, view: int, width: int) -> AnyArray:
    """Half plane of a square FFT of the same specimen transposed (bit 0) and mirrored (bit 1)."""
    whole = whole_of(half, width)
    if view & 1:
        whole = whole.T
    if view & 2:
        whole = whole[(2 * (len(whole) // 2) - np.arange(len(whole))) % len(whole)]
    return half_of(whole)


def probability_of(ready: Trained, picture: AnyArray, width: int) -> Float32Array:
    """Probability of a spot at each pixel of the half plane (ky, width // 2), or of the whole if that is seen."""
    seen = torch.as_tensor(ready.look.see(picture, width))[None, None]
    with torch.no_grad():
        found = torch.sigmoid(ready.network(seen))[0].numpy()
    return ready.look.back(found, width)


def half_maps(ready: Trained, part: Part, count: int | None = None) -> list[Float32Array]:
    """Probabilities (ky, width // 2) of the half planes of the FFTs of a part; of whole ones half is kept."""
    pictures = pictures_of(part, count, ready.look.stage)
    maps = [probability_of(ready, p, s.width) for p, s in zip(pictures, known_sheets(part, count), strict=True)]
    return [found[:, -found.shape[0] // 2 :] if ready.look.is_whole else found for found in maps]


def own_maps(segmenter: Segmenter, part: Part) -> list[Float32Array]:
    """Probabilities (ky, width // 2) of the FFTs of a part by the network that comes with friedel."""
    maps = []
    for sheet in known_sheets(part):
        whole = sheet.pattern
        ratio = np.minimum(whole.data / noise_floor(whole), 6e4)
        maps.append(segmenter.probability(half_of(ratio), sheet.width)[:, : sheet.width // 2])
    return maps


def best_threshold(maps: Sequence[Float32Array], sheets: Sequence[Sheet]) -> float:
    """Threshold with the best Dice coefficient over all judged pixels."""
    return float(max(THRESHOLDS, key=lambda t: pooled(maps, sheets, t).dice))


def pooled(maps: Sequence[Float32Array], sheets: Sequence[Sheet], threshold: float) -> MaskScore:
    """Count pixels of maps at a threshold; without the Hausdorff distance, which takes long."""
    hits = false = missed = total = 0
    for found, sheet in zip(maps, sheets, strict=True):
        columns = found.shape[1]
        counts, true = sheet.counts[:, :columns], sheet.mask[:, :columns]
        marked = (found >= threshold) & counts
        hits, false = hits + int((marked & true).sum()), false + int((marked & ~true).sum())
        missed, total = missed + int((true & ~marked).sum()), total + int(counts.sum())
    return MaskScore(hits, false, missed, total - hits - false - missed, float("nan"))


def judge(ready: Trained) -> Marks:
    """Score a network on the test FFTs, at the best threshold of the validation FFTs."""
    return judge_maps(half_maps(ready, "validation"), half_maps(ready, "test"))


def judge_maps(validation: Sequence[Float32Array], test: Sequence[Float32Array]) -> Marks:
    """Score maps of the test FFTs at the threshold that is best for those of the validation FFTs."""
    return marks_at(test, best_threshold(validation, known_sheets("validation")))


def marks_at(test: Sequence[Float32Array], threshold: float) -> Marks:
    """Score maps of the test FFTs at a threshold."""
    masks, spots = [], Score()
    for found, sheet in zip(test, known_sheets("test"), strict=True):
        columns = found.shape[1]
        counts, true = sheet.counts[:, :columns], sheet.mask[:, :columns]
        marked = (found >= threshold) & counts
        masks.append(score_mask(marked, true))
        spots += spot_score(marked, sheet)
    far = float(np.median([m.hausdorff_px for m, s in zip(masks, known_sheets("test"), strict=True) if s.mask.any()]))
    total = pool(masks)
    return Marks(MaskScore(total.hits, total.false, total.missed, total.rejected, far), spots, threshold)


def values_of(marks: Sequence[Marks], measure: str = "Dice") -> list[float]:
    """A measure of several seeds, signed so that more is better."""
    sign = -1.0 if measure in LESS else 1.0
    return [sign * MEASURES[measure][0](m) for m in marks]


def cells_of(marks: Sequence[Marks]) -> list[str]:
    """Cells of a table under ``MARK_HEADS``: means of several seeds, and the range of Dice."""
    shown = [mean_and_range(values_of(marks))]
    for read, how in list(MEASURES.values())[1:]:
        mean = float(np.mean([read(m) for m in marks]))
        shown.append(format(mean, how).replace("%", " %") if np.isfinite(mean) else "none")
    return shown


def cost_of(seeds: int, ready: Iterable[Trained]) -> str:
    """Seeds and processor time of a study: all of its trainings, and this run."""
    seconds = [one.seconds for one in ready]
    return (
        f"{seeds_text(seeds)}; {len(seconds)} trainings, {sum(seconds) / 60:.0f} core-minutes in all, which are kept "
        f"for other studies; {cpu_minutes()} for this run."
    )


def spot_score(marked: BoolArray, sheet: Sheet) -> Score:
    """Match the middles of marked regions with the spots."""
    kind = np.where(sheet.is_marked, WANTED, FAINT)
    return score_spots(middles(marked), sheet.px, kind, reach_of(sheet))


def reach_of(sheet: Sheet) -> FloatArray:
    """How near a region's middle must be to each spot, in px."""
    return np.asarray(np.maximum(NEAR_PX, NEAR_WIDTHS * sheet.widths_px))
