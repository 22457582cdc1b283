"""Pictures in real space: images with their region of interest, and maps of phases. Axes count pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import Patch

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.core.phase_map import PhaseMap
from friedel.report.colours import MIXED, NONE, ROI, phase_colours
from friedel.report.scale_bar import add_scale_bar
from friedel.report.style import (
    NO_DATA,
    axes_or_new,
    in_house_style,
    outline_segments,
    shortened,
    show_hatched,
    without_ticks,
)

#: Opacity of a phase that is only just present; a sure one is opaque.
LEAST_OPACITY = 0.45


@in_house_style
def plot_micrograph(micrograph: Micrograph, roi: BoolArray | None = None, ax: Axes | None = None) -> Axes:
    """Draw a micrograph in grey with its scale bar, and the outline of a region of interest (y, x) in green."""
    ax = axes_or_new(ax, _aspect(micrograph.shape, micrograph.grid))
    _show_grey(ax, micrograph.data, micrograph.grid)
    _outline(ax, roi, micrograph.shape)
    return ax


@in_house_style
def plot_virtual_image(
    image: AnyArray, scan_grid: RealGrid | None, roi: BoolArray | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a virtual image (ry, rx); positions that are NaN are hatched."""
    shape = image.shape[0], image.shape[1]
    ax = axes_or_new(ax, _aspect(shape, scan_grid))
    _show_grey(ax, image, scan_grid)
    show_hatched(ax, ~np.isfinite(image))
    _outline(ax, roi, shape)
    return ax


@in_house_style
def plot_phase_map(phase_map: PhaseMap, min_probability: float = 0.5, ax: Axes | None = None) -> Axes:
    """Draw which phase is where: a colour per phase, grey for more than one, dark for none, stripes for no data.

    The less sure a phase is, the darker its colour. The legend gives the share of valid positions of each colour.
    """
    shape = phase_map.valid.shape
    aspect = _aspect((shape[0], shape[1]), phase_map.grid)
    ax = axes_or_new(ax, 0.72 * aspect if aspect >= 0.6 else aspect + 0.3, width_in=6.4)
    ax.imshow(phase_rgb(phase_map, min_probability), interpolation="nearest", aspect=_pixel_aspect(phase_map.grid))
    show_hatched(ax, ~phase_map.valid)
    _finish_map(ax, phase_map, _legend_of(phase_map, min_probability), beside=aspect >= 0.6)
    return ax


@in_house_style
def plot_presence(phase_map: PhaseMap, phase: str, ax: Axes | None = None) -> Axes:
    """Draw how surely one phase is present at each position, 0 to 1, from dark to its colour, with a colour bar."""
    if phase not in phase_map.phases:
        raise DataError(f"The phase map holds {', '.join(phase_map.phases)}, not {phase!r}.")
    shape = phase_map.valid.shape
    ax = axes_or_new(ax, 0.86 * _aspect((shape[0], shape[1]), phase_map.grid))
    colours = LinearSegmentedColormap.from_list("presence", [NONE, phase_colours(phase_map.phases)[phase]])
    presence = np.where(phase_map.valid, phase_map.presence[..., phase_map.phases.index(phase)], np.nan)
    aspect = _pixel_aspect(phase_map.grid)
    image = ax.imshow(presence, cmap=colours, vmin=0, vmax=1, interpolation="nearest", aspect=aspect)
    show_hatched(ax, ~phase_map.valid)
    _finish_map(ax, phase_map, [], beside=True)
    figure = ax.get_figure(root=True)
    if figure is not None:
        bar = figure.colorbar(image, ax=ax, shrink=0.85, pad=0.02)
        bar.set_label(f"presence of {shortened(phase)}")
    return ax


