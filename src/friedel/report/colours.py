"""Colours of phases that stay apart for readers with and without colour blindness."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from skimage.color import rgb2lab

from friedel.core.arrays import FloatArray

#: Okabe and Ito, "Color Universal Design" (2008), in the order of use; their black is what "none" looks like.
OKABE_ITO = ("#e69f00", "#0072b2", "#009e73", "#cc79a7", "#f0e442", "#56b4e9", "#d55e00")
NONE = "#16181d"
MIXED = "#c4c4c4"
ROI = "#39d353"
OUTSIDE = "#ff8c1a"

#: Machado, Oliveira, Fernandes, IEEE TVCG 15, 1291 (2009), severity 1.0: what deuteranopes and protanopes see of
#: linear RGB.
_DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
_PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)


def phase_colours(phases: Sequence[str]) -> dict[str, str]:
    """Return a hexadecimal colour per phase, by position: the first orange, the second blue, and so on."""
    return dict(zip(phases, palette(len(phases)), strict=True))


@lru_cache
def palette(n: int) -> tuple[str, ...]:
    """Return n distinct colours: Okabe and Ito's seven, then whichever is farthest from all before.

    Notes
    -----
    Distance is Euclidean in CIELAB, the least of three observers (normal, deuteranope, protanope). The colours of
    "none" and "mixed" count as taken, and those too dark or too pale to be seen are left out.
    """
    if n <= len(OKABE_ITO):
        return OKABE_ITO[:n]
    levels = np.linspace(0, 1, 9)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness = rgb2lab(candidates)[:, 0]
    candidates = candidates[(lightness > 35) & (lightness < 93)]
    seen = appearance(candidates)
    taken = appearance(np.array([to_rgb(c) for c in (*OKABE_ITO, NONE, MIXED)]))
    nearest = np.linalg.norm(seen[:, None] - taken[None], axis=-1).min(axis=(1, 2))
    colours = list(OKABE_ITO)
    while len(colours) < n:
        best = int(np.argmax(nearest))
        colours.append(to_hex(candidates[best]))
        nearest = np.minimum(nearest, np.linalg.norm(seen - seen[best], axis=-1).min(axis=-1))
    return tuple(colours)


def on_dark(colour: str, least_lightness: float = 60.0) -> str:
    """Return a colour mixed with as much white as it takes to be seen on a dark picture."""
    shares = np.linspace(0, 1, 21)[:, None]
    mixtures = (1 - shares) * np.array(to_rgb(colour)) + shares
    return str(to_hex(mixtures[np.argmax(rgb2lab(mixtures)[:, 0] >= least_lightness)]))


def appearance(rgb: FloatArray) -> FloatArray:
    """Return CIELAB coordinates (N, 3 observers, 3) of sRGB colours (N, 3): normal, deuteranope, protanope."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.stack([linear, linear @ _DEUTERANOPIA.T, linear @ _PROTANOPIA.T], axis=1).clip(0, 1)
    srgb = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    return np.asarray(rgb2lab(srgb), dtype=np.float64)
