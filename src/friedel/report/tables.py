"""Tables: of shares for the report, and as CSV that a spreadsheet opens without running it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from friedel.core.phase_map import PhaseMap
from friedel.report.colours import phase_colours
from friedel.report.files import write_atomic

Cell = str | int | float | None

#: Text of signed numbers alone, such as the indices "-2 0 2" or "1 1 1|-2 0 0", is no formula.
_ONLY_NUMBERS = re.compile(r"[+-]?\d+(\.\d+)?([ |][+-]?\d+(\.\d+)?)*")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: names of columns, rows of as many cells, and what it shows. None is an empty cell.

    ``links`` holds a page beside this one for the first cell of each row, empty where there is none. ``decimals`` says
    how many a column's real numbers have; None, and an empty tuple, for four significant digits.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    links: tuple[str, ...] = ()
    decimals: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        if self.links and len(self.links) != len(self.rows):
            raise ValueError(f"Table {self.caption!r} must have a link per row, or none; got {len(self.links)}.")
        if self.decimals and len(self.decimals) != len(self.header):
            raise ValueError(f"Table {self.caption!r} must have decimals per column, or none; got {self.decimals}.")
        wrong = [i for i, row in enumerate(self.rows) if len(row) != len(self.header)]
        if wrong:
            raise ValueError(f"Row {wrong[0]} of table {self.caption!r} must have {len(self.header)} cells.")

    def texts(self, row: Sequence[Cell]) -> tuple[str, ...]:
        """Return the cells of a row as read by people."""
        decimals = self.decimals or (None,) * len(self.header)
        return tuple(_cell_text(cell, places) for cell, places in zip(row, decimals, strict=True))


def _cell_text(cell: Cell, decimals: int | None) -> str:
    """Return a number with its decimals, or else four significant digits, and a dash for nothing."""
    if cell is None or cell != cell:
        return "–"
    if isinstance(cell, float):
        text = f"{cell:.4g}" if decimals is None else f"{cell:z.{decimals}f}"
        return text.replace("-", "\N{MINUS SIGN}")
    return str(cell)


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the valid area a phase takes, and how sure that is, for the head of the report."""

    phase: str
    colour: str
    share: float
    certainty: str


def shares_of(phase_map: PhaseMap, min_probability: float = 0.5) -> tuple[Share, ...]:
    """Return the share of positions where each phase is present, with the median presence there in words."""
    shares = phase_map.fractions(min_probability)
    out = []
    for i, (name, colour) in enumerate(phase_colours(phase_map.phases).items()):
        presence = phase_map.presence[..., i][phase_map.valid]
        found = presence[presence >= min_probability]
        certainty = f"median presence {np.median(found):.2f} where found" if found.size else "not found"
        out.append(Share(name, colour, shares[name], certainty))
    return tuple(out)


def mixture_table(phase_map: PhaseMap, min_probability: float = 0.5) -> Table:
    """Return how many valid positions hold which phases together, commonest first; the shares add up to 100 %."""
    labels, counts = np.unique(phase_map.labels(min_probability)[phase_map.valid], return_counts=True)
    total = max(int(counts.sum()), 1)
    rows = []
    for i in np.argsort(-counts, kind="stable"):
        names = [name for bit, name in enumerate(phase_map.phases) if int(labels[i]) >> bit & 1]
        rows.append((" + ".join(names) or "none of them", int(counts[i]), f"{100 * counts[i] / total:.1f} %"))
    return Table(("phases at a position", "positions", "share"), tuple(rows), "Which phases share positions.")


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    """Write rows as CSV (RFC 4180, UTF-8) in one step.

    A text that a spreadsheet would take for a formula (it begins with = + - @, a tab or a carriage return) gets an
    apostrophe before it; numbers, and texts made of signed numbers alone, stay as they are. NaN and None are empty.

    Raises
    ------
    ValueError
        If a row lacks a column or has one too many.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        if set(row) != set(columns):
            odd = ", ".join(sorted(set(row) ^ set(columns)))
            raise ValueError(
                f"Row {number} of {Path(path).name} must have the columns {', '.join(columns)}; see {odd}."
            )
        writer.writerow([csv_cell(row[column]) for column in columns])
    write_atomic(path, buffer.getvalue().encode())


def csv_cell(cell: Cell) -> str:
    """Return the text of one cell that no spreadsheet runs."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if not isinstance(cell, str):
        return repr(cell.item() if isinstance(cell, np.generic) else cell)
    is_formula = cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if is_formula and not _ONLY_NUMBERS.fullmatch(cell) else cell
