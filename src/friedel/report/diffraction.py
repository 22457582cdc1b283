"""Pictures in reciprocal space: patterns with spots and outlines, diffractograms, and what lies at which radius."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import LogFormatter, NullFormatter

from friedel.core.arrays import FloatArray, read_only
from friedel.core.errors import DataError
from friedel.core.images import Pattern
from friedel.core.spots import Spots
from friedel.report.colours import OUTSIDE, on_dark
from friedel.report.labels import place_labels, spread
from friedel.report.scale_bar import add_scale_bar
from friedel.report.style import INK, axes_or_new, in_house_style, shortened, show_hatched, without_ticks

_HALO = [effects.withStroke(linewidth=2.6, foreground="black", alpha=0.7)]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A closed polygon on a pattern, such as the hexagon of a phase.

    Parameters
    ----------
    label, colour
        Name in the legend (outlines of one name share an entry), and colour.
    vertices_inv_a
        Corners (V, 2) in order (ky, kx).
    """

    label: str
    colour: str
    vertices_inv_a: FloatArray

    def __post_init__(self) -> None:
        vertices = read_only(self.vertices_inv_a, ndim=2, name="Outline.vertices_inv_a")
        if vertices.shape[1] != 2 or len(vertices) < 3:
            raise DataError(f"Outline.vertices_inv_a must have shape (V >= 3, 2), got {vertices.shape}.")
        object.__setattr__(self, "vertices_inv_a", vertices)


def hexagon(label: str, colour: str, radius_inv_a: float, azimuth_rad: float) -> Outline:
    """Return a regular hexagon about the transmitted beam; a corner lies at ``azimuth_rad``, from +kx towards +ky."""
    angle = azimuth_rad + np.arange(6) * np.pi / 3
    return Outline(label, colour, radius_inv_a * np.stack([np.sin(angle), np.cos(angle)], axis=-1))


@dataclass(frozen=True, slots=True)
class Ring:
    """A radius worth marking: ``is_learned`` tells one fitted to the data (solid) from a computed one (dashed)."""

    label: str
    colour: str
    radius_inv_a: float
    is_learned: bool = False


@in_house_style
def plot_pattern(
    pattern: Pattern,
    *,
    spots: Spots | None = None,
    outlines: Sequence[Outline] = (),
    annulus_inv_a: tuple[float, float] | None = None,
    gamma: float = 0.35,
    ax: Axes | None = None,
) -> Axes:
    """Draw a pattern with what was found on it.

    Parameters
    ----------
    spots
        Spots of this pattern: crosses inside the annulus, orange triangles outside; all crosses without an annulus.
    outlines
        Hexagons or other polygons, each in the colour of its phase.
    annulus_inv_a
        Inner and outer radius in 1/Å, drawn as dashed circles.
    gamma
        Grey value = intensity ** gamma, up to the 99.9th percentile.
    """
    ax = axes_or_new(ax, 0.82)
    data = np.clip(np.nan_to_num(np.asarray(pattern.data, dtype=np.float64)), 0, None)
    known = data if pattern.valid is None else data[pattern.valid]
    top = float(np.percentile(known, 99.9)) or float(known.max(initial=0.0)) or 1.0
    aspect = pattern.grid.step_inv_a[0] / pattern.grid.step_inv_a[1]
    ax.imshow(data, norm=PowerNorm(gamma, vmin=0, vmax=top, clip=True), aspect=aspect, interpolation="nearest")
    if pattern.valid is not None:
        show_hatched(ax, ~pattern.valid)
    ax.set(xlim=(-0.5, pattern.shape[1] - 0.5), ylim=(pattern.shape[0] - 0.5, -0.5))
    without_ticks(ax)
    handles = _draw_annulus(ax, pattern, annulus_inv_a) + _draw_outlines(ax, pattern, outlines)
    handles += _draw_spots(ax, pattern, spots, annulus_inv_a)
    add_scale_bar(ax, pattern.grid, pattern.shape[1])
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.2, handlelength=1.6)
    return ax