@in_house_style
def plot_phase_overlay(
    micrograph: Micrograph,
    phase_map: PhaseMap,
    min_probability: float = 0.5,
    offset_px: tuple[float, float] = (0.0, 0.0),
    ax: Axes | None = None,
) -> Axes:
    """Lay the colours of a phase map, which may have a coarser grid, over its micrograph.

    Where more than one phase is present, their colours alternate in stripes: grey would be lost on a grey image. The
    legend gives the share of valid positions where each phase is present.

    Parameters
    ----------
    offset_px
        Where the upper left corner of the map's first position lies on the micrograph (y, x). Without a grid the
        map is stretched from there to the lower right corner.
    """
    aspect = _aspect(micrograph.shape, micrograph.grid)
    ax = axes_or_new(ax, 0.72 * aspect if aspect >= 0.6 else aspect + 0.3, width_in=6.4)
    _show_grey(ax, micrograph.data, micrograph.grid)
    rgba = _striped_rgba(phase_map, min_probability)
    ny, nx = phase_map.valid.shape
    if phase_map.grid is None:
        height, width = (n - o for n, o in zip(micrograph.shape, offset_px, strict=True))
    else:
        steps = zip((ny, nx), phase_map.grid.step_a, micrograph.grid.step_a, strict=True)
        height, width = (n * coarse / fine for n, coarse, fine in steps)
    top, left = offset_px[0] - 0.5, offset_px[1] - 0.5
    extent = (left, left + width, top + height, top)
    ax.imshow(rgba, extent=extent, interpolation="nearest", aspect=_pixel_aspect(micrograph.grid))
    ax.set(xlim=(-0.5, micrograph.shape[1] - 0.5), ylim=(micrograph.shape[0] - 0.5, -0.5))
    shares = phase_map.fractions(min_probability)
    handles = [
        Patch(facecolor=colour, label=f"{shortened(name)}  {100 * shares[name]:.1f} %")
        for name, colour in phase_colours(phase_map.phases).items()
    ]
    if shares["mixed"]:
        stripes: Any = {"facecolor": "white", "edgecolor": "#666666", "hatch": "////", "linewidth": 0}
        handles.append(Patch(label=f"striped: more than one  {100 * shares['mixed']:.1f} %", **stripes))
    _add_legend(ax, handles, beside=aspect >= 0.6, less_sure="fainter")
    return ax


def phase_rgb(phase_map: PhaseMap, min_probability: float) -> FloatArray:
    """Return the colours (y, x, 3), 0 to 1, of a phase map: darker where less sure, dark where none is present."""
    opacity = _opacity(phase_map, min_probability)[..., None]
    return np.asarray(opacity * _flat_rgb(phase_map, min_probability) + (1 - opacity) * np.array(to_rgb(NONE)))


