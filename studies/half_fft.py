"""Half of an FFT or all of it: do spots merge, does symmetry break, do they come out larger? Figures 2 to 4.

python studies/half_fft.py [--seeds 3] [--write]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from fft_networks import (
    MARK_HEADS,
    MARK_NOTES,
    SETTING,
    WIDTH,
    Look,
    Marks,
    Plan,
    Trained,
    cells_of,
    cost_of,
    judge,
    known_sheets,
    pictures_of,
    probability_of,
    reach_of,
    trained,
    values_of,
)
from fft_sheets import NO_DATA, Sheet, regions_of
from pages import Page, table, write_page
from scipy import ndimage
from segmenter_peers import PlainUnet
from verdicts import HOW_DECIDED, decide, listed, mean_and_range, seeds_text

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.nets.half_plane import whole_of

PLANS = {"half": Plan(), "whole": Plan(look=Look(is_whole=True))}
#: The same training with the most common activation in place of ours.
RELU = Plan(f"unet{WIDTH}-relu", lambda: PlainUnet(WIDTH))
#: How much larger features are at least with wholes, as the paper says.
LARGER = 0.3


@dataclass(frozen=True, slots=True)
class Shape:
    """What regions look like: their number, those without their mate, with several spots, and their size.

    ``size`` is the median of the area of a region over that of the true spot in it.
    """

    regions: int
    unpaired: int
    merged: int
    size: float


def shape_of(ready: Trained, threshold: float) -> Shape:
    """Look at all regions of the test FFTs; those of a half are completed by Friedel's law, as the paper does."""
    regions = unpaired = merged = 0
    sizes: list[float] = []
    pictures = pictures_of("test", None, ready.look.stage)
    for sheet, picture in zip(known_sheets("test"), pictures, strict=True):
        found = probability_of(ready, picture, sheet.width) >= threshold
        whole = found if ready.look.is_whole else completed(found, sheet.width)
        labels, number = regions_of(whole & whole_of(sheet.counts, sheet.width))
        regions += number
        unpaired += unpaired_regions(labels, number)
        inside, ratio = spots_in(labels, number, sheet)
        merged += int((inside > 1).sum())
        sizes += ratio.tolist()
    return Shape(regions, unpaired, merged, float(np.median(sizes)))


def completed(half: BoolArray, width: int) -> BoolArray:
    """Whole plane of a half (ky, width // 2); what it lacks of the last column is False."""
    last = np.zeros((half.shape[0], 1), dtype=bool)
    return np.asarray(whole_of(np.concatenate([half, last], axis=1), width))


