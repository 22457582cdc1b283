"""``friedel simulate micrograph`` and ``friedel simulate series``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from friedel.cli.files import require_new
from friedel.cli.parsing import float_pair, int_pair, phase_list
from friedel.cli.progress import friendly_errors, progress_bars

Out = Annotated[Path, typer.Option("--out", help="File to write: .mrc, or .tif for one micrograph.")]
Truth = Annotated[Path, typer.Option("--truth", help="Store of the truth to write, a .zarr folder.")]
Shape = Annotated[str, typer.Option(metavar="NY,NX", help="Pixels.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def micrograph(
    out: Out,
    truth: Truth,
    phases: Annotated[str, typer.Option(help="Names of the phase library or .cif files.")] = "li,lif,li2o,li2co3",
    shape: Shape = "1024,1024",
    pixel_size_a: Annotated[float, typer.Option(help="Å per pixel, as the file will say.")] = 0.37,
    scale_error: Annotated[float, typer.Option(help="True over stated pixel size, less 1.")] = 0.0,
    anisotropy: Annotated[float, typer.Option(help="Excess of that error along --anisotropy-deg.")] = 0.0,
    anisotropy_deg: Annotated[float, typer.Option(help="Direction, from +x towards +y.")] = 0.0,
    cells: Annotated[int, typer.Option(min=1, help="Cells of the Voronoi tessellation.")] = 16,
    matrix_share: Annotated[float, typer.Option(help="Share of cells without a crystal.")] = 0.3,
    thickness_nm: Annotated[str, typer.Option(metavar="LO,HI", help="Thickness of the grains, nm.")] = "2,8",
    tilt_mrad: Annotated[float, typer.Option(help="Scale of the grains' mistilts.")] = 3.0,
    film_nm: Annotated[float, typer.Option(help="Thickness of the amorphous film, nm.")] = 8.0,
    energy_kev: Annotated[float, typer.Option(help="Beam energy, keV.")] = 300.0,
    defocus_nm: Annotated[float, typer.Option(help="Underfocus is positive, nm.")] = 8.0,
    cs_mm: Annotated[float, typer.Option(help="Spherical aberration, mm.")] = 0.005,
    astigmatism_nm: Annotated[float, typer.Option(help="Two-fold astigmatism, nm.")] = 0.0,
    astigmatism_deg: Annotated[float, typer.Option(help="Its direction, from +x towards +y.")] = 0.0,
    focal_spread_nm: Annotated[float, typer.Option(help="One-sigma spread of the focus, nm.")] = 3.0,
    convergence_mrad: Annotated[float, typer.Option(help="One-sigma half angle of the illumination.")] = 0.1,
    dose: Annotated[float, typer.Option(help="Electrons per Å².")] = 400.0,
    drift_nm: Annotated[str, typer.Option(metavar="Y,X", help="Drift during the exposure, nm.")] = "0,0",
    mtf: Annotated[float, typer.Option(help="Modulation transfer of the camera at Nyquist.")] = 1.0,
    read_noise: Annotated[
        float | None, typer.Option(help="Electrons per pixel, of a camera that does not count electrons.")
    ] = None,
    strong: Annotated[bool, typer.Option("--strong", help="Image a strong phase object, not a weak one.")] = False,
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Simulate an HRTEM micrograph of random grains, with its truth."""
    names, sides = phase_list(phases) or (), int_pair(shape) or (1024, 1024)
    thickness, drift = float_pair(thickness_nm) or (2.0, 8.0), float_pair(drift_nm) or (0.0, 0.0)
    with friendly_errors(debug=debug):
        import numpy as np

        from friedel.crystal import load_phases
        from friedel.pipeline.micrographs.files import write_labelled_micrograph
        from friedel.simulate.micrographs.camera import Exposure
        from friedel.simulate.micrographs.imaging import Imaging
        from friedel.simulate.micrographs.micrograph import simulate_micrograph
        from friedel.simulate.micrographs.optics import Optics
        from friedel.simulate.micrographs.polycrystal import Polycrystal, random_polycrystal
        from friedel.simulate.micrographs.sampling import Sampling

        require_new(out, truth)
        sampling = Sampling(sides, (pixel_size_a,) * 2, scale_error, anisotropy, anisotropy_deg)
        optics = Optics(
            energy_kev, 10 * defocus_nm, cs_mm, 10 * astigmatism_nm, astigmatism_deg, 10 * focal_spread_nm,
            convergence_mrad,
        )  # fmt: skip
        exposure = Exposure(dose, (10 * drift[0], 10 * drift[1]), mtf, read_noise is None, read_noise or 0.0)
        rng = np.random.default_rng(seed)
        made_of = Polycrystal(
            cells, matrix_share, (10 * thickness[0], 10 * thickness[1]), tilt_mrad, film_a=10 * film_nm
        )  # fmt: skip
        specimen = random_polycrystal(load_phases(names).crystals, sampling, made_of, rng)
        drawn, facts = simulate_micrograph(specimen, Imaging(sampling, optics, exposure, strong), rng)
        write_labelled_micrograph(out, truth, drawn, facts)
    typer.echo(
        f"{len(specimen.grains)} grains, {int((facts.spots.snr > 10).sum())} spots of SNR above 10: {out}, {truth}"
    )
    typer.echo(f"map it:  friedel map {out} --phases {phases} --energy-kev {energy_kev:g} --out RUN")


def series(
    out: Out,
    truth: Truth,
    frames: Annotated[int, typer.Option(min=10, help="Number of frames.")] = 100,
    shape: Shape = "1024,1024",
    frame_time_s: Annotated[float, typer.Option(help="Seconds per frame.")] = 2.46,
    dose_rate: Annotated[float, typer.Option(help="Electrons per Å² and second.")] = 160.0,
    drift_nm: Annotated[float, typer.Option(help="Root mean square drift per frame, nm.")] = 0.05,
    seed: Seed = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    debug: Debug = False,
) -> None:
    """Simulate an SEI under the beam: LiF shrinks, Li grows, Li2O and Li2CO3 appear; with the truth of each frame."""
    sides = int_pair(shape) or (1024, 1024)
    with friendly_errors(debug=debug), progress_bars(quiet=quiet) as progress:
        from friedel.pipeline.micrographs.files import write_labelled_series
        from friedel.simulate.micrographs.series import onset_frames, sei_series

        require_new(out, truth)
        plan = sei_series(
            seed,
            frames,
            shape=sides,
            frame_time_s=frame_time_s,
            dose_rate_e_per_a2_s=dose_rate,
            drift_a_per_frame=10 * drift_nm,
        )
        write_labelled_series(out, truth, plan, progress)
    onsets = ", ".join(f"{name} from frame {first}" for name, first in onset_frames(plan).items())
    typer.echo(f"{frames} frames; {onsets}: {out}, {truth}")
