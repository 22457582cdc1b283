"""Pictures of a series: components over frames as lines and as a heat map, the drift, and a film of the maps."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from PIL import Image, ImageDraw, ImageFont

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.phase_map import PhaseMap
from friedel.report.colours import phase_colours
from friedel.report.maps import phase_rgb
from friedel.report.style import INK, axes_or_new, in_house_style, shortened

#: Lines of one phase are told apart by their dashes.
_DASHES = ("-", "--", "-.", ":")
_UNNAMED = "#8a8f98"
#: Longest side of a film's map, height of the strip below it, and milliseconds that a frame is shown.
_FILM_PX, _STRIP_PX, _FRAME_MS = 420, 46, 150


@dataclass(frozen=True, slots=True, eq=False)
class ComponentCurve:
    """How one component changes: its phase and indices, its intensity (t,), and the frame in which it appears."""

    phase: str
    hkl: str
    intensity: FloatArray
    onset: int | None = None

    @property
    def label(self) -> str:
        """Name for legends and axes."""
        return shortened(f"{self.phase} {self.hkl}".strip(), 30)


@in_house_style
def plot_components(
    curves: Sequence[ComponentCurve], phases: Sequence[str], x: FloatArray, x_label: str, ax: Axes | None = None
) -> Axes:
    """Draw the intensity of components over frames, time or dose (t,), in the colours of their phases.

    A triangle on the axis marks where a component appears.
    """
    ax = axes_or_new(ax, 0.6, width_in=6.6)
    colours = phase_colours(phases)
    count: dict[str, int] = {}
    for curve in curves:
        rank = count.setdefault(curve.phase, 0)
        count[curve.phase] += 1
        colour = colours.get(curve.phase, _UNNAMED)
        ax.plot(x, curve.intensity, color=colour, ls=_DASHES[rank % len(_DASHES)], lw=1.3, label=curve.label)
        if curve.onset is not None:
            ax.plot(x[curve.onset], 0, marker="^", color=colour, mec="black", mew=0.5, ms=6, clip_on=False, zorder=5)
    ax.set(xlabel=x_label, ylabel="intensity (counts · nm²)", xlim=(float(x[0]), float(x[-1])))
    ax.axhline(0, color="#bbbbbb", lw=0.7, zorder=0)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.2, handlelength=2.6, fontsize=7.5)
    return ax


@in_house_style
def plot_component_heat_map(
    curves: Sequence[ComponentCurve], x: FloatArray, x_label: str, ax: Axes | None = None
) -> Axes:
    """Draw all components over time as rows of colour, each over its own largest intensity; onsets are marked white."""
    ax = axes_or_new(ax, 0.16 + 0.032 * len(curves), width_in=6.6)
    rows = np.array([curve.intensity / max(float(np.max(curve.intensity)), 1e-30) for curve in curves])
    step = float(x[1] - x[0]) if len(x) > 1 else 1.0
    extent = (float(x[0]) - step / 2, float(x[-1]) + step / 2, len(curves) - 0.5, -0.5)
    image = ax.imshow(rows.reshape(len(curves), len(x)), aspect="auto", cmap="cividis", vmin=0, vmax=1, extent=extent,
                      interpolation="nearest")  # fmt: skip
    for row, curve in enumerate(curves):
        if curve.onset is not None:
            ax.plot(x[curve.onset], row, marker=">", color="white", mec="black", mew=0.6, ms=5.5)
    ax.set(xlabel=x_label)
    ax.set_yticks(range(len(curves)), [curve.label for curve in curves], fontsize=7)
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.colorbar(image, ax=ax, shrink=0.9, pad=0.02).set_label("intensity over its largest")
    return ax


@in_house_style
def plot_drift(shift_a: FloatArray, sigma_a: FloatArray, x: FloatArray, x_label: str, ax: Axes | None = None) -> Axes:
    """Draw the drift (t, 2) in nm over frames, time or dose, with bands of three standard errors."""
    ax = axes_or_new(ax, 0.5, width_in=6.0)
    for axis, (name, colour) in enumerate((("y", "#0072b2"), ("x", "#d55e00"))):
        middle, error = shift_a[:, axis] / 10, 3 * sigma_a[:, axis] / 10
        ax.fill_between(x, middle - error, middle + error, color=colour, alpha=0.25, lw=0)
        ax.plot(x, middle, color=colour, lw=1.2, ls="-" if axis == 0 else "--", label=f"along {name}")
    ax.set(xlabel=x_label, ylabel="drift (nm)", xlim=(float(x[0]), float(x[-1])))
    ax.legend(loc="best")
    return ax


def film_of(
    maps: Iterable[PhaseMap], captions: Sequence[str], onsets: Mapping[str, int], min_probability: float
) -> bytes:
    """Return a GIF of phase maps, one after the other, with their captions and a time line below.

    Parameters
    ----------
    captions
        A text for each frame, such as its number and time.
    onsets
        By phase: index of the frame in which it appears; a mark in its colour on the time line.
    """
    pictures: list[Image.Image] = []
    colours: dict[str, str] = {}
    for i, phase_map in enumerate(maps):
        colours = colours or phase_colours(phase_map.phases)
        pictures.append(_film_frame(phase_map, i, captions, onsets, colours, min_probability))
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=_FRAME_MS, loop=0, disposal=1
    )
    return buffer.getvalue()


def _film_frame(
    phase_map: PhaseMap, index: int, captions: Sequence[str], onsets: Mapping[str, int], colours: Mapping[str, str],
    min_probability: float,
) -> Image.Image:  # fmt: skip
    rgb = np.asarray(255 * phase_rgb(phase_map, min_probability)).round().astype(np.uint8)
    rgb[~phase_map.valid] = 255
    picture = Image.fromarray(_enlarged(rgb))
    whole = Image.new("RGB", (picture.width, picture.height + _STRIP_PX), "white")
    whole.paste(picture, (0, 0))
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(12)
    top, last = picture.height, max(len(captions) - 1, 1)
    place = [6 + (picture.width - 12) * i / last for i in range(len(captions))]
    pen.line([(place[0], top + 7), (place[-1], top + 7)], fill="#bbbbbb", width=3)
    pen.line([(place[0], top + 7), (place[index], top + 7)], fill=INK, width=3)
    for phase, onset in onsets.items():
        x = place[onset]
        pen.polygon(
            [(x, top + 3), (x - 4, top + 12), (x + 4, top + 12)], fill=colours.get(phase, _UNNAMED), outline="black"
        )
    pen.text((6, top + 13), captions[index], fill=INK, font=font)
    x = 6.0
    for phase, colour in colours.items():
        pen.rectangle([x, top + 32, x + 9, top + 41], fill=colour)
        pen.text((x + 13, top + 28), shortened(phase, 14), fill=INK, font=font)
        x += 24 + pen.textlength(shortened(phase, 14), font=font)
    return whole.quantize(64, Image.Quantize.MAXCOVERAGE)


def _enlarged(rgb: AnyArray) -> AnyArray:
    """Return a picture (y, x, 3) with its longest side near that of a film, each position a square of pixels."""
    longest = max(rgb.shape[:2])
    if longest > _FILM_PX:
        step = -(-longest // _FILM_PX)
        return np.ascontiguousarray(rgb[::step, ::step])
    times = max(1, _FILM_PX // longest)
    return np.ascontiguousarray(np.repeat(np.repeat(rgb, times, axis=0), times, axis=1))
