"""Make the pictures of README and docs from the inputs of the built-in demo: ``python docs/make/pictures.py``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from picture_files import save

import friedel as fr
from friedel.identify.grains.components import MicrographResult
from friedel.pipeline.scans.result import HexagonFindings, ScanResult
from friedel.report.colours import MIXED, NONE, phase_colours
from friedel.report.diffraction import Outline, Ring, plot_diffractogram, plot_pattern, plot_radius_histogram
from friedel.report.maps import phase_rgb, plot_phase_map, plot_phase_overlay
from friedel.report.scale_bar import add_scale_bar
from friedel.report.style import in_house_style, without_ticks
from friedel.simulate.micrographs.micrograph import sei_micrograph
from friedel.simulate.patterns.scan import simulate_nmc811_scan

SEED = 0
#: A position of the demo scan where O3 and O1 lie on one another, and one of pure O1.
STACKED, PURE_O1 = (17, 3), (13, 18)
#: Components that are named in the FFT, the strongest first: in the large picture, and in the small one.
N_NAMED, N_NAMED_SMALL = 9, 6
NAMES = {"nmc811-o3": "O3", "nmc811-o1": "O1", "li": "Li", "lif": "LiF", "li2o": "Li₂O", "li2co3": "Li₂CO₃"}


def main() -> None:
    """Map the demo's inputs as ``friedel map`` does, and draw."""
    with tempfile.TemporaryDirectory() as folder:
        scan_file, micrograph_file = Path(folder) / "nmc811.zarr", Path(folder) / "sei.mrc"
        scan, scan_truth = simulate_nmc811_scan(SEED)
        micrograph, micrograph_truth = sei_micrograph(SEED)
        fr.write_scan(scan_file, scan)
        fr.write_micrograph(micrograph_file, micrograph)
        read_scan, read_micrograph = fr.read(scan_file), fr.read(micrograph_file)
        assert isinstance(read_scan, fr.PatternScan)
        assert isinstance(read_micrograph, fr.Micrograph)
        mapped = fr.analyse_scan(read_scan, fr.load_phases(scan_truth.phases), fr.ScanOptions(), seed=SEED)
        found = fr.map_micrograph(read_micrograph, fr.load_phases(micrograph_truth.phases))
        save("opening", draw_opening(mapped, read_micrograph, found), dpi=160)
        save("scan-map", plot_phase_map(mapped.phase_map))
        save("scan-stacked", draw_pattern(mapped, STACKED))
        save("scan-o1", draw_pattern(mapped, PURE_O1))
        save("scan-radii", draw_radii(mapped))
        save("micrograph-map", plot_phase_overlay(read_micrograph, found.phase_map), dpi=110)
        save("micrograph-fft", draw_fft(found), dpi=110)


@in_house_style
def draw_opening(mapped: ScanResult, micrograph: fr.Micrograph, found: MicrographResult) -> Figure:
    """Draw one wide picture: phase map and a pattern of the scan, phases and FFT of the micrograph."""
    figure = Figure(figsize=(11.3, 3.3))
    scan_map, pattern, overlay, fft = (
        figure.add_axes((left / 11.3, 0.49 / 3.3, width / 11.3, 2.5 / 3.3))
        for left, width in ((0.0, 3.125), (3.225, 2.5), (6.2, 2.5), (8.8, 2.5))
    )
    figure.text(0.0, 0.93, "4D-STEM scan of NMC811: phase map, and the pattern at the circle", fontsize=10.5)
    figure.text(6.2 / 11.3, 0.93, "HRTEM micrograph of an SEI: phase map, and its FFT", fontsize=10.5)
    draw_small_map(mapped.phase_map, scan_map)
    draw_pattern(mapped, STACKED, pattern)
    plot_phase_overlay(micrograph, found.phase_map, ax=overlay)
    draw_fft(found, fft, only_named=True)
    colours = phase_colours(found.phase_map.phases)
    put_legend(overlay, [Patch(facecolor=c, label=NAMES[n]) for n, c in colours.items()])
    ring = Line2D([], [], marker="o", markerfacecolor="none", color="#555555", linestyle="none", label="indexed spot")
    put_legend(fft, [ring])
    return figure


