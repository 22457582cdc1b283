"""Figure 2 of Lo and Su: a pattern as recorded, denoised, its hexagons and its spots; step by step, and by friedel.

python studies/hexagons.py [--write]
"""

from __future__ import annotations

import argparse

import numpy as np
from lo_su import NONE, O1, O3, Patterns, Settings, find_hexagons, find_maxima, label
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nmc_scans import (
    NAMES,
    PHASES,
    KnownScan,
    chosen_settings,
    computed_radii,
    denoised_by_friedel,
    denoisers,
    simulated_scan,
)
from pages import Page, cpu_minutes, save_picture, table, write_page

import friedel as fr
from friedel.core.arrays import BoolArray, IntArray
from friedel.core.images import Pattern
from friedel.core.spots import Spots
from friedel.identify.hexagons.lattice import Hexagons
from friedel.pipeline.scans.outlines import outlines_at, own_grid
from friedel.pipeline.scans.result import HexagonFindings, ScanResult
from friedel.report.colours import MIXED, phase_colours
from friedel.report.diffraction import Outline, plot_pattern
from friedel.report.style import in_house_style

DOSE = 300.0
_CHOICE_SEED, _TEST_SEED = 101, 3
#: Where spots outside of the annulus are still looked for, for the picture alone, in 1/Å.
_WIDE_INV_A = (0.12, 1.02)
_ORDER = (O3, O1, 3, NONE)
WAY = "Lo and Su, denoised"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    choice, test = simulated_scan(DOSE, _CHOICE_SEED, (10, 12)), simulated_scan(DOSE, _TEST_SEED)
    rows, settings = [], dict[str, Settings]()
    for way, denoise in denoisers().items():
        settings[way] = chosen_settings(choice, denoise(choice))
        rows += step_rows(way, test, denoise(test), settings[way])
    mapped = fr.analyse_scan(test.scan, fr.load_phases(PHASES), fr.ScanOptions(template="hexagon"))
    rows += friedel_rows(test, mapped)
    text = page_text(rows, settings)
    print(text)
    if args.write:
        picture = save_picture("hexagons", draw(test, denoisers()[WAY](test), settings[WAY], mapped), CAPTION)
        seeds = f"Seeds {_CHOICE_SEED} (choice) and {_TEST_SEED} (test); {cpu_minutes()}."
        write_page(Page("hexagons", "Spots, hexagons and phases of a pattern", "4D-STEM", verdict(rows),
                        text.replace("PICTURE", picture), seeds))  # fmt: skip


Row = tuple[str, ...]


def step_rows(way: str, known: KnownScan, patterns: Patterns, settings: Settings) -> list[Row]:
    """Rows of (way, truth, spots, hexagons, at O1's radius, at O3's, elsewhere, label right)."""
    spots = find_maxima(patterns, settings, known.annulus_inv_a)
    hexagons = find_hexagons(spots, settings, known.annulus_inv_a)
    radii = computed_radii(known.annulus_inv_a)
    return _rows(way, known.truth, spots, hexagons, radii, label(hexagons, radii, settings))


def friedel_rows(known: KnownScan, mapped: ScanResult) -> list[Row]:
    """Rows of the same columns for friedel."""
    assert isinstance(mapped.found, HexagonFindings)
    labels = mapped.phase_map.labels().astype(np.int64).ravel()
    radii = computed_radii(known.annulus_inv_a)
    return _rows("friedel", known.truth, mapped.spots, mapped.found.hexagons, radii, labels)


def _rows(
    way: str, truth: IntArray, spots: Spots, hexagons: Hexagons, radii: tuple[float, float], labels: IntArray
) -> list[Row]:
    settings = Settings(0.0, 3)
    at = [np.abs(hexagons.radius_inv_a / radius - 1.0) <= settings.radius_tolerance for radius in radii]
    n_spots = np.diff(spots.offsets)
    rows = []
    for kind in _ORDER:
        of_kind = truth == kind
        counts = [_per_pattern(hexagons, of_kind, where) for where in (*at, ~(at[0] | at[1]))]
        rows.append((way, NAMES[kind], f"{n_spots[of_kind].mean():.1f}", *(f"{c:.2f}" for c in counts),
                     f"{(labels[of_kind] == kind).mean():.2f}"))  # fmt: skip
    return rows


def _per_pattern(hexagons: Hexagons, of_kind: BoolArray, where: BoolArray) -> float:
    """Mean number of such hexagons in a pattern of one kind."""
    return float(where[of_kind[hexagons.pattern_index]].sum() / max(int(of_kind.sum()), 1))


def page_text(rows: list[Row], settings: dict[str, Settings]) -> str:
    """Put the page together; PICTURE stands where the picture goes."""
    chosen = [(way, f"{s.threshold:.2g}", str(s.min_vertices)) for way, s in settings.items()]
    head = ("way", "truth", "spots in the annulus", "hexagons at O1's radius", "at O3's", "elsewhere", "label right")
    return "\n\n".join((
        WHAT_THE_PAPER_SAYS, "PICTURE", f"## Step by step, at {DOSE:g} electrons per pattern", table(head, rows),
        "Numbers are means over the patterns of each kind. What the paper leaves open was chosen on another scan:",
        table(("", "threshold, electrons per pixel", "vertices wanted"), chosen), WHAT_IS_LEFT,
    ))  # fmt: skip


