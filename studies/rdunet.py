"""A residual dense U-Net trained on the 435 x 60 set, beside friedel's denoiser and filters without learning.

Trains on square roots of the counts, and with --scale picture on pictures from 0 to 1; a training that was interrupted
goes on. Then all are judged on crystals that none of them has seen.

python studies/rdunet.py [--set FOLDER] [--scale stabilised] [--steps STEPS] [--patterns N] [--train-only] [--write]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paths as _paths  # noqa: F401
import torch
from denoise import f1_error, f1_left_out, of_split, picture_quality
from denoise_methods import Filter, by_network, classical, gaussian, score_network, total, tune
from denoise_patterns import Case, make_cases, training_like_noise
from matplotlib.figure import Figure
from pages import Page, cpu_minutes, save_picture, table, write_page
from pairs import MATERIALS, SET, make_set
from picture_files import show
from rdunet_training import (
    PACKING,
    WIDTH,
    Scale,
    StoredPairs,
    denoise_electrons,
    recipe_of,
    train_on_pairs,
    trained_folder,
)
from verdicts import ENOUGH

from friedel.core.arrays import AnyArray
from friedel.nets.inference import Network, load_network, stabilise
from friedel.nets.scoring import Score
from friedel.nets.training.networks import Denoiser
from friedel.report.style import in_house_style
from friedel.simulate.training.materials import load_materials, select_materials

DOSES = (100, 300, 1000, 10000)
STEPS, PATTERNS = 3000, 40
_CHOICE_SEED, _TEST_SEED = 21, 22
_SHOWN_DOSES, _SHOWN_CASE = (300, 1000, 10000), 2
#: Channels and epochs of the network of its authors.
PAPER_WIDTH, PAPER_EPOCHS = 128, 21
_RAW, _RDUNET, _FRIEDEL, _MAP = "none", "RDUNet", "friedel's denoised pattern", "friedel's spot map, as shipped"
#: Standard errors from which on a difference of F1 is called one, and the dose at which the verdict gives values.
_SURE, _AT = 2.0, 1000


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a way gives at one dose: spots, and PSNR and SSIM against the clean and against the expected pattern."""

    scores: list[Score]
    clean: tuple[float, float] | None = None
    expected: tuple[float, float] | None = None


#: Results by way and dose.
Found = dict[str, dict[int, Result]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=SET, dest="folder")
    parser.add_argument("--scale", choices=("stabilised", "picture"), default="stabilised")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--patterns", type=int, default=PATTERNS, help="test patterns at each dose")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network, minutes = train(args.scale, args.folder, args.steps)
    if args.train_only:
        return
    learned = by_rdunet(network, args.scale)
    found = judge(learned, args.patterns)
    text = page_text(found, network, args, minutes)
    print(text, flush=True)
    if args.write:
        picture = save_picture("rdunet", draw(learned), CAPTION)
        write_page(Page("rdunet", "The residual dense U-Net on the 435 × 60 set", "4D-STEM", verdict(found, minutes),
                        text.replace("PICTURE", picture), cost(minutes)))  # fmt: skip


def train(scale: Scale, folder: Path, steps: int) -> tuple[Denoiser, float]:
    """Train a network, or go on with it; the core-minutes are those of all of its training."""
    if not (folder / "manifest.jsonl").exists():
        make_set(folder)
    pairs = StoredPairs.of(folder, "train")

    def tell(step: int, of: int, text: str) -> None:
        print(f"{scale} {step}/{of} {text}", flush=True)

    network, seconds = train_on_pairs(recipe_of(scale, steps), pairs, scale, trained_folder(scale), tell)
    return network, seconds / 60.0