def unpaired_regions(labels: AnyArray, number: int) -> int:
    """Regions of a whole plane of which no pixel's mate at -k is marked."""
    height, width = labels.shape
    rows, columns = (2 * (height // 2) - np.arange(height)) % height, (2 * (width // 2) - np.arange(width)) % width
    mate = (labels > 0)[np.ix_(rows, columns)]
    return int((ndimage.maximum(mate, labels, np.arange(1, number + 1)) == 0).sum()) if number else 0


def spots_in(labels: AnyArray, number: int, sheet: Sheet) -> tuple[FloatArray, FloatArray]:
    """Marked spots whose middle lies nearest to each region (number,), and area over the true one where it is one.

    Only the half with kx >= 0 is looked at, where each spot lies once.
    """
    half = labels[:, sheet.width // 2 :]
    true, _ = regions_of(sheet.mask[:, : half.shape[1]])
    inside, ratio = np.zeros(number + 1, dtype=int), []
    px = sheet.px[sheet.is_marked]
    at = np.rint(px).astype(int)
    on = ((at >= 0) & (at < half.shape)).all(axis=1)
    at, reach = at[on], reach_of(sheet)[sheet.is_marked][on]
    owner = half[tuple(at.T)]
    for region in np.unique(owner[owner > 0]):
        mine = at[owner == region]
        # Spots nearer to each other than they can be told apart count as one.
        apart = np.hypot(*(mine[:, None] - mine[None]).transpose(2, 0, 1))
        close = (apart < reach[owner == region]) & (np.tri(len(mine), k=-1) > 0)
        inside[region] = int((~close.any(axis=1)).sum())
        area = int((true == true[tuple(mine[0])]).sum())
        if inside[region] == 1 and true[tuple(mine[0])] > 0:
            ratio.append(int((half == region).sum()) / area)
    return inside[1:], np.array(ratio)


def row_of(name: str, seed: int, marks: Marks, shape: Shape) -> list[str]:
    """Row of the table of shapes."""
    return [name, str(seed), str(shape.regions), f"{100 * shape.unpaired / max(shape.regions, 1):.0f} %",
            str(shape.merged), f"{shape.size:.2f}", f"{marks.threshold:g}"]  # fmt: skip


def of_plans(shapes: dict[str, list[Shape]], read: Callable[[Shape], float]) -> dict[str, list[float]]:
    """One number of each shape."""
    return {name: [read(shape) for shape in found] for name, found in shapes.items()}


def spread(marks: list[Marks]) -> str:
    """Dice coefficients of the worst and the best seed."""
    values = values_of(marks)
    return f"{min(values):.2f} to {max(values):.2f}"


def page_of(marks: dict[str, list[Marks]], relu: list[Marks], shapes: dict[str, list[Shape]], cost: str) -> Page:
    seeds = len(marks["half"])
    rows = [[name, str(i), *cells_of([m])] for name in PLANS for i, m in enumerate(marks[name])]
    rows += [["half, ReLU", str(i), *cells_of([m])] for i, m in enumerate(relu)]
    looks = [row_of(name, i, marks[name][i], s) for name in PLANS for i, s in enumerate(shapes[name])]
    size = of_plans(shapes, lambda s: s.size)
    merged = of_plans(shapes, lambda s: s.merged)
    unpaired = of_plans(shapes, lambda s: 100 * s.unpaired / max(s.regions, 1))
    larger = float(np.mean(size["whole"]) / np.mean(size["half"]) - 1)
    dice = {name: mean_and_range(values_of(marks[name])) for name in PLANS}
    by_measure = {m: decide(*(values_of(marks[name], m) for name in PLANS)) for m in MARK_HEADS[:6]}
    by_size = decide(size["whole"], [(1 + LARGER) * s for s in size["half"]])
    text = f"""
## What the paper says

Trained on whole FFTs, the U-Net breaks Friedel's symmetry, merges features, and draws them at least 30 % larger than
when trained on halves; the half is better in every measure (figures 2 to 4, tables S3 and S4).

## What we measured

{SETTING} {seeds_text(seeds)} and the same number of pixels for both; a whole FFT has twice as many, so that the
network sees half as many FFTs.

{table(("trained on", "seed", *MARK_HEADS), rows)}

{MARK_NOTES} For both the half with kx ≥ 0 is judged. *ReLU*: the same training with that activation.

{table(("trained on", "seed", "regions", "without a mate", "with several spots", "area over true", "threshold"), looks)}

*Regions* are those of the whole planes, a half completed by Friedel's law; *without a mate*: no pixel at -k is marked;
*area over true* is the median over regions with one spot.

## What agrees, and what does not

{HOW_DECIDED}

- Dice: half {dice["half"]}, whole {dice["whole"]}. That the half is better: {listed(by_measure)}.
- That wholes break the symmetry: {decide(unpaired["whole"], unpaired["half"]).lower()}. Of the regions of the whole
  plane, {mean_and_range(unpaired["whole"], 0)} % have no mate, though the FFT is exactly symmetric; with halves, which
  are completed by Friedel's law, it is {mean_and_range(unpaired["half"], 0)} %.
- That wholes merge features: {decide(merged["whole"], merged["half"]).lower()}. Regions with several spots:
  {mean_and_range(merged["half"], 0)} with halves, {mean_and_range(merged["whole"], 0)} with wholes, in
  {len(known_sheets("test"))} FFTs.
- That features come out at least {100 * LARGER:.0f} % larger with wholes: {by_size.lower()}. A region has
  {mean_and_range(size["half"])} times the area of its spot with halves, {mean_and_range(size["whole"])} times with
  wholes: {100 * larger:+.0f} %. This depends on the threshold as much as on the training.
- The activation: from the worst to the best seed Dice reaches from {spread(relu)} with ReLU, and from
  {spread(marks["half"])} with ELU. The paper does not say which of its three it took in the end, nor of any
  normalisation between its layers, the usual remedy; there is none here.

A convolution sees a neighbourhood and not the half plane that it lies in, so that the half can only help by training:
twice as many FFTs for the same work, and none of it spent on copies. The asymmetry of the whole comes from turning: a
spot and its mate are the same picture turned by 180°, and a network has not exactly learnt that this does not matter.

## friedel's own way

friedel's network sees the half with 16 columns of the other beside the seam, so that a spot on kx = 0 is whole, and
completes its map by Friedel's law.

## What cannot be reproduced here

{NO_DATA} The size of the paper's network and training.
"""
    verdict = (
        f"{by_measure['Dice']} in Dice: {dice['half']} with halves, {dice['whole']} with wholes for the same work. "
        f"{by_size} in size: the area of a feature is {100 * larger:+.0f} % with wholes, where the paper has at least "
        f"{100 * LARGER:+.0f} %. Of the regions of wholes {np.mean(unpaired['whole']):.0f} % break the symmetry."
    )
    return Page("half-fft", "Half FFTs against whole ones", "HRTEM", verdict, text, cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the page")
    args = parser.parse_args()
    marks: dict[str, list[Marks]] = {}
    shapes: dict[str, list[Shape]] = {}
    everything: list[Trained] = []
    for name, plan in PLANS.items():
        ready = [trained(replace(plan, seed=seed)) for seed in range(args.seeds)]
        everything += ready
        marks[name] = [judge(r) for r in ready]
        shapes[name] = [shape_of(r, m.threshold) for r, m in zip(ready, marks[name], strict=True)]
        for i, shape in enumerate(shapes[name]):
            print(*row_of(name, i, marks[name][i], shape), *cells_of([marks[name][i]]), flush=True)
    with_relu = [trained(replace(RELU, seed=seed)) for seed in range(args.seeds)]
    relu = [judge(r) for r in with_relu]
    print("ReLU", *cells_of(relu), flush=True)
    if args.write:
        print(write_page(page_of(marks, relu, shapes, cost_of(args.seeds, everything + with_relu))))


if __name__ == "__main__":
    main()
