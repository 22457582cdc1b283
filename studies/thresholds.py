"""From which probability on does a pixel belong to a spot? The threshold from 0 to 1; figures S9 and S10.

python studies/thresholds.py [--seeds 3] [--write]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from fft_networks import SETTING, Plan, cost_of, half_maps, known_sheets, own_maps, pooled, trained
from fft_sheets import NO_DATA, Part
from matplotlib.figure import Figure
from pages import Page, save_picture, table, write_page
from verdicts import HOW_DECIDED, decide, mean_and_range, seeds_text

from friedel.core.arrays import Float32Array, FloatArray
from friedel.nets.segmenter import Segmenter, load_segmenter
from friedel.report.style import in_house_style

THRESHOLDS = (0.001, 0.01, 0.05, *np.round(np.arange(0.1, 0.91, 0.1), 2).tolist(), 0.95, 0.99)
MEASURES = {"dice": "Dice", "iou": "IoU", "pixel_accuracy": "accuracy", "precision": "precision", "recall": "recall"}
THEIRS, OWN, PAPER_CHOICE = "the paper's network", "friedel's network", 0.9
_CAPTION = "Measures over the threshold, on the test FFTs. Dotted: the paper's choice."


def sweep(maps: Sequence[Float32Array], part: Part) -> FloatArray:
    """Measures (thresholds, measures) of the maps of a part."""
    scores = [pooled(maps, known_sheets(part), t) for t in THRESHOLDS]
    return np.array([[getattr(score, name) for name in MEASURES] for score in scores])


@in_house_style
def draw(curves: dict[str, FloatArray]) -> Figure:
    """Each measure over the threshold, for two networks."""
    figure = Figure(figsize=(7.6, 2.8), layout="constrained")
    for ax, (name, values) in zip(figure.subplots(1, 2, sharey=True), curves.items(), strict=True):
        for column, label in zip(values.T, MEASURES.values(), strict=True):
            ax.plot(THRESHOLDS, column, lw=1.3, label=label)
        ax.axvline(PAPER_CHOICE, color="#999999", lw=0.8, ls=":")
        ax.set(title=name, xlabel="threshold", xlim=(0, 1), ylim=(0, 1.02))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    return figure


def rows_of(values: FloatArray) -> list[list[str]]:
    """Rows of the table of a sweep."""
    digits = [4 if name == "pixel_accuracy" else 2 for name in MEASURES]
    return [[f"{t:g}", *(f"{v:.{n}f}" for v, n in zip(row, digits, strict=True))]
            for t, row in zip(THRESHOLDS, values, strict=True)]  # fmt: skip


def page_of(
    chosen: FloatArray, curves: dict[str, FloatArray], each: Sequence[FloatArray], own: Segmenter, cost: str
) -> Page:
    mean = curves[THEIRS]
    best, on_validation = (THRESHOLDS[int(np.argmax(values[:, 0]))] for values in (mean, chosen))
    own_best = THRESHOLDS[int(np.argmax(curves[OWN][:, 0]))]
    each_best = ", ".join(f"{THRESHOLDS[int(np.argmax(values[:, 0]))]:g}" for values in each)
    at_paper, at_chosen = (
        [float(values[THRESHOLDS.index(t), 0]) for values in each] for t in (PAPER_CHOICE, on_validation)
    )
    says = decide(at_paper, at_chosen)
    empty = 1 - np.mean([sheet.mask[sheet.counts].mean() for sheet in known_sheets("test")])
    text = f"""
## What the paper says

Thresholds from 0 to 1 were tried by several measures, and 0.90 is best (figures S9 and S10).

## What we measured

{SETTING}

{table(("threshold", *MEASURES.values()), rows_of(mean))}

{seeds_text(len(each))}, on the test FFTs; means where there are several.

{save_picture("thresholds", draw(curves), _CAPTION)}

## What agrees, and what does not

{HOW_DECIDED}

- That 0.90 is better than what validation FFTs choose, {on_validation:g}: {says.lower()}. Dice is
  {mean_and_range(at_paper)} at 0.90 and {mean_and_range(at_chosen)} at {on_validation:g}. Best on the test FFTs is
  {best:g} (by seed: {each_best}).
- Recall is best at the lowest threshold and precision at the highest, whatever the network. Accuracy hardly moves:
  {100 * empty:.1f} % of the pixels are background, and marking nothing scores as much. Dice decides, or IoU, which
  orders alike.
- The best threshold is no property of the task, but of the probabilities, which the loss, the length of the training
  and the share of background make. It has to be chosen for each network, on FFTs that it has not learnt from.

## friedel's own way

The network that comes with friedel, trained on other crystals and larger FFTs, is best at {own_best:g} here; its card
states {own.card.mask_threshold:g}, chosen on validation crystals. Spots have a threshold of their own,
{own.card.threshold:g}: the lowest at which validation FFTs show no more false ones than without a network.

## What cannot be reproduced here

{NO_DATA} The size of the paper's network and training, on which the best threshold depends.
"""
    verdict = (
        f"{says}: at the paper's 0.90 Dice is {mean_and_range(at_paper)}, and {mean_and_range(at_chosen)} at "
        f"{on_validation:g}, which validation FFTs choose for the paper's network trained shortly here; friedel's is "
        f"best at {own_best:g}. It is to be chosen for each network on FFTs set aside."
    )
    return Page("thresholds", "The threshold of the probability", "HRTEM", verdict, text, cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the page")
    args = parser.parse_args()
    ready = [trained(replace(Plan(), seed=seed)) for seed in range(args.seeds)]
    each = [sweep(half_maps(r, "test"), "test") for r in ready]
    chosen = np.mean([sweep(half_maps(r, "validation"), "validation") for r in ready], axis=0)
    segmenter = load_segmenter()
    curves = {THEIRS: np.mean(each, axis=0), OWN: sweep(own_maps(segmenter, "test"), "test")}
    for name, values in curves.items():
        print(name, *(" | ".join(row) for row in rows_of(values)), sep="\n")
    if args.write:
        print(write_page(page_of(chosen, curves, each, segmenter, cost_of(args.seeds, ready))))


if __name__ == "__main__":
    main()
