"""The set of pairs that Lo and Su train on, 435 crystals along 60 zone axes, and their figure 1.

python studies/pairs.py [--write] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pages import Page, cpu_minutes, save_picture, table, write_page
from paths import ROOT
from picture_files import show

from friedel.nets.inference import stabilise
from friedel.report.style import in_house_style
from friedel.simulate.training.dataset import Pair, PairOptions, pairs
from friedel.simulate.training.materials import load_materials, select_materials
from friedel.simulate.training.store import load_pairs, read_manifest, write_dataset

SET = ROOT / "build" / "studies" / "set435"
MATERIALS, ZONES, SEED = 435, 60, 0
#: Pairs of the figure: material, the number of its zone axis, in the order of the columns.
SHOWN = (("nmc811-o3", 0), ("tio2-rutile", 3), ("fe3o4", 3), ("lifepo4", 5), ("gan", 0))
_TIMED = 6
NOISE_PARTS = {
    "Poisson noise": "", "halo": "halo_share", "Gaussian blur": "blur_px", "salt": "salt_share",
    "pepper": "pepper_share", "dimmed spots": "dim_chance", "beam stop": "stop_radius_px",
    "amorphous film": "amorphous_share", "elliptic distortion": "ellipticity",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SET, help="folder of the set; made if it is not there")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    make_set(args.out)
    facts = read_manifest(args.out)
    rate = pairs_a_second()
    text = (f"{WHAT_THE_PAPER_SAYS}\n\n## What we made\n\n{set_table(facts)}\n\n{rate_sentence(len(facts), rate)}\n\n"
            f"{noise_table(facts)}\n\n## Figure 1: a clean pattern and its noisy twin\n\n")  # fmt: skip
    print(text)
    if args.write:
        text += f"{save_picture('pairs', draw(shown_pairs(args.out)), CAPTION)}\n\n{WHAT_IS_LEFT}"
        write_page(Page("pairs", "435 crystals along 60 zone axes", "4D-STEM", verdict(facts, rate), text,
                        f"Seed {SEED}; {cpu_minutes()} with the set at hand."))  # fmt: skip


def make_set(out: Path = SET) -> None:
    """Make the set, or what is missing of it."""
    chosen = select_materials(load_materials(), MATERIALS)
    write_dataset(chosen, PairOptions(seed=SEED, zones=ZONES), out, resume=True,
                  progress=lambda done, total: print(f"\rmaterial {done} of {total}", end="", flush=True))  # fmt: skip


def pairs_a_second() -> float:
    """Pairs that one core makes in a second."""
    chosen = select_materials(load_materials(), _TIMED)
    began = time.process_time()
    made = sum(1 for _ in pairs(chosen, PairOptions(seed=SEED, zones=ZONES)))
    return made / (time.process_time() - began)


def verdict(facts: list[dict[str, Any]], rate: float) -> str:
    """Say in a sentence what became of the set."""
    return (
        f"Can be made: {len(facts):,} pairs, {len(facts) / rate / 60:.0f} core-minutes. The text's own numbers do not "
        f"agree: {MATERIALS} × {ZONES} is {MATERIALS * ZONES:,}, and it speaks of more than 28,000."
    )


def rate_sentence(n: int, rate: float) -> str:
    return (
        f"One core makes {rate:.0f} pairs of 128 × 128 px a second, {n / rate / 60:.0f} minutes for all. "
        f"The command is `friedel simulate dataset --out {SET.name}`."
    )


def set_table(facts: list[dict[str, Any]]) -> str:
    """Number of pairs by origin of the structure, crystal system and split."""
    materials = {f["material"]: f for f in facts}
    axes = Counter(f["material"] for f in facts)
    few = sum(n < ZONES for n in axes.values())
    rows = [("pairs", f"{len(facts):,}"), ("crystals", str(len(materials))),
            ("crystals with fewer than 60 such zone axes", str(few))]  # fmt: skip
    for title, key in (("structures from", "origin"), ("crystal systems", "crystal_system")):
        rows.append(
            (title, ", ".join(f"{n} {k}" for k, n in Counter(m[key] for m in materials.values()).most_common()))
        )
    for split in ("train", "validation", "test"):
        n = sum(m["split"] == split for m in materials.values())
        rows.append((f"{split}, by composition", f"{sum(f['split'] == split for f in facts):,} pairs of {n} crystals"))
    return table(("", "the set"), rows)


def noise_table(facts: list[dict[str, Any]]) -> str:
    """Say in how many of the pairs each part of the noise is, and over which range."""
    rows = []
    for title, key in NOISE_PARTS.items():
        values = [f["noise"][key or "dose_electrons"] for f in facts]
        drawn = [v for v in values if v > 0]
        spread = [_in_unit(float(v), key) for v in np.quantile(drawn, (0.05, 0.5, 0.95))]
        rows.append((title, f"{100 * len(drawn) / len(values):.0f} %", *spread))
    return table(("part of the noise", "of the pairs", "5 %", "median", "95 %"), rows)


def _in_unit(value: float, key: str) -> str:
    if not key:
        return f"{value:,.0f} electrons"
    return f"{value:.2f} px" if key.endswith("px") else f"{100 * value:.2g} %"


def shown_pairs(out: Path) -> list[Pair]:
    """Read the pairs of the figure."""
    wanted = dict(SHOWN)
    seen: Counter[str] = Counter()
    found = {}
    for pair in load_pairs(out):
        name = pair.facts["material"]
        if name in wanted and seen[name] == wanted[name]:
            found[name] = pair
        seen[name] += 1
    return [found[name] for name in wanted]


@in_house_style
def draw(made: list[Pair]) -> Figure:
    """Draw pairs as the paper's figure 1, above each other."""
    figure = Figure(figsize=(1.75 * len(SHOWN), 4.0), layout="constrained")
    rows = figure.subplots(2, len(SHOWN))
    for column, pair in zip(rows.T, made, strict=True):
        noise, material = pair.facts["noise"], pair.facts["material"]
        counts = (pair.noisy.astype(float) - noise["detector"]["offset"]) / noise["detector"]["gain"]
        show(column[0], stabilise(pair.clean * noise["dose_electrons"]), 0.7, None)
        show(column[1], stabilise(counts), 0.7, None)
        column[0].set_title(f"{material} [{' '.join(map(str, pair.facts['zone_axis']))}]", fontsize=8.5)
        column[1].set_title(f"{noise['dose_electrons']:,.0f} electrons", fontsize=8.5)
    return figure


