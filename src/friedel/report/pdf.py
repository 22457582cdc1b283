"""Reports to print: A4 pages of text, tables and pictures, with fonts embedded and every text searchable."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from friedel.report.files import write_atomic
from friedel.report.style import HOUSE_STYLE
from friedel.report.tables import Table

_A4_IN = (8.27, 11.69)
_MARGIN_IN = 0.8
_TITLE_PT, _HEADING_PT, _TEXT_PT, _LEAST_PT = 15.0, 11.0, 9.0, 5.0
_LINE = 1.35
_PT_PER_IN = 72.0
#: Width over height of a character: of a fixed-width font exactly, of the house font on average.
_MONO, _CHARACTER = 0.602, 0.53
#: TrueType fonts, so that texts can be searched and edited.
_STYLE = {**HOUSE_STYLE, "pdf.fonttype": 42}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture by a function that draws into axes, and what it shows."""

    draw: Callable[[Axes], object]
    caption: str


@dataclass(frozen=True, slots=True)
class PdfSection:
    """A part of the report: a heading, paragraphs, tables, verbatim text, and pictures on pages of their own."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    verbatim: str = ""
    drawings: tuple[Drawing, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of text, its height on the page, and its font."""

    text: str
    size_pt: float
    is_mono: bool = False
    is_bold: bool = False
    space_before_pt: float = 0.0


def write_pdf(path: str | Path, title: str, subtitle: str, sections: Sequence[PdfSection]) -> None:
    """Write a report as PDF in one step; equal reports give equal bytes."""
    buffer = io.BytesIO()
    facts = {"Title": title, "Creator": "friedel", "Producer": None, "CreationDate": None}
    head = [_Line(text, _TITLE_PT, is_bold=True) for text in _wrapped(title, _TITLE_PT)]
    head += [_Line(text, _TEXT_PT) for text in _wrapped(subtitle, _TEXT_PT)]
    with mpl.rc_context(_STYLE), PdfPages(buffer, metadata=facts) as pages:
        waiting = head
        for section in sections:
            if section.paragraphs or section.tables or section.verbatim:
                waiting += _lines_of(section)
            if section.drawings:
                _print_text(pages, waiting)
                waiting = []
                _print_drawings(pages, section)
        _print_text(pages, waiting)
    write_atomic(path, buffer.getvalue())


def _lines_of(section: PdfSection) -> list[_Line]:
    lines = [_Line(section.title, _HEADING_PT, is_bold=True, space_before_pt=12.0)]
    for paragraph in section.paragraphs:
        first, *rest = _wrapped(paragraph, _TEXT_PT)
        lines += [_Line(first, _TEXT_PT, space_before_pt=4.0), *(_Line(text, _TEXT_PT) for text in rest)]
    for table in section.tables:
        lines += _table_lines(table)
    lines += _mono_lines(section.verbatim.splitlines(), 7.5)
    return lines


def _table_lines(table: Table) -> list[_Line]:
    """Set a table in columns of a fixed-width font, as large as the page allows."""
    rows = [table.header, *map(table.texts, table.rows)]
    is_number = [all(isinstance(row[i], int | float | None) for row in table.rows) for i in range(len(table.header))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    texts = ["  ".join(cell.rjust(width) if right else cell.ljust(width)
                       for cell, width, right in zip(row, widths, is_number, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    head, *body = _mono_lines(texts, 8.0)
    caption = [_Line(text, _TEXT_PT, space_before_pt=6.0 * (i == 0)) for i, text in enumerate(_wrapped(table.caption))]
    return [*caption, _Line(head.text, head.size_pt, is_mono=True, is_bold=True, space_before_pt=4.0), *body]


def _mono_lines(texts: Sequence[str], size_pt: float) -> list[_Line]:
    """Set texts in a fixed-width font, smaller where they are long; what is still too long is broken."""
    longest = max((len(text) for text in texts), default=0)
    size_pt = max(_LEAST_PT, min(size_pt, _width_pt() / (_MONO * max(longest, 1))))
    room = int(_width_pt() / (_MONO * size_pt))
    return [
        _Line(text[i : i + room], size_pt, is_mono=True) for text in texts for i in range(0, max(len(text), 1), room)
    ]


def _wrapped(text: str, size_pt: float = _TEXT_PT) -> list[str]:
    return textwrap.wrap(text, int(_width_pt() / (_CHARACTER * size_pt))) or []


def _width_pt() -> float:
    return (_A4_IN[0] - 2 * _MARGIN_IN) * _PT_PER_IN


def _print_text(pages: PdfPages, lines: Sequence[_Line]) -> None:
    """Print lines onto as many pages as they need."""
    for page in _pages_of(lines):
        figure = Figure(figsize=_A4_IN)
        top_pt = (_A4_IN[1] - _MARGIN_IN) * _PT_PER_IN
        for line, below_pt in page:
            figure.text(
                _MARGIN_IN / _A4_IN[0],
                (top_pt - below_pt) / (_A4_IN[1] * _PT_PER_IN),
                line.text,
                fontsize=line.size_pt,
                family="DejaVu Sans Mono" if line.is_mono else "DejaVu Sans",
                weight="bold" if line.is_bold else "normal",
            )
        pages.savefig(figure)  # type: ignore[no-untyped-call]


def _pages_of(lines: Sequence[_Line]) -> Iterator[list[tuple[_Line, float]]]:
    """Yield the lines of each page with their baselines' distance in points from its upper margin."""
    room_pt = (_A4_IN[1] - 2 * _MARGIN_IN) * _PT_PER_IN
    page: list[tuple[_Line, float]] = []
    below_pt = 0.0
    for line in lines:
        step_pt = line.size_pt * _LINE + (line.space_before_pt if page else 0.0)
        if below_pt + step_pt > room_pt and page:
            yield page
            page, below_pt = [], 0.0
            step_pt = line.size_pt * _LINE
        below_pt += step_pt
        page.append((line, below_pt))
    if page:
        yield page


def _print_drawings(pages: PdfPages, section: PdfSection) -> None:
    """Print pictures, two to a page, each with its caption below."""
    for first in range(0, len(section.drawings), 2):
        figure = Figure(figsize=_A4_IN, layout=ConstrainedLayoutEngine(rect=(0.08, 0.06, 0.84, 0.86)))
        left, top = _MARGIN_IN / _A4_IN[0], 1 - (_MARGIN_IN * 0.9) / _A4_IN[1]
        figure.text(left, top, section.title, fontsize=_HEADING_PT, weight="bold")
        parts: Any = figure.subfigures(2, 1, hspace=0.06)
        for part, drawing in zip(parts, section.drawings[first : first + 2], strict=False):
            drawing.draw(part.add_subplot())
            part.supxlabel("\n".join(textwrap.wrap(drawing.caption, 100)), fontsize=_TEXT_PT)
        pages.savefig(figure)  # type: ignore[no-untyped-call]