@in_house_style
def plot_diffractogram(
    pattern: Pattern,
    spots: Spots,
    labels: Sequence[str] = (),
    colours: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw the FFT of a micrograph, zoomed to its spots, each ringed and named.

    Parameters
    ----------
    labels, colours
        Name (may be empty) and colour of each spot; without colours all rings are white.

    Notes
    -----
    Shown is the logarithm of the intensity over its geometric mean at the same radius, which is what a detector of
    constant false-alarm rate compares: a weak spot far out looks as bright as an equally significant one near by.
    """
    for name, values in (("labels", labels), ("colours", colours)):
        if len(values) not in (0, len(spots)):
            raise DataError(
                f"{name} must be empty or have one entry per spot, got {len(values)} for {len(spots)} spots."
            )
    ax = axes_or_new(ax, 0.98)
    contrast = ring_contrast(pattern)
    aspect = pattern.grid.step_inv_a[0] / pattern.grid.step_inv_a[1]
    (bottom, top), (left, right) = _zoom(pattern, spots)
    shown = contrast[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1]
    peak = max(float(np.percentile(shown, 99.97)), 1.0)
    ax.imshow(contrast, vmin=0.0, vmax=peak, aspect=aspect, interpolation="nearest")
    ax.set(xlim=(left, right), ylim=(bottom, top))
    without_ticks(ax)
    colours = colours or ["white"] * len(spots)
    px = pattern.grid.px_of(spots.k_inv_a)
    ring_px = 0.022 * (right - left)
    for (y, x), colour in zip(px, colours, strict=True):
        ax.add_patch(Circle((x, y), ring_px, fill=False, edgecolor=on_dark(colour), linewidth=1.5))
    place_labels(ax, px, labels, colours, ring_px, pattern.grid.centre_px)
    add_scale_bar(ax, pattern.grid, right - left)
    return ax


@in_house_style
def plot_radius_histogram(
    radius_inv_a: FloatArray,
    weights: FloatArray | None = None,
    rings: Sequence[Ring] = (),
    bin_inv_a: float = 0.005,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many spots (or how much weight) lie at each radius, with the rings of the phases marked."""
    ax = axes_or_new(ax, 0.5, width_in=6.4)
    top = max([float(np.max(radius_inv_a, initial=0.1)), *(ring.radius_inv_a for ring in rings)])
    edges = np.arange(0, top + 2 * bin_inv_a, bin_inv_a)
    ax.hist(radius_inv_a, bins=list(edges), weights=weights, color="#8a8f98", histtype="stepfilled")
    ax.set(xlabel="radius |k| (1/Å)", ylabel="spots" if weights is None else "weight of spots", xlim=(0, edges[-1]))
    _mark_rings(ax, rings)
    return ax


@in_house_style
def plot_radial_profile(
    k_inv_a: FloatArray, intensity: FloatArray, rings: Sequence[Ring] = (), ax: Axes | None = None
) -> Axes:
    """Draw the mean intensity at each radius on a logarithmic axis, with the reflections of the phases marked."""
    ax = axes_or_new(ax, 0.5, width_in=6.4)
    ax.plot(k_inv_a, intensity, color=INK, linewidth=1.1)
    if (np.asarray(intensity) > 0).any():
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(LogFormatter())
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel="radius |k| (1/Å)", ylabel="mean intensity", xlim=(0, float(np.max(k_inv_a))))
    _mark_rings(ax, rings)
    return ax


def ring_contrast(pattern: Pattern) -> FloatArray:
    """Return log10 of the intensity over its geometric mean on the pixel-wide ring of the same radius, (ky, kx)."""
    data = np.clip(np.asarray(pattern.data, dtype=np.float64), 0, None)
    floor = 1e-6 * float(data.mean()) or 1.0
    log = np.log10(np.maximum(data, floor))
    ring = np.rint(pattern.grid.radius_inv_a(pattern.shape) / min(pattern.grid.step_inv_a)).astype(np.int64)
    count = np.bincount(ring.ravel())
    mean = np.bincount(ring.ravel(), weights=log.ravel()) / np.maximum(count, 1)
    return np.asarray(log - mean[ring], dtype=np.float64)