WHAT_THE_PAPER_SAYS = """## What the paper says

"Using 435 materials simulated over 60 zone axis, yielding over 28,000 diffraction patterns", from structures of the
Materials Project, each with "a composite noise model": Poisson noise, a halo about the transmitted beam, Gaussian blur,
salt and pepper noise, and dimmed spots or a beam stop. Neither the list of materials, nor the size of the patterns, nor
the strength of any noise is given."""

CAPTION = """Pairs of the set, clean (above) and noisy (below), as in figure 1 of Lo and Su. Brightness is a power of
the counts. The clean pattern has neither halo nor blur, so that a network that learns it takes the background away as
well as the noise. Tilted crystals show no symmetry, the third and the last carry stray hits, the fourth a beam stop."""

WHAT_IS_LEFT = """## What agrees, what does not

- All parts of the composite noise are there, with an amorphous film, elliptic distortion, descan and the camera beside
  them; strengths are ours, and wide on purpose.
- The structures are not those of the paper, which are not listed: they come from friedel's library, from AFLOW
  prototypes and from a table of isotypes, and need no network.
- Crystals of one composition are in one split. With the paper's random patterns of the same crystals on both sides,
  which its text does not rule out, a test would ask for what was learned by heart.
- Friedel's own denoiser uses no stored set: patterns of any orientation, of up to three crystals and of none are made
  as they are needed."""


if __name__ == "__main__":
    main()