def verdict(rows: list[Row]) -> str:
    """Say in a sentence what holds of the steps."""
    right = {(row[0], row[1]): row[-1] for row in rows}
    both = next(row for row in rows if row[:2] == (WAY, "O1"))
    return (
        f"The steps work on noisy patterns once these are denoised, but a hexagon at O3's radius is no sign of O3: "
        f"pure O1 shows {both[4]} of them in a pattern. Labels right at {DOSE:g} electrons, O3 / O1 / both / neither: "
        f"{' / '.join(right[WAY, NAMES[k]] for k in _ORDER)} (the paper's steps on denoised patterns), "
        f"{' / '.join(right['friedel', NAMES[k]] for k in _ORDER)} (friedel)."
    )


@in_house_style
def draw(known: KnownScan, denoised: Patterns, settings: Settings, mapped: ScanResult) -> Figure:
    """Draw one pattern of each kind: recorded, denoised and read by the paper's steps, then by friedel."""
    kinds = _ORDER[:3]
    figure = Figure(figsize=(9.4, 1.95 * len(kinds)), layout="constrained")
    titles = ("as recorded", "denoised", "hexagons, Lo and Su", "spots, Lo and Su", "friedel")
    expected = denoised_by_friedel(known)
    wide = find_maxima(denoised, settings, _WIDE_INV_A)
    hexagons = find_hexagons(find_maxima(denoised, settings, known.annulus_inv_a), settings, known.annulus_inv_a)
    for axes, kind in zip(figure.subplots(len(kinds), len(titles)), kinds, strict=True):
        index = typical(known, kind)
        ry, rx = divmod(index, known.scan.scan_shape[1])
        grid = own_grid(mapped.survey, ry, rx)
        recorded, clean, ours = (Pattern(np.asarray(p, dtype=np.float64), grid) for p in
                                 (known.scan.data[ry, rx], denoised.electrons[index], expected[ry, rx]))  # fmt: skip
        black = Pattern(np.zeros(recorded.shape), grid)
        plot_pattern(recorded, ax=axes[0])
        plot_pattern(clean, ax=axes[1])
        plot_pattern(clean, outlines=outlines_of(hexagons, index, known), ax=axes[2])
        plot_pattern(black, spots=wide.of(index), annulus_inv_a=known.annulus_inv_a, ax=axes[3])
        plot_pattern(ours, outlines=outlines_at(mapped, index), ax=axes[4])
        for ax, title in zip(axes, titles, strict=True):
            _tidy(ax, grid.centre_px, title if kind == kinds[0] else "")
        axes[0].set_ylabel(f"truth: {NAMES[kind]}", fontsize=8)
    return figure


def typical(known: KnownScan, kind: int) -> int:
    """Index of the pattern of a kind whose light in the annulus is the median."""
    index = np.flatnonzero(known.truth == kind)
    light = known.survey.annular.ravel()[index]
    return int(index[np.argsort(light, kind="stable")[len(index) // 2]])


def outlines_of(hexagons: Hexagons, index: int, known: KnownScan) -> list[Outline]:
    """Hexagons of a pattern in the colour of the phase whose radius they have."""
    o1, o3 = computed_radii(known.annulus_inv_a)
    colours = phase_colours(PHASES)
    outlines = []
    for i in range(int(hexagons.offsets[index]), int(hexagons.offsets[index + 1])):
        near = {
            "nmc811-o1": abs(hexagons.radius_inv_a[i] / o1 - 1),
            "nmc811-o3": abs(hexagons.radius_inv_a[i] / o3 - 1),
        }
        name = min(near, key=lambda phase: near[phase])
        colour = colours[name] if near[name] <= Settings(0.0, 3).radius_tolerance else MIXED
        outlines.append(Outline(name, colour, hexagons.vertices_inv_a(i)))
    return outlines


def _tidy(ax: Axes, centre_px: tuple[float, float], title: str) -> None:
    """Zoom to what matters, without a legend."""
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()
    y, x = centre_px
    ax.set(xlim=(x - 58, x + 58), ylim=(y + 58, y - 58))
    ax.set_title(title, fontsize=8.5)


WHAT_THE_PAPER_SAYS = """## What the paper says

Figure 2 shows one experimental pattern: as recorded, denoised, with the hexagons of O3 and O1 that were found, and
the spots alone, those outside the annulus marked. The steps: maxima of a difference of Gaussians in an annulus; two
spots drawn at random define a regular hexagon; those with enough vertices near spots stay; the radius, against
learned ring radii, names the phase. The reflections are said to be identified accurately; no number is given. The
pattern itself was not published, so a simulated one stands in for it."""
CAPTION = """One pattern of O3, of O1 and of both along the beam: 300 electrons each as recorded; denoised by
friedel's network; the hexagons that the paper's steps find in it (orange at O3's radius, blue at O1's, grey
elsewhere); the spots they start from, with triangles outside of the annulus; the hexagons of friedel (grey: a ring
that both phases have)."""
WHAT_IS_LEFT = """## What agrees, what does not

- Agrees: the four steps find the hexagons of O3 and O1 in patterns in which the eye sees few spots, and denoising makes
  for more of them.
- Does not: the last step. O1 has {110} at O3's radius, so that the better the spots are seen, the more of pure O1 is
  called both: its labels are worse after denoising, while its hexagons are better. Friedel asks how the light is shared
  between the two rings instead.
- Three vertices with tens of maxima to choose from make hexagons anywhere: the count of vertices says little without
  the count of spots. Friedel keeps a hexagon if fewer than 0.1 as good ones are expected by chance.
- Friedel has more to go by than the paper's steps have here: at this dose it adds up alike neighbours, and it reads
  spots from its network's map of spots, not from the denoised picture.
- The denoiser is friedel's in both cases, since theirs is not published."""


if __name__ == "__main__":
    main()
