"""Make the pictures of the page on simulation: ``python docs/make_gallery.py [SECTION ...]``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from picture_files import save

from friedel import Beam, load_phases
from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.grids import ReciprocalGrid
from friedel.report.style import in_house_style, without_ticks
from friedel.simulate.detector import Detector, electrons_of
from friedel.simulate.diffraction import SpotPattern, diffract, orient
from friedel.simulate.noise import Noise, dim_spots, distort, draw_noise, expose, pattern_rng
from friedel.simulate.render import MIN_BLUR_PX, SpotShape, render

SEED = 0
SHAPE = (128, 128)
GRID = ReciprocalGrid((0.0165, 0.0165), (63.5, 63.5))
BEAM = Beam(energy_kev=300.0, semi_convergence_mrad=0.5)
SPOT = SpotShape.of(BEAM, MIN_BLUR_PX)
DOSE = 20_000.0
#: A picture and its caption.
Panel = tuple[str, AnyArray]


def main(names: Sequence[str]) -> None:
    """Draw the sections named, or all."""
    for name in names or SECTIONS:
        save(f"simulated-{name}", SECTIONS[name](), dpi=100)


# One pattern, part by part


def crystal_spots() -> SpotPattern:
    """Spots of SrTiO3 along [001], 150 Å thick, tilted by a few mrad."""
    (crystal,) = load_phases(["srtio3"]).crystals
    return diffract(orient(crystal, (0, 0, 1)), BEAM, thickness_a=150.0, rotation_rad=0.15, tilt_mrad=(4.0, -3.0),
                    scattering="bloch")  # fmt: skip


def taken(noise: Noise, spots: SpotPattern | None = None, seed: int = SEED) -> FloatArray:
    """Electrons per pixel of the pattern under this noise."""
    rng, grid = pattern_rng(seed), distort(GRID, noise)
    spots = dim_spots(spots or crystal_spots(), noise, rng)
    return electrons_of(expose(render(spots, grid, SHAPE, SPOT), noise, grid, rng), noise.detector)


def draw_parts() -> Figure:
    """Draw every part of the noise by itself, all on the same pattern."""
    plain, hazy = Noise(DOSE), Noise(DOSE, halo_share=0.4)

    def with_camera(**settings: Any) -> FloatArray:
        return taken(replace(hazy, detector=Detector(**settings)))

    panels: list[Panel] = [
        ("sharp: no noise at all", DOSE * render(crystal_spots(), GRID, SHAPE, SPOT)),
        ("counting alone", taken(plain)),
        ("dimming: four spots in five", taken(replace(plain, dim_chance=0.8, dim_depth=1.0))),
        ("halo: 40 %, 0.1 1/Å", taken(hazy)),
        ("amorphous rings: 30 %", taken(replace(plain, amorphous_share=0.3))),
        ("blur: 1.5 px", taken(replace(plain, blur_px=1.5))),
        ("ellipse: 15 % along 45°", taken(replace(plain, ellipticity=0.15, ellipse_rad=np.pi / 4))),
        ("descan: 8 px down, 12 px left", taken(replace(plain, shift_y_px=8.0, shift_x_px=-12.0))),
        ("beam stop: 8 px, arm 5 px", taken(replace(hazy, stop_radius_px=8.0, stop_arm_px=5.0, stop_azimuth_rad=2.0))),
        ("salt 0.5 %, pepper 5 %", taken(replace(hazy, salt_share=0.005, pepper_share=0.05))),
        ("spread: 1 px, tail 30 % of 6 px", with_camera(psf_px=1.0, tail_share=0.3, tail_px=6.0)),
        ("the same, light shared", with_camera(psf_px=1.0, tail_share=0.3, tail_px=6.0, is_counting=False, gain=50.0)),
        ("read-out noise: 0.5 electrons", with_camera(read_noise_electrons=0.5, gain=50.0, offset=200.0)),
        ("saturation: 20 electrons", with_camera(saturation=20.0)),
        ("dead and hot pixels: 1 % each", with_camera(dead_share=0.01, hot_share=0.01)),
        ("gaps: 4 px between 2 x 2 tiles", with_camera(tiles=(2, 2), gap_px=4)),
    ]  # fmt: skip
    return grid_of(panels, 4, top=150.0)


def draw_doses() -> Figure:
    """Draw one pattern with halo and blur at rising doses, each on its own grey scale."""
    noise = Noise(halo_share=0.3, blur_px=0.6)
    doses = (30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    return grid_of([(f"{dose:,} electrons", taken(replace(noise, dose_electrons=dose))) for dose in doses], 4)


def draw_draws() -> Figure:
    """Draw one pattern under noises drawn from the default ranges, each on its own grey scale."""
    panels: list[Panel] = []
    for i in range(12):
        noise = draw_noise(pattern_rng(SEED, i))
        panels.append((f"{noise.dose_electrons:,.0f} electrons", taken(noise, seed=i)))
    return grid_of(panels, 4)


# Drawing


@in_house_style
def grid_of(panels: Sequence[Panel], n_columns: int, top: float | None = None, gamma: float = 0.35) -> Figure:
    """Lay out patterns in rows, each below its caption; ``top`` is a common white level in place of each one's own."""
    n_rows = -(-len(panels) // n_columns)
    height, width = panels[0][1].shape[:2]
    figure = Figure(figsize=(2.1 * n_columns, (2.1 * height / width + 0.25) * n_rows), layout="constrained")
    for ax, (caption, picture) in zip(figure.subplots(n_rows, n_columns).flat, panels, strict=True):
        show(ax, picture, gamma, top)
        ax.set_title(caption, fontsize=8.5)
    return figure


def show(ax: Axes, picture: AnyArray, gamma: float, top: float | None) -> None:
    """Draw a pattern in grey, brightness as a power of the electrons."""
    white = top or max(float(np.percentile(picture, 99.8)), 1.0)
    ax.imshow(picture, norm=PowerNorm(gamma, vmin=0.0, vmax=white, clip=True), interpolation="nearest")
    without_ticks(ax)


SECTIONS: dict[str, Callable[[], Figure]] = {
    "parts": draw_parts,
    "doses": draw_doses,
    "draws": draw_draws,
}

if __name__ == "__main__":
    main(sys.argv[1:])
