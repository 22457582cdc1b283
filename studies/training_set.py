"""More and larger training images, more filters: what helps for the same work? Figures S7 and S8, tables S1 and S2.

python studies/training_set.py [--seeds 3] [--write]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from fft_networks import (
    MARK_HEADS,
    MARK_NOTES,
    PAPER_WIDTH,
    SETTING,
    TRAINING_PX,
    WIDTH,
    Look,
    Marks,
    Plan,
    Trained,
    cells_of,
    cost_of,
    half_maps,
    judge,
    known_sheets,
    pooled,
    trained,
    unet,
    values_of,
)
from fft_sheets import NO_DATA, SHAPE
from pages import Page, table, write_page
from verdicts import HOW_DECIDED, decide, listed, mean_and_range, seeds_text

FEW, MANY = 20, 120
SHRINKS = (4, 2, 1)
#: Filters at the first level, and the share of the pixels with which a training takes as long as any other.
WIDTHS = {2: 1.7, WIDTH: 1.0, 8: 0.5}


def sizes() -> dict[tuple[int, int], Plan]:
    """Plans by (number of FFTs, factor by which they are shrunk)."""
    return {(n, k): replace(Plan(look=Look(shrink=k)), n_sheets=n) for n in (FEW, MANY) for k in SHRINKS}


def widths() -> dict[int, Plan]:
    """Plans by the number of filters."""
    return {w: replace(unet(w), pixels=int(share * TRAINING_PX)) for w, share in WIDTHS.items()}


def dice_on_own(ready: Sequence[Trained], marks: Sequence[Marks]) -> float:
    """Mean Dice coefficient of several seeds on the first FFTs that they have learnt from."""
    sheets = known_sheets("training", FEW)
    pairs = zip(ready, marks, strict=True)
    return float(np.mean([pooled(half_maps(r, "training", FEW), sheets, m.threshold).dice for r, m in pairs]))


def page_of(
    by_size: dict[tuple[int, int], list[Marks]],
    on_own: dict[int, float],
    by_width: dict[int, list[Marks]],
    seconds: dict[int, float],
    cost: str,
) -> Page:
    rows = [[str(n), f"{SHAPE[0] // k} x {SHAPE[1] // 2 // k}", *cells_of(m)] for (n, k), m in by_size.items()]
    filters = [[str(w), f"{seconds[w]:.0f} s", *cells_of(m)] for w, m in by_width.items()]
    dice = {key: values_of(m) for key, m in by_size.items()}
    mean = {key: float(np.mean(values)) for key, values in dice.items()}
    number = {f"{SHAPE[0] // k} px": decide(dice[MANY, k], dice[FEW, k]) for k in SHRINKS}
    size = {f"{n} FFTs": decide(*(dice[n, k] for k in reversed(SHRINKS))) for n in (FEW, MANY)}
    width = decide(*(values_of(by_width[w]) for w in sorted(by_width, reverse=True)))
    widths_say = ", ".join(f"{mean_and_range(values_of(m))} with {w}" for w, m in by_width.items())
    seeds = len(dice[FEW, 1])
    text = f"""
## What the paper says

Of sets of 500 and 1986 images (both made from 80 FFTs by small rotations, shifts, shears and zooms) of 256 x 256, 512
x 512 and 1024 x 512 px, more and larger ones are better (figure S7, table S1); of 32 to 128 filters at the first
level, {PAPER_WIDTH} are best (figure S8, table S2).

## What we measured

{SETTING} {seeds_text(seeds)}.

### Number and size

FFTs of *different micrographs*, {FEW} and {MANY}, whole and averaged over 2 x 2 and 4 x 4 px (the area interpolation
of the paper). Every training sees as many pixels, hence small FFTs more often. All are judged at full size.

{table(("FFTs", "px", *MARK_HEADS), rows)}

{MARK_NOTES}

On {FEW} FFTs that it has learnt from, the network of {FEW} FFTs has Dice {on_own[FEW]:.2f}, on new ones
{mean[FEW, 1]:.2f}; that of {MANY} has {on_own[MANY]:.2f} on the same ones, and {mean[MANY, 1]:.2f} on new ones.

### Filters

For about the same processor time, so that a network of more filters sees fewer FFTs.

{table(("filters", "training", *MARK_HEADS), filters)}

## What agrees, and what does not

{HOW_DECIDED}

- That more FFTs are better: {listed(number, "at")}.
- That larger FFTs are better: {listed(size, "from")}. Mean Dice by size, smallest first:
  {", ".join(f"{mean[FEW, k]:.2f}" for k in SHRINKS)} from {FEW}, {", ".join(f"{mean[MANY, k]:.2f}" for k in SHRINKS)}
  from {MANY} FFTs.
- The paper divides its 1986 images at random into 90 % to learn from and 10 % to judge by, after making them from 80
  FFTs: nearly every image to judge by is a view of an FFT that was learnt from. How much that flatters is the
  difference between the two pairs of numbers above.
- That more filters are better, for equal work: {width.lower()}. Dice {widths_say}. The paper compares at equal epochs,
  where more filters also mean more work.

## friedel's own way

Simulation gives as many *different* FFTs as wanted, with exact masks: friedel's network has learnt from 1,200
micrographs of other crystals than it is judged on, with transposed and mirrored views only, which are what a mirrored
specimen gives. Small rotations and shears are not needed, and a shift of an FFT is nothing that a specimen can do.

## What cannot be reproduced here

{NO_DATA} Sizes up to 1024 px and {PAPER_WIDTH} filters; the numbers of the paper's tables stand in its supplement.
"""
    largest = number[f"{SHAPE[0]} px"]
    verdict = (
        f"Number: {largest.lower()}, Dice {mean_and_range(dice[FEW, 1])} from {FEW} FFTs, "
        f"{mean_and_range(dice[MANY, 1])} from {MANY}. Size: {size[f'{MANY} FFTs'].lower()}, {mean[MANY, 4]:.2f}, "
        f"{mean[MANY, 2]:.2f}, {mean[MANY, 1]:.2f} from small to large. Filters, for equal work: {width.lower()}, Dice "
        f"{widths_say}. The paper judges on views of what was learnt from."
    )
    return Page("training-set", "Number and size of training images, and filters", "HRTEM", verdict, text, cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the page")
    args = parser.parse_args()

    def all_seeds(plan: Plan) -> list[Trained]:
        return [trained(replace(plan, seed=seed)) for seed in range(args.seeds)]

    ready = {key: all_seeds(plan) for key, plan in sizes().items()}
    by_size = {key: [judge(r) for r in found] for key, found in ready.items()}
    for (n, k), m in by_size.items():
        print(n, k, *cells_of(m), flush=True)
    on_own = {n: dice_on_own(ready[n, 1], by_size[n, 1]) for n in (FEW, MANY)}
    wide = {w: all_seeds(plan) for w, plan in widths().items()}
    by_width = {w: [judge(r) for r in found] for w, found in wide.items()}
    seconds = {w: float(np.mean([r.seconds for r in found])) for w, found in wide.items()}
    for w, m in by_width.items():
        print(w, seconds[w], *cells_of(m), flush=True)
    if args.write:
        others = [found for w, found in wide.items() if w != WIDTH]
        cost = cost_of(args.seeds, chain(*ready.values(), *others))
        print(write_page(page_of(by_size, on_own, by_width, seconds, cost)))


if __name__ == "__main__":
    main()
