"""How values show themselves: a line in a terminal; thumbnails, axes and calibration in a notebook."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.grids import RealGrid, ReciprocalGrid

if TYPE_CHECKING:
    from friedel.core.images import Micrograph, MicrographSeries, Pattern, PatternScan
    from friedel.core.phase_map import PhaseMap
    from friedel.core.spots import Spots

#: Longest side of a thumbnail, pixels; and how many there are at most.
_SIDE_PX, _MOST_PICTURES = 160, 6
#: Patterns are drawn as a power of their counts, as in the report.
_PATTERN_GAMMA = 0.35
#: Positions along each axis of a scan, and frames of a series, that are read for a thumbnail.
_SAMPLES = 3
_CELL = "text-align:left;padding:1px 10px 1px 0"


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A grey picture: values 0 to 1 (y, x), the height of a pixel over its width, and what it shows."""

    caption: str
    grey: FloatArray
    aspect: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """What is shown of a value."""

    title: str
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[Thumbnail, ...] = ()

    def text(self) -> str:
        """One line."""
        return f"<{self.title}: {'; '.join(f'{name} {value}' for name, value in self.facts)}>"

    def html(self) -> str:
        """A piece of HTML that needs nothing from elsewhere; whatever comes from a file is text in it."""
        rows = "".join(
            f'<tr><th style="{_CELL}">{html.escape(name)}</th><td style="{_CELL}">{html.escape(value)}</td></tr>'
            for name, value in self.facts
        )
        pictures = "".join(map(_figure, self.pictures[:_MOST_PICTURES]))
        head = f"<strong>friedel {html.escape(self.title)}</strong>"
        return (
            f'<div>{head}<div style="display:flex;flex-wrap:wrap;gap:10px;align-items:flex-start">'
            f'{pictures}<table style="border-collapse:collapse">{rows}</table></div></div>'
        )


def card_of_micrograph(value: Micrograph, *, with_pictures: bool = True) -> Card:
    """Describe a micrograph."""
    facts = (_axes("y × x", value.data, value.grid), _scale(value.grid), *_beam(value.beam))
    pictures = (_picture("", value.data, value.grid),) if with_pictures else ()
    return Card("Micrograph", facts, pictures)


def card_of_series(value: MicrographSeries, *, with_pictures: bool = True) -> Card:
    """Describe a series; its first, middle and last frame are read for the pictures."""
    n = value.data.shape[0]
    end = [f"{n} frames"]
    if value.time_s is not None:
        end.append(f"{value.time_s[-1]:.4g} s")
    if value.dose_e_per_a2 is not None:
        end.append(f"{value.dose_e_per_a2[-1]:.4g} e/Å²")
    frames = ("in all", ", ".join(end))
    facts = (frames, _axes("y × x", value.data, value.grid), _scale(value.grid), *_beam(value.beam))
    chosen = _spread(n) if with_pictures else []
    return Card("MicrographSeries", facts, tuple(_picture(f"frame {i}", value.data[i], value.grid) for i in chosen))


def card_of_pattern(value: Pattern, *, with_pictures: bool = True) -> Card:
    """Describe a pattern."""
    facts = (_axes("ky × kx", value.data, value.grid), _scale(value.grid), _centre(value.grid), *_masked(value.valid))
    made = "FFT of a micrograph" if value.origin == "fft" else "camera"
    pictures = (_picture("", value.data, value.grid, value.valid),) if with_pictures else ()
    return Card("Pattern", (*facts, ("from", made)), pictures)


def card_of_scan(value: PatternScan, *, with_pictures: bool = True) -> Card:
    """Describe a scan; at most nine of its patterns are read for the picture."""
    scan = (_axes("ry × rx", np.empty(value.scan_shape, np.void), value.scan_grid, "positions"),)
    facts = (*scan, _axes("ky × kx", value.data, value.grid), _scale(value.grid), *_masked(value.valid))
    pictures: tuple[Thumbnail, ...] = ()
    if with_pictures:
        at = [(ry, rx) for ry in _spread(value.scan_shape[0]) for rx in _spread(value.scan_shape[1])]
        read = (np.asarray(value.data[ry, rx], dtype=np.float64) for ry, rx in at)
        mean = np.mean([np.where(np.isfinite(pattern), pattern, 0.0) for pattern in read], axis=0)
        caption = f"mean of {len(at)} patterns" if len(at) > 1 else "its pattern"
        pictures = (_picture(caption, mean, value.grid, value.valid),)
    return Card("PatternScan", (*facts, *_beam(value.beam)), pictures)


def card_of_phase_map(value: PhaseMap, *, with_pictures: bool = True) -> Card:
    """Describe a phase map: how much of it is which phase, and the presence of each, black for 0 and white for 1."""
    shares = value.fractions()
    facts = [_axes("y × x", value.valid, value.grid, "positions")]
    facts += [(name, f"{100 * share:.1f} %") for name, share in shares.items()]
    if not value.valid.all():
        facts.append(("without data", f"{np.mean(~value.valid):.1%} of the positions"))
    aspect = _aspect(value.grid)
    pictures = tuple(
        Thumbnail(f"presence of {name}", _small(np.where(value.valid, value.presence[..., i], 0.0)), aspect)
        for i, name in enumerate(value.phases[: _MOST_PICTURES * with_pictures])
    )
    return Card("PhaseMap", tuple(facts), pictures)


