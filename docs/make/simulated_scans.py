"""Pictures of stacking faults, and of simulated scans with what is true of them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from picture_files import Panel, grid_of, show

from friedel import Beam
from friedel.core.arrays import AnyArray
from friedel.core.grids import ReciprocalGrid
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phase, load_phases
from friedel.report.colours import MIXED, NONE, phase_colours
from friedel.report.maps import phase_rgb
from friedel.report.scale_bar import add_scale_bar
from friedel.report.style import in_house_style, without_ticks
from friedel.simulate.patterns.acquisition import Acquisition, simulate_scan
from friedel.simulate.patterns.faults import diffract_stack, draw_stack
from friedel.simulate.patterns.noise import Noise, expose, pattern_rng
from friedel.simulate.patterns.render import SpotShape, render
from friedel.simulate.patterns.sample import cathode_sample, voronoi_sample

SEED = 0
DOSE = 20_000.0
#: Slabs of the stacks: 15 nm of O3.
N_SLABS = 33
#: Regions of the cathode in the order of ``cathode_sample``.
REGIONS = ("O3", "O1", "O3 on O1", "spinel", "rock salt", "carbon film")


def draw_faults() -> Figure:
    """Draw O3 with more and more faults, edge-on and along the layers' normal."""
    beam, grid = Beam(300.0, 0.3), ReciprocalGrid((0.0165, 0.0165), (63.5, 63.5))
    noise, crystal = Noise(DOSE, halo_share=0.2), load_phase("nmc811-o3")
    panels: list[Panel] = []
    for uvw, thickness_a in (((1, 0, 0), 150.0), ((0, 0, 1), 150.0)):
        for share in (0.0, 0.2, 0.4, 0.7):
            stack = draw_stack(crystal, N_SLABS, share, pattern_rng(SEED, 6))
            spots = diffract_stack(stack, uvw, beam, thickness_a=thickness_a, rotation_rad=0.15)
            pattern = expose(render(spots, grid, (128, 128), SpotShape.of(beam, 0.6)), noise, grid, pattern_rng(SEED))
            panels.append(
                (
                    f"[{uvw[0]}{uvw[1]}{uvw[2]}], {100 * (1 - stack.is_shifted.mean()):.0f} % of the slabs as in O1",
                    pattern,
                )
            )
    return grid_of(panels, 4, top=150.0)


@in_house_style
def draw_cathode() -> Figure:
    """Draw the truth of a scan of a cathode, its dark field, and patterns of its regions."""
    sample = cathode_sample((48, 60))
    simulated = simulate_scan(sample, Acquisition(noise=Noise(10_000.0, blur_px=0.5)), SEED)
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    axes = figure.subplots(2, 4)
    draw_map(axes[0, 0], simulated.truth)
    axes[0, 0].set_title("true phases", fontsize=8.5)
    data, radius = np.asarray(simulated.scan.data), simulated.scan.grid.radius_inv_a((128, 128))
    axes[1, 0].imshow(data[..., radius > 0.15].sum(axis=-1), interpolation="nearest")
    axes[1, 0].set_title("electrons beyond 0.15 1/Å", fontsize=8.5)
    without_ticks(axes[1, 0])
    for i, (ax, name) in enumerate(zip(axes[:, 1:].flat, REGIONS, strict=True)):
        here = np.argwhere(sample.where == i)
        ry, rx = here[len(here) // 2]
        show(ax, data[ry, rx], 0.35, 100.0)
        ax.set_title(name, fontsize=8.5)
        axes[0, 0].plot(rx, ry, "o", markersize=4, markerfacecolor="none", markeredgecolor="white")
    put_legend(figure, simulated.truth)
    return figure


@in_house_style
def draw_grains() -> Figure:
    """Draw what is true of a scan of random grains."""
    crystals = load_phases(["li2o", "lif", "li2co3"]).crystals
    sample = voronoi_sample(crystals, (60, 80), pattern_rng(SEED), n_grains=14)
    simulated = simulate_scan(sample, Acquisition(), SEED)
    figure = Figure(figsize=(8.4, 2.2), layout="constrained")
    axes = figure.subplots(1, 4)
    draw_map(axes[0], simulated.truth)
    tilt = np.hypot(simulated.tilt_mrad[..., 0], simulated.tilt_mrad[..., 1])
    for ax, title, values, colours in (
        (axes[1], "rotation {:.0f}° to {:.0f}°", simulated.rotation_deg, "twilight"),
        (
            axes[2],
            "{:.0f} to {:.0f} Å thick",
            np.where(simulated.thickness_a > 0, simulated.thickness_a, np.nan),
            "viridis",
        ),
        (axes[3], "tilted by {:.1f} to {:.1f} mrad", tilt, "viridis"),
    ):
        draw_values(ax, title, values, colours)
    axes[0].set_title("true phases", fontsize=8.5)
    put_legend(figure, simulated.truth)
    return figure


def draw_map(ax: Axes, truth: PhaseMap) -> None:
    """Draw true phases with a scale bar."""
    ax.imshow(phase_rgb(truth, 0.5), interpolation="nearest")
    without_ticks(ax)
    assert truth.grid is not None
    add_scale_bar(ax, truth.grid, truth.valid.shape[1])


def draw_values(ax: Axes, title: str, values: AnyArray, colours: str) -> None:
    """Draw the value (ry, rx) of the phase that is there, of values (ry, rx, P) that are NaN where a phase is not."""
    flat = np.where(np.isfinite(values).any(axis=-1), np.nansum(values, axis=-1), np.nan)
    ax.set_facecolor(NONE)
    ax.imshow(flat, interpolation="nearest", cmap=colours)
    ax.set_title(title.format(np.nanmin(flat), np.nanmax(flat)), fontsize=8.5)
    without_ticks(ax)


def put_legend(figure: Figure, truth: PhaseMap) -> None:
    """Put the colours of the phases below the pictures."""
    handles = [Patch(facecolor=colour, label=name) for name, colour in phase_colours(truth.phases).items()]
    handles += [Patch(facecolor=MIXED, label="two of them")] if (truth.presence.sum(axis=-1) > 1).any() else []
    figure.legend(handles=[*handles, Patch(facecolor=NONE, label="none")], loc="outside lower right", ncols=6,
                  fontsize=9)  # fmt: skip
