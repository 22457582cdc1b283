"""Half of an FFT or all of it: do spots merge, does symmetry break, do they come out larger? Figures 2 to 4.

python studies/half_fft.py [--seeds 1] [--write]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from fft_networks import (
    MARK_HEADS,
    MARK_NOTES,
    SETTING,
    STEP_PX,
    TRAINING_PX,
    Look,
    Marks,
    Plan,
    Trained,
    judge,
    known_sheets,
    mean_of,
    pictures_of,
    probability_of,
    reach_of,
    seeds_text,
    trained,
)
from fft_sheets import NO_DATA, Sheet, regions_of
from pages import Page, cpu_minutes, table, write_page
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.nets.half_plane import whole_of

LOOKS = {"half": Look(), "whole": Look(is_whole=True)}


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


def page_of(marks: dict[str, list[Marks]], shapes: dict[str, list[Shape]], seconds: dict[str, float]) -> Page:
    seeds = len(marks["half"])
    rows = [[name, str(i), *m.cells()] for name in LOOKS for i, m in enumerate(marks[name])]
    looks = [row_of(name, i, marks[name][i], s) for name in LOOKS for i, s in enumerate(shapes[name])]
    size = {name: float(np.median([s.size for s in shapes[name]])) for name in LOOKS}
    unpaired = {
        name: 100 * sum(s.unpaired for s in shapes[name]) / max(sum(s.regions for s in shapes[name]), 1)
        for name in LOOKS
    }
    merged = {name: sum(s.merged for s in shapes[name]) / seeds for name in LOOKS}
    text = f"""
## What the paper says

Trained on whole FFTs, the U-Net breaks Friedel's symmetry, merges features, and draws them at least 30 % larger than
when trained on halves; the half is better in every measure (figures 2 to 4, tables S3 and S4).

## What we measured

{SETTING} {seeds_text(seeds)} and the same number of pixels for both; a whole FFT has twice as many, so that the
network sees half as many FFTs.

{table(("trained on", "seed", *MARK_HEADS), rows)}

{MARK_NOTES} For both the half with kx ≥ 0 is judged.

{table(("trained on", "seed", "regions", "without a mate", "with several spots", "area over true", "threshold"), looks)}

*Regions* are those of the whole planes, a half completed by Friedel's law; *without a mate*: no pixel at -k is marked;
*area over true* is the median over regions with one spot.

## What agrees, and what does not

- Dice: half {mean_of(marks["half"])}, whole {mean_of(marks["whole"])}.
- Symmetry: of the regions of the whole plane, {unpaired["whole"]:.0f} % have no mate, though the FFT is exactly
  symmetric. With halves, which are completed by Friedel's law, it is {unpaired["half"]:.0f} %.
- Merged: {merged["half"]:.0f} regions with several spots with halves, {merged["whole"]:.0f} with wholes, in
  {len(known_sheets("test"))} FFTs.
- Size: a region has {size["half"]:.2f} times the area of its spot with halves, {size["whole"]:.2f} times with wholes
  (medians of the seeds). This depends on the threshold as much as on the training.
- A seed whose best threshold is 0.01 has hardly learnt to mark spots in {TRAINING_PX // STEP_PX} steps: longer
  trainings are needed before the half can be told from the whole.

A convolution sees a neighbourhood and not the half plane that it lies in, so that the half can only help by training:
twice as many FFTs for the same work, and none of it spent on copies. The asymmetry of the whole comes from turning: a
spot and its mate are the same picture turned by 180°, and a network has not exactly learnt that this does not matter.

## friedel's own way

friedel's network sees the half with 16 columns of the other beside the seam, so that a spot on kx = 0 is whole, and
completes its map by Friedel's law.

## What cannot be reproduced here

{NO_DATA} The size of the paper's network and training.
"""
    dice = {name: [m.mask.dice for m in marks[name]] for name in LOOKS}
    agrees = "Open, as the seed decides more"
    if min(dice["half"]) > max(dice["whole"]):
        agrees = "Agrees"
    elif max(dice["half"]) < min(dice["whole"]):
        agrees = "Does not agree here"
    verdict = (
        f"{agrees}: Dice {mean_of(marks['half'])} with halves, {mean_of(marks['whole'])} with wholes for the same "
        f"work. Of the regions of wholes {unpaired['whole']:.0f} % break the symmetry."
    )
    cost = (
        f"{seeds_text(seeds)}; {seconds['half']:.0f} s of processor time for a training on halves, "
        f"{seconds['whole']:.0f} s on wholes, {cpu_minutes()} for what is not kept from other studies."
    )
    return Page("half-fft", "Half FFTs against whole ones", "HRTEM", verdict, text, cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the page")
    args = parser.parse_args()
    marks: dict[str, list[Marks]] = {}
    shapes: dict[str, list[Shape]] = {}
    seconds: dict[str, float] = {}
    for name, look in LOOKS.items():
        ready = [trained(replace(Plan(look=look), seed=seed)) for seed in range(args.seeds)]
        seconds[name] = float(np.mean([r.seconds for r in ready]))
        marks[name] = [judge(r) for r in ready]
        shapes[name] = [shape_of(r, m.threshold) for r, m in zip(ready, marks[name], strict=True)]
        for i, shape in enumerate(shapes[name]):
            print(*row_of(name, i, marks[name][i], shape), *marks[name][i].cells(), flush=True)
    if args.write:
        print(write_page(page_of(marks, shapes, seconds)))


if __name__ == "__main__":
    main()