def _zoom(pattern: Pattern, spots: Spots) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the limits (y, x) that show every spot and the transmitted beam with a quarter of room around."""
    ny, nx = pattern.shape
    if len(spots) == 0:
        return (ny - 0.5, -0.5), (-0.5, nx - 0.5)
    reach = 1.3 * float(spots.radius_inv_a.max())
    corners = pattern.grid.px_of(np.array([[-reach, -reach], [-reach, reach], [reach, -reach], [reach, reach]]))
    (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
    return (min(bottom, ny - 0.5), max(top, -0.5)), (max(left, -0.5), min(right, nx - 0.5))


def _draw_annulus(ax: Axes, pattern: Pattern, annulus_inv_a: tuple[float, float] | None) -> list[Line2D]:
    """Draw both circles of the annulus, through the calibration, so that an elliptic pattern gets ellipses."""
    if annulus_inv_a is None:
        return []
    angle = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    for radius in annulus_inv_a:
        px = pattern.grid.px_of(radius * circle)
        (line,) = ax.plot(px[:, 1], px[:, 0], color="white", linewidth=1.0, linestyle=(0, (4, 3)), path_effects=_HALO)
    low, high = annulus_inv_a
    label = f"annulus {low:.3g} to {high:.3g} 1/Å"
    return [Line2D([], [], color="#666666", linewidth=line.get_linewidth(), linestyle=(0, (4, 3)), label=label)]


def _draw_outlines(ax: Axes, pattern: Pattern, outlines: Sequence[Outline]) -> list[Line2D]:
    """Draw closed polygons on a dark halo, with one entry of the legend per name."""
    handles: dict[str, Line2D] = {}
    for outline in outlines:
        px = pattern.grid.px_of(np.vstack([outline.vertices_inv_a, outline.vertices_inv_a[:1]]))
        colour, label = on_dark(outline.colour), shortened(outline.label)
        ax.plot(px[:, 1], px[:, 0], color=colour, linewidth=1.7, path_effects=_HALO)
        handles.setdefault(label, Line2D([], [], color=colour, linewidth=1.7, label=label))
    return list(handles.values())


def _draw_spots(
    ax: Axes, pattern: Pattern, spots: Spots | None, annulus_inv_a: tuple[float, float] | None
) -> list[Line2D]:
    """Draw spots as crosses inside the annulus and as triangles outside it."""
    if spots is None or len(spots) == 0:
        return []
    low, high = annulus_inv_a or (0.0, np.inf)
    inside = (spots.radius_inv_a >= low) & (spots.radius_inv_a <= high)
    px = pattern.grid.px_of(spots.k_inv_a)
    handles: list[Line2D] = []
    kinds = ((inside, "x", "#ff3b6b", "spot"), (~inside, "^", OUTSIDE, "spot outside the annulus"))
    for which, marker, colour, label in kinds:
        if which.any():
            look: Any = {"marker": marker, "color": colour, "ms": 6, "mew": 1.5, "ls": "none"}
            ax.plot(px[which, 1], px[which, 0], path_effects=_HALO, **look)
            handles.append(Line2D([], [], label=f"{label} ({int(which.sum())})", **look))
    return handles


def _mark_rings(ax: Axes, rings: Sequence[Ring]) -> None:
    """Mark radii by lines whose upright names stand above the axes, moved apart where they would touch."""
    ordered = sorted(rings, key=lambda ring: ring.radius_inv_a)
    transform = ax.get_xaxis_transform()
    low, high = ax.get_xlim()
    names_at = spread(np.array([ring.radius_inv_a for ring in ordered]), 0.026 * (high - low), (low, high))
    for ring, name_at in zip(ordered, names_at, strict=True):
        style = "-" if ring.is_learned else (0, (3, 2))
        k = ring.radius_inv_a
        ax.plot([k, k, name_at], [0, 1, 1.05], transform=transform, color=ring.colour, lw=1.3, ls=style, clip_on=False)
        text = f"{shortened(ring.label)} {'learned' if ring.is_learned else 'computed'}"
        ax.text(name_at, 1.06, text, transform=transform, rotation=90, ha="center", va="bottom", fontsize=7, color=INK)
    ax.set_xlim(low, high)