def judge(learned: Filter, n: int) -> Found:
    """Judge all ways at each dose, with settings chosen on validation crystals."""
    shipped, found = load_network("denoiser"), Found()
    materials = select_materials(load_materials(), MATERIALS)
    for dose in DOSES:
        noise = training_like_noise(float(dose))
        choice, test = (
            make_cases(of_split(materials, split), count, seed, noise, scattering="bloch")
            for split, count, seed in (("validation", n // 2, _CHOICE_SEED), ("test", n, _TEST_SEED))
        )
        for name, choices in ways(learned, shipped).items():
            tuned, _ = tune(choices, choice, [])
            qualities = [picture_quality(tuned, test, truth) for truth in (clean_of, expected_of)]
            found.setdefault(name, {})[dose] = Result(tuned.scores(test), *qualities)
        found.setdefault(_MAP, {})[dose] = Result(score_network(shipped, test))
        print(dose, {name: round(total(row[dose].scores).f1, 2) for name, row in found.items()}, flush=True)
    return found


def counted(case: Case) -> AnyArray:
    """Leave a pattern as it is, read with the gain that suits it best, as those of the other ways are."""
    return case.electrons


def clean_of(case: Case) -> AnyArray:
    return case.clean


def expected_of(case: Case) -> AnyArray:
    return case.expected


def ways(learned: Filter, shipped: Network) -> dict[str, list[Filter]]:
    """Filters by name, each with its settings to choose from."""
    return {_RAW: [counted], "Gaussian": classical()["Gaussian"], _RDUNET: [learned], _FRIEDEL: [by_network(shipped)]}


def by_rdunet(network: Denoiser, scale: Scale) -> Filter:
    return lambda case: denoise_electrons(network, case.electrons, scale)


def page_text(found: Found, network: Denoiser, args: argparse.Namespace, minutes: float) -> str:
    """Put the page together; PICTURE stands where the picture goes."""
    pairs = len(StoredPairs.of(args.folder, "train"))
    batch = recipe_of(args.scale, args.steps).batch
    patches = args.steps * batch
    weights = sum(p.numel() for p in network.parameters()) / 1e6
    sizes = [
        ("channels at the finest level", str(PAPER_WIDTH), str(WIDTH)),
        ("pixels packed", "1 × 1", f"{PACKING} × {PACKING}"),
        ("weights, millions", "not said", f"{weights:.2f}"),
        ("pairs to train on", '"over 28,000"', f"{pairs:,}, of crystals that are not judged"),
        ("patches of 64 × 64 px", f"{PAPER_EPOCHS} epochs", f"{patches:,}, {patches / pairs:.2f} epochs"),
        ("batch, loss, optimiser", "16, mean absolute error, AdamW", f"{batch}, the same"),
        ("learning rate", "1e-4, halved every 3 epochs", "1e-3, falling by half a cosine"),
        ("core-minutes", "not said", f"{minutes:.1f}"),
    ]
    note = f"*{args.patterns} test patterns at each dose; settings chosen on {args.patterns // 2} of other crystals.*"
    tables = [f"### {title}\n\n{table(('electrons per pattern', *map(str, DOSES)), rows_of(found, cell))}"
              for title, cell in CELLS.items()]  # fmt: skip
    parts = (WHAT_THE_PAPER_SAYS, table(("", "RDUNet of its authors", "here"), sizes), ABOUT_SCALES,
             beside_friedels(patches, weights), "## Pictures", "PICTURE", "## Measured", *tables, note,
             WHAT_IS_LEFT.format(gains=gains(found)))  # fmt: skip
    return "\n\n".join(parts)


def rows_of(found: Found, cell: Callable[[Result], str | None]) -> list[tuple[str, ...]]:
    """Rows of the ways that the cell says something of."""
    rows = []
    for name, row in found.items():
        cells = [cell(row[dose]) for dose in DOSES]
        if all(cells):
            rows.append((name, *(text or "" for text in cells)))
    return rows


CELLS: dict[str, Callable[[Result], str | None]] = {
    "F1 of spots": lambda r: f"{total(r.scores).f1:.2f} ± {f1_error(r.scores):.2f}",
    "Precision / recall of spots": lambda r: f"{total(r.scores).precision:.2f} / {total(r.scores).recall:.2f}",
    "PSNR (dB) / SSIM against the clean pattern, without halo and blur": lambda r: _quality(r.clean),
    "PSNR (dB) / SSIM against the expected pattern, with halo and blur": lambda r: _quality(r.expected),
}


def _quality(quality: tuple[float, float] | None) -> str | None:
    return None if quality is None else f"{quality[0]:.1f} / {quality[1]:.3f}"


def verdict(found: Found, minutes: float) -> str:
    """Say in numbers what one training gains, and at which doses that is more than chance."""
    raw, learned, friedels = (found[name][_AT] for name in (_RAW, _RDUNET, _FRIEDEL))
    f1 = [f"{total(r.scores).f1:.2f}" for r in (raw, learned, friedels)]
    psnr = [f"{r.clean[0]:.1f}" for r in (raw, learned, friedels) if r.clean]
    return (
        f"Open: one training of {minutes:.0f} core-minutes, where a verdict needs {ENOUGH} seeds. On unseen crystals "
        f"with {_AT} electrons F1 of spots is {f1[0]} in raw patterns, {f1[1]} after the RDUNet and {f1[2]} after "
        f"friedel's U-Net; PSNR against the clean pattern is {psnr[0]}, {psnr[1]} and {psnr[2]} dB. By F1 the "
        f"RDUNet is {standing(found, _RAW, 'raw patterns')}; it is {standing(found, _FRIEDEL, 'the U-Net')}."
    )


def standing(found: Found, other: str, called: str) -> str:
    """Say at which doses the RDUNet is above another way by F1, below it, or neither."""
    signs = {dose: sign_of(row.scores, found[other][dose].scores) for dose, row in found[_RDUNET].items()}
    words = {1: "above", 0: "level with", -1: "below"}
    said = [f"{word} {called} at {', '.join(str(d) for d in signs if signs[d] == sign)}"
            for sign, word in words.items() if sign in signs.values()]  # fmt: skip
    return f"{' and '.join(said)} electrons"


def sign_of(scores: Sequence[Score], others: Sequence[Score]) -> int:
    """Say whether F1 is above another on the same patterns (1), below it (-1), or neither (0), by the jackknife."""
    difference = total(list(scores)).f1 - total(list(others)).f1
    left_out = f1_left_out(scores) - f1_left_out(others)
    error = float(np.sqrt((len(left_out) - 1) * left_out.var()))
    return int(np.sign(difference)) if abs(difference) > _SURE * error else 0


def gains(found: Found) -> str:
    """Say by how much PSNR against the clean pattern differs from that of raw patterns at each dose."""
    raw, learned = ([r.clean[0] for r in found[name].values() if r.clean] for name in (_RAW, _RDUNET))
    rises = [f"{b - a:+.1f}" for a, b in zip(raw, learned, strict=True)]
    return f"{', '.join(rises)} dB at {', '.join(map(str, found[_RDUNET]))} electrons"


def beside_friedels(seen: int, weights: float) -> str:
    """Say what the training of friedel's own network was beside this one."""
    card = load_network("denoiser").card
    told = card.training
    return (
        f"Friedel's own [denoiser](../bench/denoiser.md) is a U-Net of {card.parameters / 1e6:.2f} million weights "
        f"(here {weights:.2f}), trained for {told.core_minutes:.0f} core-minutes on {told.patterns:,} patterns of "
        f"128 × 128 px, {4 * told.patterns / seen:.0f} times as many pixels, with spot maps beside the "
        "pictures: what it is ahead by is not the architecture alone."
    )


def cost(minutes: float) -> str:
    return (f"Seeds 0 (training), {_CHOICE_SEED} and {_TEST_SEED}; one training, {minutes:.1f} "
            f"core-minutes, and {cpu_minutes()} for the rest.")  # fmt: skip


@in_house_style
def draw(learned: Filter) -> Figure:
    """Draw one test pattern at three doses, clean, noisy, and as each network leaves it."""
    shipped = load_network("denoiser")
    materials = of_split(select_materials(load_materials(), MATERIALS), "test")
    titles = ("clean", "as counted", "Gaussian, 1.5 px", _RDUNET, "friedel")
    figure = Figure(figsize=(1.65 * len(titles), 1.75 * len(_SHOWN_DOSES)), layout="constrained")
    for axes, dose in zip(figure.subplots(len(_SHOWN_DOSES), len(titles)), _SHOWN_DOSES, strict=True):
        case = make_cases(materials, _SHOWN_CASE + 1, _TEST_SEED, training_like_noise(float(dose)), scattering="bloch")[
            -1
        ]
        filters: Sequence[Filter] = (clean_of, counted, gaussian(1.5),
                                     learned, by_network(shipped))  # fmt: skip
        white = float(np.percentile(stabilise(case.clean), 99.7))
        for ax, title, apply in zip(axes, titles, filters, strict=True):
            show(ax, stabilise(apply(case)), 0.7, max(white, 2.0))
            if dose == _SHOWN_DOSES[0]:
                ax.set_title(title, fontsize=8)
        axes[0].set_ylabel(f"{dose:,} electrons", fontsize=8)
    return figure


WHAT_THE_PAPER_SAYS = """## What the paper says

A "dense U-Net structure was favoured over the typical U-Net", RDUNet by reference, "as it allows deeper global
features to be extracted". Neither its size, nor loss, epochs, size of patterns or any score is given. What its
authors (J. Gurrola-Ramos et al., IEEE Access 9, 31742, 2021) publish as settings is taken in their place, at a size
that one core trains in minutes:"""
ABOUT_SCALES = """How patterns were shown to the network is not said either. Divided by their largest value, as
pictures are for that network, spots are small numbers beside the beam; so square roots of the counts are taken, 2
√(n + 3/8), whose noise is even (`--scale picture` tries the other). The target is the clean pattern, without halo
and blur."""
CAPTION = """One test pattern at three doses, grey as a power of the counts, one white level per row. Clean: beam
and spots alone. The RDUNet is to leave out halo and blur as well; friedel's network keeps them, since it is asked
for the expected counts."""
WHAT_IS_LEFT = """## What agrees, what does not

- Against the clean pattern PSNR changes by {gains}. The loss asks for the whole picture, of which spots are a small
  part: what that is worth to spots, F1 says.
- One seed says nothing of others. Errors are those over test patterns, by the jackknife; "level" is what differs by
  less than two of them on the same patterns.
- Whether a dense U-Net is the better choice cannot be read from this. [At equal
  compute](../bench/denoiser.md#architectures) of some minutes a U-Net finds more spots.
- Neither their weights nor their scores are published, so that theirs cannot be set beside these."""


if __name__ == "__main__":
    main()
