"""Figure 3 of Lo and Su: a region in the annular image, and the map of O1 and O3 in it, against a known truth.

With FRIEDEL_SHARED naming the folder of test data, it is also told what rock salt and spinel are taken for.

python studies/distribution.py [--write]
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from nmc_scans import (
    NAMES,
    PHASES,
    KnownScan,
    chosen_settings,
    denoisers,
    friedel_labels,
    lo_su_labels,
    map_of,
    multislice_classes,
    multislice_scan,
    simulated_scan,
)
from pages import Page, cpu_minutes, save_picture, table, write_page

from friedel.core.arrays import BoolArray, IntArray
from friedel.identify.metrics import Evaluation, evaluate_map
from friedel.report.colours import MIXED, NONE, phase_colours
from friedel.report.maps import plot_phase_map, plot_virtual_image
from friedel.report.style import in_house_style

DOSE, SHAPE = 1000, (20, 24)
_CHOICE_SEED, _TEST_SEED = 101, 5
WAYS = ("Lo and Su, raw", "Lo and Su, denoised", "friedel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    ways = denoisers()
    choice, test = simulated_scan(DOSE, _CHOICE_SEED, (10, 12)), simulated_scan(DOSE, _TEST_SEED, SHAPE)
    other = multislice_scan(DOSE)
    labels, mimics = {"truth": test.truth}, dict[str, IntArray]()
    for way in WAYS[:2]:
        settings = chosen_settings(choice, ways[way](choice))
        labels[way] = lo_su_labels(test, ways[way](test), settings)
        if other is not None:
            mimics[way] = lo_su_labels(other, ways[way](other), settings)
    labels["friedel"] = friedel_labels(test, "auto")[0]
    if other is not None:
        mimics["friedel"] = friedel_labels(other, "auto")[0]
    text = page_text(labels, test, mimics)
    print(text)
    if args.write:
        picture = save_picture("distribution", draw(labels, test), CAPTION)
        seeds = f"Seeds {_CHOICE_SEED} (choice) and {_TEST_SEED} (test); {cpu_minutes()}."
        write_page(Page("distribution", "Where O1 and O3 are", "4D-STEM", verdict(labels, test),
                        text.replace("PICTURE", picture), seeds))  # fmt: skip


def oval(shape: tuple[int, int]) -> BoolArray:
    """Region of interest (ry, rx), as in the figure."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(((y / shape[0] - 0.5) / 0.42) ** 2 + ((x / shape[1] - 0.45) / 0.42) ** 2 < 1)


def evaluations(labels: dict[str, IntArray], known: KnownScan) -> dict[str, Evaluation]:
    """Compare the map of each way with the truth, inside the region."""
    region = oval(known.scan.scan_shape)
    maps = {way: replace(map_of(found, known), valid=region) for way, found in labels.items()}
    return {way: evaluate_map(found, maps["truth"]) for way, found in maps.items()}


def page_text(labels: dict[str, IntArray], known: KnownScan, mimics: dict[str, IntArray]) -> str:
    """Put the page together; PICTURE stands where the picture goes."""
    region = oval(known.scan.scan_shape).ravel()
    scores = evaluations(labels, known)
    shares = [(way, *(f"{100 * float((found[region] == bit).mean()):.1f} %" for bit in (1, 2, 3, 0)))
              for way, found in labels.items()]  # fmt: skip
    quality = [(way, f"{s.accuracy:.3f}", f"{s.kappa:.2f}", *(f"{p.precision:.2f} / {p.recall:.2f}" for p in s.phases))
               for way, s in scores.items() if way != "truth"]  # fmt: skip
    parts = [WHAT_THE_PAPER_SAYS, f"## The map, {DOSE:,} electrons per pattern", "PICTURE",
             table(("share of the region", "O3 alone", "O1 alone", "both", "neither"), shares),
             table(("", "right", "kappa", "O3, precision / recall", "O1, precision / recall"), quality),
             "### What each kind of position is called", confusion_table(labels, region)]  # fmt: skip
    if mimics:
        parts += ["## What else is called O1 or O3", mimic_table(mimics), ABOUT_MIMICS]
    return "\n\n".join([*parts, WHAT_IS_LEFT])


