"""Scale bars of round length, in the unit that a microscopist would choose."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, TextArea, VPacker
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

from friedel.core.grids import RealGrid, ReciprocalGrid

#: Share of the picture's width that a bar may take at most.
MAX_SHARE = 0.3
BAR_HEIGHT_IN = 0.04


def round_length(width: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is at most ``MAX_SHARE`` of a width."""
    longest = MAX_SHARE * width
    decade = 10.0 ** math.floor(math.log10(longest))
    return decade * max(digit for digit in (1, 2, 5) if digit * decade <= longest * (1 + 1e-9))


def real_label(length_a: float) -> str:
    """Say a length in Å, nm, µm or mm."""
    for unit, size_a in (("mm", 1e7), ("µm", 1e4), ("nm", 10.0)):
        if length_a >= size_a * (1 - 1e-9):
            return f"{length_a / size_a:g} {unit}"
    return f"{length_a:g} Å"


def reciprocal_label(length_inv_a: float) -> str:
    """Say a reciprocal length in 1/Å, or in 1/nm where it is below 0.1 1/Å."""
    if length_inv_a >= 0.1 * (1 - 1e-9):
        return f"{length_inv_a:g} 1/Å"
    return f"{10 * length_inv_a:g} 1/nm"


def add_scale_bar(ax: Axes, grid: RealGrid | ReciprocalGrid | None, width_px: float) -> float:
    """Draw a scale bar into a picture whose axes count pixels, and return its length in pixels.

    Parameters
    ----------
    grid
        Calibration; None draws a bar in pixels, so that nobody takes it for a length.
    width_px
        Width of the shown part of the picture.
    """
    if grid is None:
        length = max(1.0, round_length(width_px))
        length_px, label = length, f"{length:g} px"
    elif isinstance(grid, RealGrid):
        length = round_length(width_px * grid.step_a[1])
        length_px, label = length / grid.step_a[1], real_label(length)
    else:
        length = round_length(width_px * grid.step_inv_a[1])
        length_px, label = length / grid.step_inv_a[1], reciprocal_label(length)
    _draw(ax, length_px, label)
    return length_px


def _draw(ax: Axes, length_px: float, label: str) -> None:
    """Anchor a white bar on a dark plate, legible on any picture."""
    figure = ax.get_figure(root=True)
    inches = ax.transData if figure is None else figure.dpi_scale_trans
    bar = AuxTransformBox(blended_transform_factory(ax.transData, inches))
    bar.add_artist(Rectangle((0, 0), length_px, BAR_HEIGHT_IN, facecolor="white", edgecolor="none"))
    text = TextArea(label, textprops={"color": "white", "size": 9, "weight": "bold"})
    text.set_gid("scale-bar")
    stack = VPacker(children=[text, bar], align="center", pad=0, sep=3)
    plate = AnchoredOffsetbox(loc="lower left", child=stack, pad=0.45, borderpad=0.6, frameon=True)
    plate.patch.set(facecolor="black", alpha=0.6, edgecolor="none")
    plate.patch.set_boxstyle("round", pad=0.0, rounding_size=0.2)
    plate.set_zorder(10)
    ax.add_artist(plate)
