"""Pictures that compare samples: which phases take which share of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from friedel.core.arrays import FloatArray
from friedel.report.style import axes_or_new, in_house_style, shortened


@in_house_style
def plot_comparison(
    samples: Sequence[str], phases: Sequence[str], fractions: FloatArray, ax: Axes | None = None
) -> Axes:
    """Draw the share of each phase (columns) in each sample (rows) as shades with their per cent.

    Parameters
    ----------
    fractions
        Shares (samples, phases), 0 to 1; NaN where a sample does not tell.
    """
    ax = axes_or_new(ax, 0.14 + 0.05 * len(samples), width_in=2.4 + 0.75 * len(phases))
    ax.imshow(fractions, cmap="cividis", vmin=0, vmax=max(float(np.nanmax(fractions, initial=0.0)), 1e-9),
              aspect="auto", interpolation="nearest")  # fmt: skip
    middle = float(np.nanmax(fractions, initial=0.0)) / 2
    for (row, column), value in np.ndenumerate(fractions):
        if np.isfinite(value):
            ax.text(column, row, f"{100 * value:.1f}", ha="center", va="center", fontsize=8,
                    color="black" if value > middle else "white")  # fmt: skip
    ax.set_xticks(range(len(phases)), [shortened(phase, 16) for phase in phases])
    ax.set_yticks(range(len(samples)), [shortened(sample, 28) for sample in samples])
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    return ax
