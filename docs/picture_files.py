"""Where the pictures of the pages lie, and how they are written."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from friedel.report.style import png_of

FOLDER = Path(__file__).with_name("pictures")
MAX_BYTES = 250_000


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
