"""Tables and pictures of how well a map agrees with a truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from friedel.core.arrays import BoolArray
from friedel.identify.metrics import Evaluation, Reliability
from friedel.report.style import INK, axes_or_new, in_house_style, show_hatched, without_ticks
from friedel.report.tables import Cell, Table

#: Colours of a position whose set of phases is right, and wrong.
RIGHT, WRONG = "#d9d9d9", "#d55e00"


def overall_table(evaluation: Evaluation) -> Table:
    """Return the figures that hold for all phases together."""
    rows: tuple[tuple[Cell, ...], ...] = (
        ("positions compared", evaluation.n_positions),
        ("accuracy: share whose set of phases is exactly right", evaluation.accuracy),
        ("Cohen's kappa: agreement beyond chance", evaluation.kappa),
        ("expected calibration error of the presence", evaluation.reliability.calibration_error),
        ("false naming: share of the positions of no candidate that bear a name", evaluation.false_naming),
    )
    return Table(("what", "value"), rows)


def phase_table(evaluation: Evaluation) -> Table:
    """Return a row per candidate, and one per foreign phase."""
    rows: list[tuple[Cell, ...]] = [
        (s.phase, s.n_there, s.n_named, s.precision, s.recall, s.f1, s.iou, s.calibration_error)
        for s in evaluation.phases
    ]
    rows += [
        (f"{s.phase} (no candidate)", s.n_alone, s.n_named, None, None, None, None, None) for s in evaluation.foreign
    ]
    header = ("phase", "positions", "named", "precision", "recall", "F1", "IoU", "calibration error")
    caption = "Of a phase that was no candidate: positions where it is alone, and how many of them bear a name."
    return Table(header, tuple(rows), caption if evaluation.foreign else "")


def confusion_table(evaluation: Evaluation) -> Table:
    """Return how many positions of each set of phases (row) the map gives to each set (column)."""
    names = [set_name(int(bits), [s.phase for s in evaluation.phases]) for bits in evaluation.sets]
    rows = tuple((name, *row) for name, row in zip(names, evaluation.confusion.tolist(), strict=True))
    return Table(("truth", *names), rows, "Positions by what is there (rows) and what the map says (columns).")


def reliability_table(reliability: Reliability) -> Table:
    """Return a row per bin of presence that is not empty."""
    rows = tuple(
        (f"{low:.1f} to {high:.1f}", int(n), float(promised), float(found))
        for low, high, n, promised, found in zip(
            reliability.edges[:-1],
            reliability.edges[1:],
            reliability.n,
            reliability.promised,
            reliability.found,
            strict=True,
        )
        if n
    )
    return Table(("presence", "pairs of position and phase", "mean presence", "share where it is there"), rows)


def set_name(bits: int, phases: Sequence[str]) -> str:
    """Name a set of phases, given as a bit mask."""
    return " + ".join(name for i, name in enumerate(phases) if bits >> i & 1) or "none"


@in_house_style
def plot_reliability(reliability: Reliability, ax: Axes | None = None) -> Axes:
    """Draw the share of positions where a phase is there over the presence that was stated; dots grow with numbers."""
    ax = axes_or_new(ax, 0.85, width_in=4.2)
    filled = reliability.n > 0
    sizes = 12.0 + 120.0 * reliability.n[filled] / reliability.n.max(initial=1)
    ax.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle="--", label="calibrated")
    ax.plot(reliability.promised[filled], reliability.found[filled], color=INK, linewidth=0.8)
    ax.scatter(reliability.promised[filled], reliability.found[filled], s=sizes, color="#0072b2", zorder=3)
    ax.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="presence", ylabel="share where the phase is there")
    ax.set_title(f"expected calibration error {reliability.calibration_error:.3f}")
    ax.legend(loc="upper left")
    return ax


@in_house_style
def plot_agreement(is_right: BoolArray, valid: BoolArray, ax: Axes | None = None) -> Axes:
    """Draw where the set of phases is right and where it is wrong, (y, x)."""
    ax = axes_or_new(ax, 0.86 * valid.shape[0] / valid.shape[1])
    ax.imshow(~is_right, cmap=ListedColormap([RIGHT, WRONG]), vmin=0, vmax=1, interpolation="nearest")
    show_hatched(ax, np.asarray(~valid))
    without_ticks(ax)
    share = float((is_right & valid).sum()) / max(int(valid.sum()), 1)
    patches = [Patch(color=RIGHT, label=f"right  {100 * share:.1f} %"), Patch(color=WRONG, label="wrong")]
    ax.legend(handles=patches, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax
