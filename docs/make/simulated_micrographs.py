"""Pictures of simulated micrographs with what is true of them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from friedel.core.images import Micrograph
from friedel.crystal import load_phases
from friedel.patterns.diffractogram import diffractogram
from friedel.report.colours import phase_colours
from friedel.report.diffraction import ring_contrast
from friedel.report.maps import phase_rgb
from friedel.report.scale_bar import add_scale_bar
from friedel.report.style import in_house_style, without_ticks
from friedel.simulate.micrographs.series import sei_series, simulate_frame
from friedel.simulate.micrographs.truth import MicrographTruth, spot_mask
from friedel.simulate.training.micrographs import Variety, labelled_micrograph

SEED = 0
PHASES = ("li", "lif", "li2o", "li2co3")
#: Spots of the mask stand so many times above the noise.
MIN_SNR = 5.0
#: Half of the width of the FFT that is shown, in 1/Å.
REACH_INV_A = 0.75
N_FRAMES, FRAMES = 100, (0, 25, 50, 75, 99)


@in_house_style
def draw_micrographs() -> Figure:
    """Draw random micrographs, one in each row: picture, FFT, mask of its spots, phase map."""
    crystals, variety = load_phases(PHASES).crystals, Variety(shape=(384, 384), empty_share=0.0)
    figure = Figure(figsize=(8.4, 6.9), layout="constrained")
    rows = figure.subplots(3, 4)
    for index, axes in enumerate(rows, 1):
        draw_row(axes, *labelled_micrograph(SEED, index, crystals, variety))
    put_phases(figure)
    return figure


@in_house_style
def draw_series() -> Figure:
    """Draw frames of a series, each above its true phase map."""
    series = sei_series(SEED, N_FRAMES, shape=(448, 448))
    figure = Figure(figsize=(8.4, 4.1), layout="constrained")
    columns = figure.subplots(2, len(FRAMES)).T
    for frame, (above, below) in zip(FRAMES, columns, strict=True):
        micrograph, truth = simulate_frame(series, frame)
        above.imshow(
            micrograph.data, vmin=np.percentile(micrograph.data, 0.5), vmax=np.percentile(micrograph.data, 99.5)
        )
        above.set_title(f"{series.time_s[frame]:.0f} s, {series.dose_e_per_a2[frame]:,.0f} e/Å²", fontsize=8.5)
        below.imshow(phase_rgb(truth.phase_map, 0.5), interpolation="nearest")
        without_ticks(above)
        without_ticks(below)
    add_scale_bar(columns[0, 0], micrograph.grid, micrograph.shape[1])
    put_phases(figure)
    return figure


def put_phases(figure: Figure) -> None:
    """Put the colours of the phases below the pictures."""
    handles = [Patch(facecolor=colour, label=name) for name, colour in phase_colours(PHASES).items()]
    figure.legend(handles=handles, loc="outside lower right", ncols=4, fontsize=9)


def draw_row(axes: list[Axes], micrograph: Micrograph, truth: MicrographTruth) -> None:
    """Draw one micrograph with its truth."""
    imaging, pattern = truth.imaging, diffractogram(micrograph)
    low, high = np.percentile(micrograph.data, (0.5, 99.5))
    axes[0].imshow(micrograph.data, vmin=low, vmax=high)
    add_scale_bar(axes[0], micrograph.grid, micrograph.shape[1])
    axes[1].imshow(ring_contrast(pattern), vmin=-0.3, vmax=3.0)
    add_scale_bar(axes[1], pattern.grid, 2 * REACH_INV_A / pattern.grid.step_inv_a[1])
    axes[2].imshow(spot_mask(truth.spots, pattern.shape, min_snr=MIN_SNR), interpolation="nearest")
    axes[3].imshow(phase_rgb(truth.phase_map, 0.5), interpolation="nearest")
    optics = imaging.optics
    axes[0].set_title(f"{imaging.exposure.dose_e_per_a2:.0f} electrons/Å²", fontsize=8.5)
    axes[1].set_title(f"defocus {optics.defocus_a / 10:.0f} nm, Cs {optics.cs_mm:.2g} mm", fontsize=8.5)
    axes[2].set_title(f"spots above {MIN_SNR:g} times the noise", fontsize=8.5)
    axes[3].set_title("grains", fontsize=8.5)
    for ax in axes:
        without_ticks(ax)
    (cy, cx), reach = pattern.grid.centre_px, REACH_INV_A / pattern.grid.step_inv_a[0]
    for ax in axes[1:3]:
        ax.set(xlim=(cx - reach, cx + reach), ylim=(cy + reach, cy - reach))