def draw_small_map(phase_map: fr.PhaseMap, ax: Axes) -> None:
    """Draw the phase map with a legend below it and a circle about the example."""
    ax.imshow(phase_rgb(phase_map, 0.5), interpolation="nearest")
    without_ticks(ax)
    add_scale_bar(ax, phase_map.grid, phase_map.valid.shape[1])
    ax.plot(STACKED[1], STACKED[0], "o", markersize=9, markerfacecolor="none", markeredgecolor="black")
    colours = phase_colours(phase_map.phases)
    handles = [Patch(facecolor=colour, label=NAMES[name]) for name, colour in colours.items()]
    put_legend(ax, [*handles, Patch(facecolor=MIXED, label="both"), Patch(facecolor=NONE, label="none")])


@in_house_style
def draw_pattern(mapped: ScanResult, position: tuple[int, int], ax: Axes | None = None) -> Axes:
    """Draw the pattern of a position with its spots and hexagons."""
    ry, rx = position
    survey = mapped.survey
    index = ry * survey.scan.scan_shape[1] + rx
    centre = np.asarray(survey.scan.grid.centre_px) + survey.shift_px[index]
    grid = survey.scan.grid.with_centre((float(centre[0]), float(centre[1])))
    pattern = fr.Pattern(np.asarray(survey.scan.data[ry, rx], dtype=np.float64), grid)
    is_small = ax is not None
    ax = plot_pattern(
        pattern,
        spots=mapped.spots.of(index),
        outlines=hexagons_at(mapped, index),
        annulus_inv_a=None if is_small else mapped.annulus_inv_a,
        ax=ax,
    )
    if is_small:
        put_legend(ax, [Line2D([], [], color=o.colour, label=o.label) for o in hexagons_at(mapped, index)])
    return ax


def hexagons_at(mapped: ScanResult, index: int) -> list[Outline]:
    """Hexagons of a position: the inner ring is O1's alone, the outer one that of both phases."""
    assert isinstance(mapped.found, HexagonFindings)
    hexagons, colours = mapped.found.hexagons, phase_colours(mapped.phase_map.phases)
    out = []
    for i in range(int(hexagons.offsets[index]), int(hexagons.offsets[index + 1])):
        is_inner = hexagons.radius_inv_a[i] < 0.55
        label, name = ("{100}: O1", "nmc811-o1") if is_inner else ("{110}: O3, O1", "nmc811-o3")
        out.append(Outline(label, colours[name], hexagons.vertices_inv_a(i)))
    return sorted(out, key=lambda outline: outline.label)


@in_house_style
def draw_radii(mapped: ScanResult) -> Axes:
    """Draw the radii of all spots of the scan with the computed and the learned rings."""
    assert isinstance(mapped.found, HexagonFindings)
    rings, names = mapped.found.rings, mapped.phase_map.phases
    colours = phase_colours(names)
    marks = [
        Ring(NAMES[names[p]], colours[names[p]], float(radius))
        for p, radius in zip(rings.phase, rings.computed_inv_a, strict=True)
    ]
    return plot_radius_histogram(mapped.spots.radius_inv_a, rings=marks)


@in_house_style
def draw_fft(found: MicrographResult, ax: Axes | None = None, *, only_named: bool = False) -> Axes:
    """Draw the FFT with a ring about each spot; of the strongest components, the brightest spot is named."""
    spots, components = found.spots, found.components[: N_NAMED_SMALL if only_named else N_NAMED]
    labels = [""] * len(spots)
    for component in components:
        brightest = max(component.spots, key=lambda i: spots.intensity[i])
        labels[brightest] = f"{NAMES.get(component.phase, component.phase)} {component.hkl}"
    chosen = sorted(i for c in components for i in c.spots) if only_named else list(range(len(spots)))
    colours = phase_colours(found.phase_map.phases)
    return plot_diffractogram(
        found.pattern,
        spots.where(np.isin(np.arange(len(spots)), chosen)),
        [labels[i] for i in chosen],
        [colours.get(found.match.names[i], "#ffffff") for i in chosen],
        ax,
    )


def put_legend(ax: Axes, handles: Sequence[Artist]) -> None:
    """Put a legend in one row below a picture."""
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, -0.01), ncols=4, borderaxespad=0.2,
              handlelength=1.1, columnspacing=0.9, handletextpad=0.4, fontsize=9.5)  # fmt: skip


if __name__ == "__main__":
    main()
