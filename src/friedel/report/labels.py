"""Placing names so that they touch neither each other nor what they name."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes

from friedel.core.arrays import FloatArray
from friedel.report.colours import on_dark
from friedel.report.style import shortened

_FONT_PT = 8.5
#: Width over height of an average character of the house font.
_CHARACTER = 0.62


def spread(at: FloatArray, gap: float, limits: tuple[float, float]) -> FloatArray:
    """Move ascending positions until neighbours are ``gap`` apart, within limits if they fit."""
    moved = np.array(at, dtype=np.float64)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    ceiling = limits[1]
    for i in range(len(moved) - 1, -1, -1):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved


def place_labels(
    ax: Axes,
    px: FloatArray,
    labels: Sequence[str],
    colours: Sequence[str],
    ring_px: float,
    centre_px: tuple[float, float],
) -> None:
    """Write a label beside each ringed spot (y, x), outwards from the centre where there is room.

    Of several places around the ring the first is taken whose box keeps clear of other labels and rings; if none
    does, the one that hides least.
    """
    left, right = sorted(ax.get_xlim())
    top, bottom = sorted(ax.get_ylim())
    figure = ax.get_figure(root=True)
    width_pt = 72 * figure.get_figwidth() * ax.get_position().width if figure is not None else 300.0
    per_pt = (right - left) / width_pt
    taken = [(y - ring_px, x - ring_px, y + ring_px, x + ring_px) for y, x in px]
    for (y, x), label, colour in zip(px, labels or [""] * len(px), colours, strict=True):
        text = shortened(label)
        if not text:
            continue
        height, width = 1.3 * _FONT_PT * per_pt, _CHARACTER * _FONT_PT * per_pt * len(text)
        outwards = np.arctan2(y - centre_px[0], x - centre_px[1])
        boxes = []
        for reach in (1.25, 2.2):
            for turn in (0, 0.5, -0.5, 1, -1, 1.5, -1.5, 2, -2, 3.14):
                direction = outwards + turn
                cy = y + np.sin(direction) * (reach * ring_px + height / 2)
                cx = x + np.cos(direction) * (reach * ring_px + width / 2)
                boxes.append((cy - height / 2, cx - width / 2, cy + height / 2, cx + width / 2))
        frame = (top, left, bottom, right)
        box = min(boxes, key=lambda b: sum(_overlap(b, other) for other in taken) + _outside(b, frame))
        taken.append(box)
        halo = [effects.withStroke(linewidth=2.4, foreground="black", alpha=0.85)]
        middle = (box[1] + box[3]) / 2, (box[0] + box[2]) / 2
        ax.text(*middle, text, color=on_dark(colour), fontsize=_FONT_PT, ha="center", va="center", path_effects=halo)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return the common area of two boxes (top, left, bottom, right)."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: tuple[float, ...], frame: tuple[float, ...]) -> float:
    """Return ten times the area of a box that lies outside a frame."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return 10 * (area - _overlap(box, frame))
