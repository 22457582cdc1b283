"""The report: one HTML file that holds its pictures, needs no network and no scripts, and prints."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from friedel.report.files import write_atomic
from friedel.report.style import DPI
from friedel.report.tables import Share, Table

_CSS_PX_PER_INCH = 96


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG with its caption and the text that stands for it where it cannot be seen."""

    png: bytes
    caption: str
    alt: str

    def __post_init__(self) -> None:
        if not self.png.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError(f"The picture {self.caption!r} is no PNG; render it with png_of.")
        if not self.alt.strip():
            raise ValueError(f"The picture {self.caption!r} needs an alt text for readers who cannot see it.")

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height at which a browser shows the picture in its printed size."""
        width, height = struct.unpack(">II", self.png[16:24])
        return round(width * _CSS_PX_PER_INCH / DPI), round(height * _CSS_PX_PER_INCH / DPI)

    @property
    def data_uri(self) -> str:
        """The picture as text, for the src of an img."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report: paragraphs of plain text, pictures, tables, and verbatim text such as a recipe."""

    title: str
    paragraphs: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    verbatim: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A report, from the answer in one glance to the last setting.

    Parameters
    ----------
    title, subtitle
        What was analysed; how and when.
    verdict
        Sentences that answer: which phases, what share, how sure.
    shares
        The same in numbers, one per phase.
    warnings
        What to be careful about; empty if nothing.
    sections
        The rest, in order.
    refresh_s
        Seconds after which a browser loads the page again; 0 for never.
    """

    title: str
    subtitle: str
    verdict: tuple[str, ...]
    shares: tuple[Share, ...] = ()
    warnings: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    refresh_s: int = 0


def render_html(report: Report) -> str:
    """Return the report as one HTML page; every text in it is escaped."""
    template = resources.files("friedel.report").joinpath("templates/report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.tests["numeric"] = lambda cell: isinstance(cell, int | float)
    return environment.from_string(template).render(report=report)


def write_report(path: str | Path, report: Report) -> None:
    """Write the report as one HTML file, in one step: a reader finds the old report or the new one."""
    write_atomic(path, render_html(report).encode("utf-8"))