def card_of_spots(value: Spots, *, with_pictures: bool = True) -> Card:
    """Describe a table of spots: their number, their radii, and where they lie, all patterns on one another."""
    facts = [("spots", f"{len(value)} spots in {value.n_patterns} patterns")]
    if not len(value):
        return Card("Spots", tuple(facts))
    radius = value.radius_inv_a
    facts.append(("radius", f"{radius.min():.3g} to {radius.max():.3g} 1/Å"))
    facts.append(("signal to noise", f"median {np.median(value.snr):.3g}"))
    if not with_pictures:
        return Card("Spots", tuple(facts))
    reach = float(np.abs(value.k_inv_a).max()) or 1.0
    edges = np.linspace(-reach, reach, _SIDE_PX // 2 + 1)
    counts = np.histogram2d(value.k_inv_a[:, 0], value.k_inv_a[:, 1], bins=(edges, edges))[0]
    picture = Thumbnail(f"where they lie, to {reach:.3g} 1/Å", _stretched(np.sqrt(counts)))
    return Card("Spots", tuple(facts), (picture,))


def png_of(grey: FloatArray) -> bytes:
    """Encode grey values 0 to 1 (y, x) as an 8-bit PNG (ISO/IEC 15948)."""
    levels = np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)
    height, width = levels.shape
    lines = zlib.compress(np.pad(levels, ((0, 0), (1, 0))).tobytes())  # each line begins with its filter: 0, none
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", lines), (b"IEND", b""))
    chunks = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _figure(picture: Thumbnail) -> str:
    rows, columns = picture.grey.shape
    scale = _SIDE_PX / max(rows * picture.aspect, columns)
    width, height = max(1, round(columns * scale)), max(1, round(rows * picture.aspect * scale))
    data = base64.b64encode(png_of(picture.grey)).decode()
    caption = html.escape(picture.caption)
    return (
        f'<figure style="margin:0"><img width="{width}" height="{height}" alt="{caption}" '
        f'style="image-rendering:pixelated" src="data:image/png;base64,{data}">'
        f'<figcaption style="font-size:smaller;max-width:{_SIDE_PX}px">{caption}</figcaption></figure>'
    )


def _picture(caption: str, data: Any, grid: RealGrid | ReciprocalGrid, valid: AnyArray | None = None) -> Thumbnail:
    known = np.asarray(data) if valid is None else np.where(valid, data, 0)
    values = _small(known)
    if isinstance(grid, ReciprocalGrid):
        values = np.clip(values, 0, None) ** _PATTERN_GAMMA
    return Thumbnail(caption, _stretched(values), _aspect(grid))


def _small(data: AnyArray) -> FloatArray:
    """Average squares of pixels until the picture is no larger than a thumbnail; a rest at the edges is left out."""
    n = -(-max(data.shape) // _SIDE_PX)
    rows, columns = max(data.shape[0] // n, 1), max(data.shape[1] // n, 1)
    n_rows, n_columns = min(n, data.shape[0]), min(n, data.shape[1])
    cut = data[: rows * n_rows, : columns * n_columns]
    return np.asarray(cut.reshape(rows, n_rows, columns, n_columns).mean(axis=(1, 3), dtype=np.float64))


def _stretched(data: FloatArray) -> FloatArray:
    low, high = np.percentile(data, [0.5, 99.8])
    return np.asarray((data - low) / ((high - low) or 1.0)).clip(0, 1)


def _spread(n: int) -> list[int]:
    """First, middle and last of n things."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, _SAMPLES))})


def _axes(names: str, data: Any, grid: RealGrid | ReciprocalGrid | None, unit: str = "px") -> tuple[str, str]:
    ny, nx = data.shape[-2:]
    text = f"{ny} × {nx} {unit}" + ("" if data.dtype.kind in "Vb" else f" of {data.dtype}")
    if isinstance(grid, RealGrid):
        text += f", {_pair([0.1 * s for s in grid.step_a])} nm each"
        text += f", {0.1 * ny * grid.step_a[0]:.4g} × {0.1 * nx * grid.step_a[1]:.4g} nm in all"
    elif grid is not None:
        text += f", {_pair(grid.step_inv_a)} 1/Å each"
    return names, text


def _scale(grid: RealGrid | ReciprocalGrid) -> tuple[str, str]:
    return "scale", f"from {grid.source}, known to {100 * grid.relative_sigma:.2g} %"


def _centre(grid: ReciprocalGrid) -> tuple[str, str]:
    return "centre", f"({grid.centre_px[0]:.2f}, {grid.centre_px[1]:.2f}) px"


def _beam(beam: Any) -> tuple[tuple[str, str], ...]:
    return () if beam is None else (("beam", f"{beam.energy_kev:g} keV"),)


def _masked(valid: AnyArray | None) -> tuple[tuple[str, str], ...]:
    return () if valid is None or valid.all() else (("masked", f"{int((~valid).sum())} px tell nothing"),)


def _pair(steps: Sequence[float]) -> str:
    return f"{steps[0]:.4g}" if steps[0] == steps[1] else f"{steps[0]:.4g} × {steps[1]:.4g}"


def _aspect(grid: RealGrid | ReciprocalGrid | None) -> float:
    if grid is None:
        return 1.0
    step = grid.step_a if isinstance(grid, RealGrid) else grid.step_inv_a
    return step[0] / step[1]
