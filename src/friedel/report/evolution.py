"""How components of a series change: intensity over time, as in figure 5A of Raghavendran et al. (2025)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from friedel.core.arrays import FloatArray
from friedel.core.errors import CorruptFileError, DataError
from friedel.report.colours import phase_colours
from friedel.report.style import axes_or_new, in_house_style, shortened

Against = Literal["frame", "time_s", "dose_e_per_a2"]
Quantity = Literal["intensity", "area_nm2", "fraction", "d_measured_a"]
_AXIS_NAMES = {
    "frame": "frame", "time_s": "time (s)", "dose_e_per_a2": "dose (e/Å²)", "intensity": "intensity",
    "area_nm2": "area (nm²)", "fraction": "share of the image", "d_measured_a": "measured spacing (Å)",
}  # fmt: skip
#: Lines are told apart by their marks too, for readers who do not see colours.
_MARKS = "osD^vP*X"


@dataclass(frozen=True, slots=True, eq=False)
class Evolution:
    """The table of evolution.csv, a row per frame and phase: the phases by row, and the columns of numbers (N,)."""

    phase: tuple[str, ...]
    columns: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        if wrong := [name for name, values in self.columns.items() if values.shape != (len(self.phase),)]:
            raise DataError(f"The columns {', '.join(wrong)} of an evolution must have {len(self.phase)} rows.")

    @property
    def phases(self) -> tuple[str, ...]:
        """Names in the order of their first rows."""
        return tuple(dict.fromkeys(self.phase))


def load_evolution(path: str | Path) -> Evolution:
    """Read an evolution.csv; empty cells become NaN. CorruptFileError if a column is missing or no number."""
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in _AXIS_NAMES}
        return Evolution(tuple(row["phase"].removeprefix("'") for row in rows), columns)
    except (OSError, KeyError, ValueError, TypeError) as error:
        problem = f"it is no table of an evolution ({type(error).__name__}: {error})"
        raise CorruptFileError(path, problem, "Give the evolution.csv of a mapped series.") from error


@in_house_style
def plot_evolution(
    evolution: Evolution,
    quantity: Quantity = "intensity",
    against: Against = "frame",
    onsets: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantity of every phase over frames, time or dose.

    Parameters
    ----------
    quantity, against
        Columns of the evolution.
    onsets
        By phase: where it appears, in the unit of ``against``; marked by an upright line and named there.
    """
    x, y = (_column(evolution, name) for name in (against, quantity))
    ax = axes_or_new(ax, 0.55, width_in=6.4)
    colours = phase_colours(evolution.phases)
    every = max(1, len(np.unique(x)) // 12)
    for i, (phase, colour) in enumerate(colours.items()):
        mine = np.array([name == phase for name in evolution.phase])
        order = np.argsort(x[mine], kind="stable")
        ax.plot(x[mine][order], y[mine][order], color=colour, lw=1.3, marker=_MARKS[i % len(_MARKS)], ms=4,
                mec="black", mew=0.4, markevery=(i % every, every), label=shortened(phase))  # fmt: skip
    for rank, (phase, at) in enumerate(sorted((onsets or {}).items(), key=lambda item: item[1])):
        colour = colours[_known(phase, evolution.phases)]
        ax.axvline(at, color=colour, lw=1.0, ls=(0, (3, 2)))
        ax.annotate(f"{shortened(phase)} from {at:g}", (at, 1.0), (3, -9 - 11 * rank), fontsize=7.5,
                    xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
    ax.set(xlabel=_AXIS_NAMES[against], ylabel=_AXIS_NAMES[quantity], xlim=(float(np.min(x)), float(np.max(x))))
    if quantity != "d_measured_a":
        ax.set_ylim(bottom=0)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.2, handlelength=2.2)
    return ax


def _column(evolution: Evolution, name: str) -> FloatArray:
    values = evolution.columns.get(name)
    if values is None or not np.isfinite(values).any():
        raise DataError(f"The evolution has no {name}; choose another column of {', '.join(evolution.columns)}.")
    return values


def _known(phase: str, phases: Sequence[str]) -> str:
    if phase not in phases:
        raise DataError(f"The evolution holds {', '.join(phases)}, not {phase!r}.")
    return phase