def confusion_table(labels: dict[str, IntArray], region: BoolArray) -> str:
    """Say for each kind of position in the region how often a way calls it what."""
    rows = []
    for way in WAYS:
        for kind in (1, 2, 3, 0):
            found = labels[way][region & (labels["truth"] == kind)]
            cells = [f"{float((found == bit).mean()):.2f}" for bit in (1, 2, 3, 0)]
            rows.append((way, NAMES[kind], *cells))
    return table(("way", "truth", "called O3", "called O1", "called both", "called neither"), rows)


def mimic_table(mimics: dict[str, IntArray]) -> str:
    """Say what the classes of the multislice scan are called."""
    classes, rows = multislice_classes(), []
    for name in ("O3", "O1", "O3 and O1", "rock salt", "spinel", "carbon", "vacuum"):
        of_class = classes == name
        if not of_class.any():
            continue
        cells = []
        for found in mimics.values():
            shares = [float((found[of_class] == bit).mean()) for bit in (1, 2, 3, 0)]
            cells.append(" / ".join(f"{share:.2f}" for share in shares))
        rows.append((name, str(int(of_class.sum())), *cells))
    return table(("truth, multislice", "positions", *(f"{way}: O3 / O1 / both / neither" for way in mimics)), rows)


def verdict(labels: dict[str, IntArray], known: KnownScan) -> str:
    """Say in a sentence how right the maps are."""
    scores = evaluations(labels, known)
    right = ", ".join(f"{100 * scores[way].accuracy:.0f} % ({way})" for way in WAYS)
    region = oval(known.scan.scan_shape).ravel()
    found = labels[WAYS[1]][region & (labels["truth"] == 2)]
    return (
        f"The map can be made; right in {right} of the positions. In the paper's scheme grey is not to be trusted: "
        f"{100 * float((found == 3).mean()):.0f} % of the pure O1 comes out as both."
    )


@in_house_style
def draw(labels: dict[str, IntArray], known: KnownScan) -> Figure:
    """Draw the annular image with the region, the truth, and the maps."""
    region = oval(known.scan.scan_shape)
    figure = Figure(figsize=(9.6, 2.3), layout="constrained")
    axes = figure.subplots(1, 2 + len(WAYS))
    plot_virtual_image(known.survey.annular, known.scan.scan_grid, region, ax=axes[0])
    axes[0].set_title("annular image", fontsize=8.5)
    for ax, (way, found) in zip(axes[1:], labels.items(), strict=True):
        plot_phase_map(replace(map_of(found, known), valid=region), ax=ax)
        ax.set_title(way, fontsize=8.5)
    for ax in axes:
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
    colours = phase_colours(PHASES)
    shown = {"O3": colours[PHASES[0]], "O1": colours[PHASES[1]], "both": MIXED, "neither": NONE}
    handles = [Patch(facecolor=colour, label=name) for name, colour in shown.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8.5)
    return figure


WHAT_THE_PAPER_SAYS = """## What the paper says

Figure 3 shows a region in the HAADF image of an NMC811 particle and the map of its patterns: orange where O3 was
found, blue where O1, grey where both. No truth is known there, and no share or accuracy is given. Here the same map
is made of a simulated scan whose truth is known; the virtual annular image stands in for the HAADF detector."""
CAPTION = """Light in the annulus with the region of interest; the truth in it; the map by the steps of Lo and Su on
raw patterns and on those that friedel's network denoised; the map by friedel."""
ABOUT_MIMICS = """A scan by an independent multislice program, 1000 electrons per pattern, tilts up to 12 mrad; O3
and O1 were the only candidates. Rock salt along [111] has O3's ring but for 2.8 % in radius, 4.5 % for charged O3,
which a ring tolerance of 5 % lets pass. The {440} spots of spinel lie on O3's {110}. friedel weighs both against the
candidates, by the radius that one phase has throughout the scan and by light at half of it, where spinel has {220}."""
WHAT_IS_LEFT = """## What agrees, what does not

- Agrees: a map of O1 and O3 in a region can be made in this way, and denoising fills the gaps of the raw one.
- Does not: grey. Pure O1 comes out as "both", as each of its patterns has a hexagon at O3's radius as well; denoising
  makes it worse. Shares of phases read from such a map give O3 too much and O1 alone next to nothing.
- Friedel tells pure O1 from both by how the light is shared between the two rings. On the simulated scan that is right
  nearly everywhere; on the multislice scan nearly all O1 is right too, and a third of "both" is called O1.
- The paper's map itself can be neither confirmed nor refuted: scan and truth are not published."""


if __name__ == "__main__":
    main()
