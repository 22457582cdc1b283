"""Figures for papers, at the width of a column: what is found on a pattern, where phases are, and how they change.

They have the panels of figures 2 and 3 of Lo and Su (University of Cambridge) and of figure 5 of Raghavendran et al.
(Journal of Microscopy, 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox
from matplotlib.patches import Patch

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, Pattern
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.report.colours import MIXED, NONE, phase_colours
from friedel.report.diffraction import Outline, plot_pattern
from friedel.report.maps import plot_phase_map, plot_phase_overlay, plot_virtual_image
from friedel.report.scale_bar import add_scale_bar
from friedel.report.series import ComponentCurve, plot_components
from friedel.report.style import in_house_style, shortened

#: Width of a column in inches (89 mm), and the size of text that is still read there.
COLUMN_IN, TEXT_PT = 3.5, 7.0
_SMALL: Any = {"font.size": TEXT_PT, "axes.titlesize": TEXT_PT, "legend.fontsize": TEXT_PT}
#: Room about the annulus in a pattern, as a share of its radius.
_ROOM = 1.25

#: The axes of a figure, in the order of its letters.
Panels = tuple[Axes, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A frame of a series that is worth showing, with its map and where that lies on it (y, x) in pixels."""

    title: str
    micrograph: Micrograph
    phase_map: PhaseMap
    offset_px: tuple[float, float] = (0.0, 0.0)


@in_house_style
def draw_detection(
    pattern: Pattern,
    denoised: Pattern,
    spots: Spots,
    outlines: Sequence[Outline],
    annulus_inv_a: tuple[float, float],
) -> Panels:
    """Draw a pattern as recorded, denoised, with its hexagons or lattices, and its spots alone on black.

    Crosses are spots inside the annulus, orange triangles those outside.
    """
    with mpl.rc_context(_SMALL):
        figure = Figure(figsize=(COLUMN_IN, 1.16 * COLUMN_IN), layout="constrained")
        panels = tuple(figure.subplots(2, 2).ravel())
        black = Pattern(np.zeros(pattern.shape), pattern.grid)
        plot_pattern(pattern, ax=panels[0])
        plot_pattern(denoised, ax=panels[1])
        plot_pattern(denoised, outlines=outlines, ax=panels[2])
        plot_pattern(black, spots=spots, annulus_inv_a=annulus_inv_a, ax=panels[3])
        handles: dict[str, Line2D] = {}
        titles = ("as recorded", "denoised", "what fits", "spots")
        for letter, title, panel in zip("abcd", titles, panels, strict=True):
            handles |= {str(handle.get_label()): handle for handle in _taken_legend(panel)}
            _crop(panel, pattern, _ROOM * annulus_inv_a[1])
            _name(panel, letter, title)
        figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=2, columnspacing=1.2)
    return panels


@in_house_style
def draw_distribution(
    image: AnyArray,
    scan_grid: RealGrid | None,
    roi: BoolArray | None,
    phase_map: PhaseMap,
    min_probability: float = 0.5,
) -> Panels:
    """Draw a virtual image with the region of interest in green, and the map of the phases in it.

    Parameters
    ----------
    image, roi
        Of the whole scan (ry, rx).
    """
    with mpl.rc_context(_SMALL):
        ny, nx = image.shape
        figure = Figure(figsize=(COLUMN_IN, min(0.5 * COLUMN_IN * ny / nx + 0.6, 5.0)), layout="constrained")
        left, right = figure.subplots(1, 2)
        plot_virtual_image(image, scan_grid, roi, ax=left)
        plot_phase_map(phase_map, min_probability, ax=right)
        _taken_legend(right)
        _name(left, "a", "virtual image")
        _name(right, "b", "phases")
        figure.legend(handles=_phase_patches(phase_map.phases), loc="outside lower center", ncols=4, columnspacing=1.0)
    return left, right


@in_house_style
def draw_evolution(
    curves: Sequence[ComponentCurve], phases: Sequence[str], x: FloatArray, x_label: str, slices: Sequence[Slice]
) -> Panels:
    """Draw the intensity of components over time, and frames with the map of what is seen in them below.

    Parameters
    ----------
    curves, x, x_label
        As for ``plot_components``.
    slices
        One to three frames, such as those in which phases appear.
    """
    if not 1 <= len(slices) <= 3:
        raise DataError(f"One to three slices fit a column, got {len(slices)}.")
    with mpl.rc_context(_SMALL):
        figure = Figure(figsize=(COLUMN_IN, 4.3), layout="constrained")
        rows: Any = figure.subfigures(2, 1, height_ratios=(1.65, 1.0))
        top = rows[0].subplots()
        plot_components(curves, phases, x, x_label, ax=top)
        entries = _taken_legend(top)
        rows[0].legend(handles=entries, loc="outside lower center", ncols=3, columnspacing=1.0, handlelength=2.2)
        _name(top, "A", "")
        below = tuple(np.atleast_1d(rows[1].subplots(1, len(slices))))
        for letter, panel, cut in zip("BCD", below, slices, strict=False):
            plot_phase_overlay(cut.micrograph, cut.phase_map, offset_px=cut.offset_px, ax=panel)
            _taken_legend(panel)
            _name(panel, letter, cut.title)
        rows[1].legend(handles=_phase_patches(phases)[: len(phases)], loc="outside lower center", ncols=4)
    return (top, *below)


def _taken_legend(ax: Axes) -> list[Line2D]:
    """Remove the legend of axes and return its handles as they were drawn."""
    legend = ax.get_legend()
    if legend is None:
        return []
    handles, labels = list(legend.legend_handles), [text.get_text() for text in legend.get_texts()]
    legend.remove()
    for handle, label in zip(handles, labels, strict=True):
        if handle is not None:
            handle.set_label(label)
    return [handle for handle in handles if isinstance(handle, Line2D)]


def _phase_patches(phases: Sequence[str]) -> list[Patch]:
    patches = [Patch(facecolor=colour, label=shortened(name, 16)) for name, colour in phase_colours(phases).items()]
    return [*patches, Patch(facecolor=MIXED, label="mixed"), Patch(facecolor=NONE, label="none")]


def _crop(ax: Axes, pattern: Pattern, reach_inv_a: float) -> None:
    """Show a pattern about its beam, out to a radius, with a scale bar that fits."""
    for bar in ax.findobj(AnchoredOffsetbox):
        bar.remove()
    corners = pattern.grid.px_of(reach_inv_a * np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]))
    (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
    left, right = max(left, -0.5), min(right, pattern.shape[1] - 0.5)
    ax.set(xlim=(left, right), ylim=(min(bottom, pattern.shape[0] - 0.5), max(top, -0.5)))
    add_scale_bar(ax, pattern.grid, right - left)


def _name(ax: Axes, letter: str, title: str) -> None:
    ax.set_title(f"({letter}) {title}".strip(), loc="left", fontsize=TEXT_PT, pad=3)
    for bar in ax.findobj(AnchoredOffsetbox):
        for text in bar.findobj(mpl.text.Text):
            text.set_fontsize(TEXT_PT)
