"""The look of every figure: fonts and lines, without a lasting change of matplotlib's settings."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from friedel.core.arrays import AnyArray, BoolArray

P = ParamSpec("P")
R = TypeVar("R")

INK = "#222222"
#: The two colours of the stripes that stand for "no data".
NO_DATA = ("#ffffff", "#9a9a9a")
DPI = 160

#: Names of phases and files may hold a dollar sign, hence no mathematics in texts.
HOUSE_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.3,
    "legend.handleheight": 1.0,
    "image.cmap": "gray",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "friedel",
}


def in_house_style(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function in the house style and leave matplotlib's settings as they were."""

    @wraps(function)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(HOUSE_STYLE):
            return function(*args, **kwargs)

    return styled


def axes_or_new(ax: Axes | None, aspect: float = 0.75, width_in: float = 5.4) -> Axes:
    """Return the given axes, or those of a new figure whose height is ``aspect`` times its width, within limits."""
    if ax is not None:
        return ax
    height_in = width_in * min(max(aspect, 0.35), 1.6)
    return Figure(figsize=(width_in, height_in), layout="constrained").add_subplot()


@in_house_style
def png_of(drawing: Axes | Figure, dpi: int = DPI) -> bytes:
    """Render a figure, or the figure of the given axes, as PNG; equal drawings give equal bytes."""
    figure = drawing if isinstance(drawing, Figure) else drawing.get_figure(root=True)
    if figure is None:
        raise ValueError("These axes belong to no figure; draw into axes that were made by a Figure.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.05, metadata={"Software": None})
    return buffer.getvalue()


def without_ticks(ax: Axes) -> None:
    """Take ticks and frame from the axes of a picture, whose scale bar says all."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def show_hatched(ax: Axes, where: BoolArray, light: str = NO_DATA[0], dark: str = NO_DATA[1]) -> None:
    """Cover the pixels where nothing is known with diagonal stripes, exactly to their edges."""
    if not where.any():
        return
    ny, nx = where.shape
    fine = max(1, -(-480 // max(ny, nx)))
    mask = np.kron(where, np.ones((fine, fine), dtype=bool))
    yy, xx = np.ogrid[: mask.shape[0], : mask.shape[1]]
    period = max(4, max(mask.shape) // 40)
    stripe = ((yy + xx) % period < period / 3)[..., None]
    rgba = np.where(stripe, mpl.colors.to_rgba(dark), mpl.colors.to_rgba(light))
    rgba[..., 3] = mask
    ax.imshow(
        rgba, extent=(-0.5, nx - 0.5, ny - 0.5, -0.5), interpolation="nearest", aspect=ax.get_aspect(), zorder=1.5
    )


def outline_segments(mask: AnyArray) -> AnyArray:
    """Return the pixel edges (N, 2, 2) as ((x0, y0), (x1, y1)) that part a mask's true pixels from its false ones."""
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    y, x = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    level = np.stack([np.stack([x - 0.5, y - 0.5], -1), np.stack([x + 0.5, y - 0.5], -1)], 1)
    y, x = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    upright = np.stack([np.stack([x - 0.5, y - 0.5], -1), np.stack([x - 0.5, y + 0.5], -1)], 1)
    return np.concatenate([level, upright])


def shortened(name: str, limit: int = 28) -> str:
    """Return a name on one line and of at most ``limit`` characters, for legends."""
    line = " ".join(name.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
