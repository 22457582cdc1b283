"""How well are the grains of simulated micrographs named and mapped, by dose and with or without a corrector?

Li, LiF, Li2O and Li2CO3 on an amorphous film, from a seed on which nothing was tuned. Writes
docs/bench/micrographs.md when given --write.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.images import Micrograph
from friedel.crystal import load_phases
from friedel.identify.grains.components import ComponentOptions, MicrographResult, map_micrograph
from friedel.identify.grains.fringe_maps import FringeOptions, fringe_maps, grain_masks
from friedel.identify.grains.local_maps import local_maps, to_image
from friedel.identify.grains.watershed import PAPER
from friedel.patterns.tiles import tile
from friedel.simulate.micrographs.truth import MicrographTruth
from friedel.simulate.training.micrographs import Variety, labelled_micrograph

DOCS = Path(__file__).parents[1] / "docs" / "bench" / "micrographs.md"
PHASES = ("li", "lif", "li2o", "li2co3")
HELD_OUT_SEED = 20_261
DOSES_E_PER_A2 = (50.0, 200.0, 800.0, 3200.0)
#: Expected power over the noise from which on a spot can be seen.
VISIBLE_SNR = 20.0
TILE_PX, TILE_STEP_PX = 64, 16
COMMON = Variety(
    shape=(768, 768), step_a=(0.3, 0.42), energies_kev=(200.0, 300.0), thickness_a=(40.0, 150.0), tilt_mrad=(0.0, 8.0),
    film_a=(20.0, 120.0), grain_share=(0.15, 0.4), max_grains=8, empty_share=0.0, anisotropy=0.004,
)  # fmt: skip
LENSES = {
    "corrected": replace(COMMON, defocus_a=(40.0, 120.0), cs_mm=(0.0, 0.01)),
    "uncorrected": replace(COMMON, defocus_a=(500.0, 900.0), cs_mm=(1.2, 1.2)),
}

PAGE = """# Maps of micrographs

Made by {made}, Python {python}; {images} micrographs of 768 x 768 px for each row, the same
specimens at every dose, from a seed on which nothing was tuned.

Up to eight grains of Li, LiF, Li2O and Li2CO3, 4 to 15 nm thick, tilted by some mrad off a low-index zone axis, on 2 to
12 nm of amorphous film; some overlap. The stated pixel size errs by 1.5 %. 200 or 300 kV; a corrected lens at 4 to 12
nm of underfocus, or one with Cs = 1.2 mm at 50 to 90 nm.

- *grains found*: of those with a spot of at least {snr:g} times the noise (true value).
- *spots right*: of the spots found that belong to a grain. *sure*: named with a probability of at least 0.95.
- *scale*: root mean square error of the pixel size after the fit, where it claims less than 0.5 %.
- *half height*, *Otsu*, *tiles*: mean and median intersection over union of the region of a found grain and its true
  outline, with the edge at half height, with Otsu's threshold and the opening of Raghavendran et al. (2025), and from
  local diffractograms ({tiles}).
- *agreement*: the same of the regions by half height and by tiles, with each other: two roads to one map.

| lens | e/Å² | grains found | spots right | sure | wrong though sure | scale | half height | Otsu | tiles | agreement |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def overlap(found: BoolArray, true: BoolArray) -> float:
    """Intersection over union."""
    return float((found & true).sum() / max(int((found | true).sum()), 1))


def grain_of_spots(result: MicrographResult, truth: MicrographTruth) -> IntArray:
    """True grain of each spot found (N,), that of the strongest spot within 3 px; -1 where there is none."""
    listed = truth.spots.where(truth.spots.snr > 3)
    if not len(listed) or not len(result.spots):
        return np.full(len(result.spots), -1, dtype=np.int64)
    k, at = result.spots.k_inv_a[:, None], listed.k_inv_a
    apart = np.minimum(np.linalg.norm(k - at, axis=2), np.linalg.norm(k + at, axis=2))
    near = apart < 3 * max(result.pattern.grid.step_inv_a)
    best = np.where(near, listed.snr, -1.0).argmax(axis=1)
    return np.where(near.any(axis=1), listed.grain[best], -1)


def true_mask(truth: MicrographTruth, grain: int) -> BoolArray:
    """Where a grain is (y, x)."""
    mask = np.zeros(truth.imaging.sampling.shape, dtype=bool)
    region = truth.specimen.grains[grain].region
    mask[region.window] = region.mask
    return mask


