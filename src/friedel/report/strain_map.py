"""Pictures of spacings and strain over a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from friedel.core.arrays import AnyArray, BoolArray
from friedel.core.grids import RealGrid
from friedel.report.colours import ROI
from friedel.report.scale_bar import add_scale_bar
from friedel.report.style import in_house_style, outline_segments, show_hatched, without_ticks

#: Share of the values on either side that may lie beyond the ends of the colours.
_BEYOND = 2.0
_PANEL_IN, _COLUMNS = 2.5, 3


@dataclass(frozen=True, slots=True, eq=False)
class LocalMap:
    """A quantity over a scan (ry, rx), NaN where it was not measured.

    Parameters
    ----------
    label
        Its name and unit.
    is_signed
        Whether 0 is in the middle of the colours.
    """

    values: AnyArray
    label: str
    is_signed: bool = True


@in_house_style
def plot_local_maps(maps: list[LocalMap], grid: RealGrid | None, outline: BoolArray | None = None) -> Figure:
    """Draw maps side by side, each with a colour bar; positions without a value are striped.

    Signed maps of one unit have one scale of colours if their labels end alike, so that they can be compared.

    Parameters
    ----------
    outline
        Region to mark (ry, rx).
    """
    ny, nx = maps[0].values.shape
    ratio = 1.0 if grid is None else grid.step_a[0] / grid.step_a[1]
    rows, columns = -(-len(maps) // _COLUMNS), min(len(maps), _COLUMNS)
    height = _PANEL_IN * min(max(ny * ratio / nx, 0.3), 1.6) + 0.35
    figure = Figure(figsize=(columns * (_PANEL_IN + 0.6), rows * height), layout="constrained")
    units = [shown.label.rpartition(" ")[2] for shown in maps]
    for i, shown in enumerate(maps):
        ax = figure.add_subplot(rows, columns, i + 1)
        alike = [other.values for other, unit in zip(maps, units, strict=True) if unit == units[i]]
        low, high = _limits(np.concatenate([values.ravel() for values in alike]), is_signed=shown.is_signed)
        colours = "RdBu_r" if shown.is_signed else "viridis"
        image = ax.imshow(shown.values, cmap=colours, vmin=low, vmax=high, interpolation="nearest", aspect=ratio)
        show_hatched(ax, ~np.isfinite(shown.values))
        _mark(ax, outline)
        without_ticks(ax)
        add_scale_bar(ax, grid, nx)
        bar = figure.colorbar(image, ax=ax, shrink=0.85, pad=0.02)
        bar.set_label(shown.label)
    return figure


def _limits(values: AnyArray, *, is_signed: bool) -> tuple[float, float]:
    """Ends of the colours: those of nearly all values, and about 0 where they are signed."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return -1.0, 1.0
    low, high = np.percentile(finite, (_BEYOND, 100.0 - _BEYOND))
    most = max(abs(low), abs(high))
    if is_signed:
        low, high = -most, most
    room = max(1e-6, 1e-6 * most) if high <= low else 0.0
    return float(low - room), float(high + room)


def _mark(ax: Axes, outline: BoolArray | None) -> None:
    if outline is not None:
        ax.add_collection(LineCollection(list(outline_segments(outline)), colors=ROI, linewidths=1.6, capstyle="round"))