def _striped_rgba(phase_map: PhaseMap, min_probability: float) -> FloatArray:
    """Return the colours (y * f, x * f, 4) of a map on a finer grid, transparent where no phase is present."""
    ny, nx = phase_map.valid.shape
    fine = max(2, -(-600 // max(ny, nx)))
    present = (phase_map.presence >= min_probability) & phase_map.valid[..., None]
    yy, xx = np.ogrid[: ny * fine, : nx * fine]
    turn = (yy + xx) // max(2, max(ny, nx) * fine // 45)
    rank = np.kron(present.cumsum(axis=-1) * present, np.ones((fine, fine, 1), dtype=np.int64))
    chosen = 1 + turn % np.maximum(rank.max(axis=-1), 1)
    rgba = np.zeros((*chosen.shape, 4))
    for i, colour in enumerate(phase_colours(phase_map.phases).values()):
        rgba[rank[..., i] == chosen, :3] = to_rgb(colour)
    opacity = np.where(present.any(axis=-1), 0.65 * _opacity(phase_map, min_probability), 0.0)
    rgba[..., 3] = np.kron(opacity, np.ones((fine, fine)))
    return rgba


def _flat_rgb(phase_map: PhaseMap, min_probability: float) -> FloatArray:
    """Return the plain colour of each position's label."""
    labels = phase_map.labels(min_probability)
    rgb = np.full((*labels.shape, 3), to_rgb(NONE))
    rgb[np.bitwise_count(labels) > 1] = to_rgb(MIXED)
    for i, colour in enumerate(phase_colours(phase_map.phases).values()):
        rgb[labels == np.uint32(1 << i)] = to_rgb(colour)
    return rgb


def _opacity(phase_map: PhaseMap, min_probability: float) -> FloatArray:
    """Return how opaque each position is: by the least sure of the phases that are present there."""
    present = phase_map.presence >= min_probability
    least = np.where(present, phase_map.presence, 1.0).min(axis=-1)
    share = (least - min_probability) / max(1 - min_probability, 1e-9)
    return np.asarray(LEAST_OPACITY + (1 - LEAST_OPACITY) * share.clip(0, 1), dtype=np.float64)


def _legend_of(phase_map: PhaseMap, min_probability: float) -> list[Patch]:
    """Return a patch per colour with its share of the valid positions; the shares add up to 100 %."""
    labels = phase_map.labels(min_probability)[phase_map.valid]
    total = max(len(labels), 1)
    mixed = np.unique(labels[np.bitwise_count(labels) > 1])
    only = " only" if len(mixed) else ""
    handles = []
    for i, (name, colour) in enumerate(phase_colours(phase_map.phases).items()):
        share = np.count_nonzero(labels == np.uint32(1 << i)) / total
        handles.append(Patch(facecolor=colour, label=f"{shortened(name)}{only}  {100 * share:.1f} %"))
    if len(mixed):
        share = np.count_nonzero(np.bitwise_count(labels) > 1) / total
        names = [shortened(name, 14) for i, name in enumerate(phase_map.phases) if mixed[0] >> np.uint32(i) & 1]
        what = " + ".join(names) if len(mixed) == 1 else "more than one"
        handles.append(Patch(facecolor=MIXED, label=f"{what}  {100 * share:.1f} %"))
    share = np.count_nonzero(labels == 0) / total
    handles.append(Patch(facecolor=NONE, label=f"none of them  {100 * share:.1f} %"))
    if not phase_map.valid.all():
        handles.append(Patch(facecolor=NO_DATA[0], edgecolor=NO_DATA[1], hatch="/////", linewidth=0, label="no data"))
    return handles


def _finish_map(ax: Axes, phase_map: PhaseMap, handles: list[Patch], *, beside: bool) -> None:
    """Add the scale bar and legend of a map."""
    without_ticks(ax)
    add_scale_bar(ax, phase_map.grid, phase_map.valid.shape[1])
    _add_legend(ax, handles, beside=beside)


def _add_legend(ax: Axes, handles: list[Patch], *, beside: bool, less_sure: str = "darker") -> None:
    """Put a legend beside a picture, or below one that is wide; two columns where there are many phases."""
    if not handles:
        return
    columns = (2 if len(handles) > 18 else 1) if beside else 3
    corner = (1.01, 1.0) if beside else (0.0, -0.02)
    legend = ax.legend(handles=handles, loc="upper left", bbox_to_anchor=corner, ncols=columns, borderaxespad=0.2)
    legend.set_title("share of positions" + ("\n" if beside else " ") + f"({less_sure}: less sure)")
    legend.set_alignment("left")


def _show_grey(ax: Axes, data: AnyArray, grid: RealGrid | None) -> None:
    """Show an image in grey between its 0.5 and 99.5 percentiles, with its scale bar."""
    finite = data[np.isfinite(data)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    ax.imshow(data, vmin=float(low), vmax=float(high), aspect=_pixel_aspect(grid))
    without_ticks(ax)
    add_scale_bar(ax, grid, data.shape[1])


def _outline(ax: Axes, roi: BoolArray | None, shape: tuple[int, int]) -> None:
    """Outline a region of interest along its pixels' edges."""
    if roi is None:
        return
    if roi.shape != shape:
        raise DataError(f"A region of interest must have the shape {shape} of its image, got {roi.shape}.")
    ax.add_collection(LineCollection(list(outline_segments(roi)), colors=ROI, linewidths=1.6, capstyle="round"))


def _pixel_aspect(grid: RealGrid | None) -> float:
    """Return the height of a pixel over its width."""
    return 1.0 if grid is None else grid.step_a[0] / grid.step_a[1]


def _aspect(shape: tuple[int, int], grid: RealGrid | None) -> float:
    """Return the height of a picture over its width."""
    return shape[0] * _pixel_aspect(grid) / shape[1]