def measure(micrograph: Micrograph, truth: MicrographTruth) -> Iterator[tuple[str, FloatArray]]:
    """Map one micrograph and yield (name of a measure, its values)."""
    result = map_micrograph(micrograph, load_phases(PHASES))
    grains = grain_of_spots(result, truth)
    names = np.array([*PHASES, "unknown"])[result.match.posterior.argmax(axis=1)]
    own = np.flatnonzero(grains >= 0)
    true = np.array([truth.specimen.grains[g].crystal.name for g in grains[own]])
    right, sure = names[own] == true, result.match.posterior[own].max(axis=1) >= 0.95
    yield "right", right
    yield "sure", sure
    yield "wrong", ~right[sure]
    visible = np.unique(truth.spots.grain[truth.spots.snr > VISIBLE_SNR])
    how = FringeOptions(ComponentOptions().mask_radius_inv_a, 1, 8.0, PAPER)
    maps = fringe_maps(micrograph, result.pattern, result.spots, how, lambda *_: None)
    paper = grain_masks(maps, result.match.grains, PAPER)
    tiled = local_maps(tile(micrograph, TILE_PX, TILE_STEP_PX), result)
    for g in visible:
        rows = result.match.grains[grains == g]
        yield "found", np.array([len(rows) > 0])
        if len(rows):
            mask, number = true_mask(truth, int(g)), int(np.bincount(rows).argmax())
            yield "half", np.array([overlap(result.regions[number], mask)])
            yield "otsu", np.array([overlap(paper[number], mask)])
            whole = to_image(tiled.seen[..., number], micrograph.shape, tiled.offset_px, TILE_STEP_PX)
            yield "tiled", np.array([overlap(whole, mask)])
            yield "agree", np.array([overlap(whole, result.regions[number])])
    if len(own) and result.match.scale_sigma < 0.005:
        yield "scale", np.array([result.match.scale / (1 + truth.imaging.sampling.scale_error) - 1])


def main() -> None:
    """Run all, print the table, and write it to the docs if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/bench/micrographs.md")
    parser.add_argument("--images", type=int, default=12, help="images for each row")
    arguments = parser.parse_args()
    crystals = load_phases(PHASES).crystals
    rows = []
    for lens, variety in LENSES.items():
        for dose in DOSES_E_PER_A2:
            values: dict[str, list[FloatArray]] = defaultdict(list)
            for index in range(arguments.images):
                drawn = labelled_micrograph(
                    HELD_OUT_SEED, index, crystals, replace(variety, dose_e_per_a2=(dose, dose))
                )
                for name, value in measure(*drawn):
                    values[name].append(value)
            rows.append(_row(lens, dose, {name: np.concatenate(parts) for name, parts in values.items()}))
            print(rows[-1], flush=True)
    if arguments.write:
        DOCS.write_text(_page(rows, arguments.images), encoding="utf-8")


def _row(lens: str, dose: float, values: dict[str, FloatArray]) -> str:
    def share(name: str) -> str:
        return f"{100 * values[name].mean():.0f} %" if len(values.get(name, ())) else "–"

    def middle(name: str) -> str:
        return f"{np.mean(values[name]):.2f}, {np.median(values[name]):.2f}" if name in values else "–"

    wrong, scale = int(values["wrong"].sum()), values.get("scale", np.zeros(0))
    error = f"{100 * np.sqrt((scale**2).mean()):.2f} % of {len(scale)}" if len(scale) else "–"
    return (
        f"| {lens} | {dose:g} | {share('found')} of {len(values.get('found', ()))} | {share('right')} of "
        f"{len(values['right'])} | {share('sure')} | {wrong} | {error} | {middle('half')} | {middle('otsu')} | "
        f"{middle('tiled')} | {middle('agree')} |"
    )


def _page(rows: list[str], n_images: int) -> str:
    day = dt.datetime.now(tz=dt.UTC).date()
    made = f"`python bench/micrograph.py --write --images {n_images}` on {day}, {platform.machine()}"
    facts = {"made": made, "python": platform.python_version(), "images": n_images}
    tiles = f"{TILE_PX} px, step {TILE_STEP_PX} px"
    return PAGE.format(**facts, snr=VISIBLE_SNR, tiles=tiles, rows="\n".join(rows))


if __name__ == "__main__":
    main()
