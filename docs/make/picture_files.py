"""How the pictures of the pages are laid out and written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from PIL import Image

from friedel.core.arrays import AnyArray
from friedel.report.style import in_house_style, png_of, without_ticks

FOLDER = Path(__file__).parents[1] / "pictures"
MAX_BYTES = 250_000
#: A picture and its caption.
Panel = tuple[str, AnyArray]


def save(name: str, drawing: Axes | Figure, dpi: int = 130) -> None:
    """Write a picture with a palette that keeps rare colours; refuse one that is too large for a page."""
    picture = (
        Image.open(io.BytesIO(png_of(drawing, dpi))).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2)
    )
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.png"
    picture.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {picture.width} x {picture.height} px, {size} bytes")
    assert size < MAX_BYTES, f"{path} has {size} bytes; draw it smaller"


@in_house_style
def grid_of(panels: Sequence[Panel], n_columns: int, top: float | None = None, gamma: float = 0.35) -> Figure:
    """Lay out patterns in rows, each below its caption; ``top`` is a common white level in place of each one's own."""
    n_rows = -(-len(panels) // n_columns)
    height, width = panels[0][1].shape[:2]
    figure = Figure(figsize=(2.1 * n_columns, (2.1 * height / width + 0.25) * n_rows), layout="constrained")
    for ax, (caption, picture) in zip(figure.subplots(n_rows, n_columns).flat, panels, strict=True):
        show(ax, picture, gamma, top)
        ax.set_title(caption, fontsize=8.5)
    return figure


def show(ax: Axes, picture: AnyArray, gamma: float, top: float | None) -> None:
    """Draw a pattern in grey, brightness as a power of the electrons."""
    white = top or max(float(np.percentile(picture, 99.8)), 1.0)
    ax.imshow(picture, norm=PowerNorm(gamma, vmin=0.0, vmax=white, clip=True), interpolation="nearest")
    without_ticks(ax)
