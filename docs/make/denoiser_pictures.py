"""Draw patterns before and after the denoiser: ``FRIEDEL_SHARED=FOLDER python docs/make/denoiser_pictures.py``.

The folder holds data/ with the real patterns; without it only the simulated picture is drawn.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from picture_files import save

import friedel as fr
from friedel.core.arrays import AnyArray, FloatArray
from friedel.nets.denoise import ScanDenoiser
from friedel.nets.detector import map_spots, read_map
from friedel.nets.inference import Network, load_network
from friedel.patterns.survey import Survey, survey_scan
from friedel.pipeline.scans.choices import tuned_detector
from friedel.pipeline.scans.result import ScanOptions
from friedel.report.style import in_house_style, without_ticks
from friedel.simulate.patterns.scan import ScanOptions as Simulated
from friedel.simulate.patterns.scan import simulate_nmc811_scan
from friedel.spots.dog import filter_stack, find_spots


@dataclass(frozen=True, slots=True)
class Real:
    """A file with real patterns, the position that is shown, and the scale where the file has none (any will do)."""

    path: str
    position: tuple[int, int] = (0, 0)
    step_inv_a: float | None = None


REAL = {
    "nbed": Real("real/nbed_ba50/dd020.dm3", step_inv_a=0.01),
    "ued": Real("real/ued_spots/hotspots.tif", step_inv_a=0.005),
    "ped-steel": Real("real/sped_fe_gphase/subset_data.hspy"),
    "saed-silver": Real("real/saed_bmp/Ag_Nano2.bmp", step_inv_a=0.0032),
    "saed-gold": Real("real/saed_bmp/Au_Nano_1.bmp", step_inv_a=0.0019),
    "merlin": Real("formats/mib/test_CL30cm.mib", step_inv_a=0.0041),
    "blo": Real("formats/blo/test1.blo", step_inv_a=0.01),
    "bismuth": Real("formats/dm/bismuth.dm3", step_inv_a=0.005),
    "rings": Real("formats/fpd_hdf5/fpd_file_test.hdf5", step_inv_a=0.01),
    "na-phi": Real("real/na_phi_nbed/na007b_avg_NMF_line.npy", step_inv_a=0.005),
}
#: Files whose licence does not let pictures of them into these pages.
NOT_SHOWN = ("ped-steel", "saed-silver", "saed-gold")


def main() -> None:
    """Draw the simulated series, then the real patterns that are there."""
    network = load_network("denoiser")
    save("denoised-simulated", draw_simulated(network), dpi=80)
    shared = os.environ.get("FRIEDEL_SHARED")
    if shared is None:
        print("FRIEDEL_SHARED is not set: no real patterns")
        return
    for name, real in REAL.items():
        figure = draw_real(network, Path(shared) / "data" / real.path, real)
        if name in NOT_SHOWN:
            folder = Path(os.environ.get("FRIEDEL_PICTURES", "."))
            figure.savefig(folder / f"denoised-{name}.png", dpi=80)
        else:
            save(f"denoised-{name}", figure, dpi=80)


@in_house_style
def draw_simulated(network: Network) -> Figure:
    """Draw one position of the demo's scan at several doses: counts, alike neighbours added, denoised."""
    doses = (100.0, 300.0, 1000.0, 3000.0)
    figure = Figure(figsize=(2.4 * len(doses), 7.4), layout="constrained")
    axes = figure.subplots(3, len(doses))
    for column, dose in zip(axes.T, doses, strict=True):
        scan, _ = simulate_nmc811_scan(0, Simulated(scan_shape=(12, 14), dose_electrons=dose))
        survey = survey_scan(scan, annulus_inv_a=(0.3, 0.9))
        for ax, neighbours in zip(column[1:], (False, True), strict=True):
            denoiser = ScanDenoiser.of(survey, network, neighbours=neighbours)
            _show_denoised(ax, survey, denoiser, (4, 3))
        _show(column[0], denoiser.electrons(scan.rows(4, 5))[0, 3], np.zeros((0, 2)))
        column[0].set_title(f"{dose:g} electrons")
    for ax, text in zip(axes[:, 0], ("counts", "denoised", "neighbours added, denoised"), strict=True):
        ax.set_ylabel(text)
    return figure


@in_house_style
def draw_real(network: Network, path: Path, real: Real) -> Figure:
    """Draw a real pattern as taken, with what the detector finds, and denoised, with what the network finds."""
    scan = fr.read(path, fr.ReadOptions(kind="scan", step_inv_a=real.step_inv_a))
    assert isinstance(scan, fr.PatternScan)
    step = float(np.mean(scan.grid.step_inv_a))
    annulus = (8 * step, 0.49 * step * min(scan.pattern_shape))
    survey = survey_scan(scan, annulus_inv_a=annulus)
    denoiser = ScanDenoiser.of(survey, network, neighbours=False)
    row, column = real.position
    electrons = denoiser.electrons(survey.scan.rows(row, row + 1))[:, column]
    detector = tuned_detector(survey, ScanOptions(), annulus, "hexagon")
    response = filter_stack(electrons, detector, survey.scan.grid)
    centre = denoiser.centre_px[row, column][None]
    probability = map_spots(network, electrons, centre, response.sigma_px)
    found = read_map(probability, network.trust(electrons), response, annulus, valid=survey.scan.valid)
    classical = find_spots(response, detector, annulus, valid=survey.scan.valid)
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    grid = survey.scan.grid
    _show(axes[0], electrons[0], grid.px_of(classical.k_inv_a).reshape(-1, 2))
    _show(axes[1], network.run(electrons, centre)[0][0], grid.px_of(found.k_inv_a).reshape(-1, 2))
    axes[0].set_title(f"as taken, {len(classical)} spots of the detector")
    axes[1].set_title(f"denoised, {len(found)} spots of the network")
    print(f"{path.name}: gain {survey.gain:.3g}, {electrons.sum():.0f} electrons, spot {response.sigma_px:.1f} px, "
          f"detector {len(classical)}, network {len(found)}")  # fmt: skip
    return figure


def _show_denoised(ax: Axes, survey: Survey, denoiser: ScanDenoiser, position: tuple[int, int]) -> None:
    row, column = position
    gathered, amount = denoiser.gather(denoiser.electrons(survey.scan.rows(row - 1, row + 2)))
    denoised, probability = denoiser.look(gathered[1:2], slice(row, row + 1), slice(0, survey.scan.scan_shape[1]))
    detector = tuned_detector(survey, ScanOptions(), (0.3, 0.9), "hexagon")
    response = filter_stack(gathered[1, column][None], detector, survey.scan.grid)
    trust = denoiser.network.trust(gathered[1, column][None])
    spots = read_map(probability[0, column][None], trust, response, (0.3, 0.9), valid=survey.scan.valid)
    _show(ax, denoised[0, column] / amount[1, column], survey.scan.grid.px_of(spots.k_inv_a).reshape(-1, 2))


def _show(ax: Axes, electrons: AnyArray, spots_px: FloatArray) -> None:
    """Show the square root of a pattern, up to its brightest per mille, with rings about spots."""
    image = np.sqrt(np.maximum(electrons, 0.0))
    ax.imshow(image, cmap="magma", vmin=0.0, vmax=max(float(np.quantile(image, 0.999)), 0.2))
    ax.plot(spots_px[:, 1], spots_px[:, 0], "o", mfc="none", mec="#35d0ff", ms=7, mew=0.7)
    without_ticks(ax)


if __name__ == "__main__":
    main()
