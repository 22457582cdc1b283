"""``friedel simulate patterns`` and ``friedel simulate scan``."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from friedel.cli.files import require_new
from friedel.cli.parsing import float_pair, int_pair, phase_list
from friedel.cli.progress import friendly_errors, progress_bars
from friedel.core.arrays import AnyArray, LazyArray

if TYPE_CHECKING:
    from friedel.simulate.patterns.acquisition import Acquisition
    from friedel.simulate.training.pattern_set import PatternSet

Out = Annotated[Path, typer.Option("--out", help="File to write: .zarr or .hspy.")]
Shape = Annotated[str, typer.Option(metavar="KY,KX", help="Pixels of a pattern.")]
Step = Annotated[float, typer.Option(help="1/Å per detector pixel.")]
Energy = Annotated[float, typer.Option(help="Beam energy, keV.")]
Convergence = Annotated[float, typer.Option(help="Half angle of the illumination.")]
Dose = Annotated[float, typer.Option(help="Electrons per pattern.")]
Scattering = Annotated[str, typer.Option(help="kinematic, two-beam, or bloch (all beams together).")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

SPOT_COLUMNS = (
    "row", "column", "zone", "thickness_a", "rotation_deg", "tilt_kx_mrad", "tilt_ky_mrad", "hkl", "ky_inv_a",
    "kx_inv_a", "share",
)  # fmt: skip


def patterns(
    crystal: Annotated[str, typer.Argument(metavar="CIF_OR_NAME", help="Name of the phase library or .cif file.")],
    out: Out,
    zone: Annotated[
        list[str] | None, typer.Option("--zone", metavar="U,V,W", help="Zone axis; repeat for more.")
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="Table of all spots to write, .csv.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Patterns of each zone axis.")] = 16,
    thickness_nm: Annotated[str, typer.Option(metavar="LO,HI", help="Thickness, nm.")] = "5,40",
    tilt_mrad: Annotated[float, typer.Option(help="One-sigma mistilt about each axis.")] = 3.0,
    shape: Shape = "128,128",
    step_inv_a: Step = 0.0165,
    energy_kev: Energy = 300.0,
    convergence_mrad: Convergence = 0.8,
    dose: Dose = 3000.0,
    halo: Annotated[float, typer.Option(help="Share of the electrons in the halo about the beam.")] = 0.2,
    scattering: Scattering = "two-beam",
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Simulate patterns of one crystal, a row of a scan for each zone axis."""
    low, high = float_pair(thickness_nm) or (5.0, 40.0)
    with friendly_errors(debug=debug):
        from friedel.crystal import load_phase
        from friedel.io import write_scan
        from friedel.simulate.training.pattern_set import Draws, simulate_patterns

        require_new(out, truth)
        acquisition = _acquisition(shape, step_inv_a, energy_kev, convergence_mrad, dose, halo, scattering)
        draws = Draws(count, (10 * low, 10 * high), tilt_mrad)
        zones = [_zone(text) for text in zone or ["0,0,1"]]
        made = simulate_patterns(load_phase(crystal), zones, acquisition, draws, seed)
        write_scan(out, made.scan)
        if truth is not None:
            _write_spots(truth, made)
    typer.echo(f"{len(zones)} zone axes, {count} patterns each: {out}")


def scan(
    out: Out,
    truth: Annotated[Path, typer.Option("--truth", help="Store of the truth to write, a .zarr folder.")],
    phases: Annotated[
        str | None, typer.Option(help="Grains of these, names or .cif files; by default an NMC811 particle.")
    ] = None,
    zones: Annotated[
        str | None, typer.Option(metavar="U,V,W;...", help="Zone axes of the grains; by default all up to index 1.")
    ] = None,
    grains: Annotated[int, typer.Option(min=1, help="Number of grains.")] = 12,
    thickness_nm: Annotated[float, typer.Option(help="Mean thickness of the grains, nm.")] = 20.0,
    fault_share: Annotated[
        float, typer.Option(min=0.0, max=0.99, help="Share of O1 slabs in the O3 of the particle.")
    ] = 0.0,
    scan_shape: Annotated[str, typer.Option(metavar="NY,NX", help="Positions.")] = "64,64",
    scan_step_nm: Annotated[float, typer.Option(help="Distance of positions, nm.")] = 2.0,
    shape: Shape = "128,128",
    step_inv_a: Step = 0.0165,
    energy_kev: Energy = 300.0,
    convergence_mrad: Convergence = 0.8,
    dose: Dose = 3000.0,
    bend_mrad: Annotated[float, typer.Option(help="One-sigma mistilt by bending.")] = 2.0,
    descan_px: Annotated[float, typer.Option(help="Drift of the beam over the scan, pixels.")] = 2.0,
    scattering: Scattering = "two-beam",
    seed: Seed = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Simulate a 4D-STEM scan with its truth: where each phase is, its zone axis, rotation, tilt and thickness."""
    positions = int_pair(scan_shape) or (64, 64)
    with friendly_errors(debug=debug), progress_bars(quiet=quiet) as progress:
        from friedel.crystal import load_phases
        from friedel.io import write_scan
        from friedel.pipeline.runs.files import write_phase_map
        from friedel.simulate.patterns.acquisition import simulate_scan
        from friedel.simulate.patterns.sample import cathode_sample, voronoi_sample

        require_new(out, truth)
        names = phase_list(phases)
        if names is None:
            sample = cathode_sample(positions, fault_share=fault_share)
        else:
            axes = None if zones is None else [_zone(text) for text in zones.split(";")]
            rng = np.random.default_rng(seed)
            crystals = load_phases(names).crystals
            sample = voronoi_sample(
                crystals, positions, rng, n_grains=grains, zones=axes, thickness_a=10 * thickness_nm
            )
        acquisition = replace(
            _acquisition(shape, step_inv_a, energy_kev, convergence_mrad, dose, 0.0, scattering),
            scan_step_a=10 * scan_step_nm,
            bend_mrad=bend_mrad,
            descan_px=descan_px,
        )
        made = simulate_scan(sample, acquisition, seed)
        watched = Watched(made.scan.data, lambda row: progress("patterns", row, positions[0]))
        write_scan(out, replace(made.scan, data=watched))
        write_phase_map(truth, made.truth, min_probability=0.5, extra=made.extra, attributes={"seed": seed})
    typer.echo(f"{positions[0]} x {positions[1]} patterns of {', '.join(made.truth.phases)}: {out}, {truth}")
    typer.echo(f"map it:  friedel map {out} --phases {phases or ','.join(made.truth.phases)} --out RUN")


@dataclass(frozen=True, slots=True)
class Watched:
    """An array that tells up to which row it has been read."""

    data: LazyArray
    tell: Callable[[int], None]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.data.shape

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return self.data.dtype

    def __getitem__(self, key: Any, /) -> AnyArray:
        part = np.asarray(self.data[key])
        if isinstance(key, slice):
            self.tell(key.indices(self.shape[0])[1])
        return part


def _acquisition(
    shape: str, step_inv_a: float, energy_kev: float, convergence_mrad: float, dose: float, halo: float, scattering: str
) -> Acquisition:
    from friedel.core.beam import Beam
    from friedel.simulate.patterns.acquisition import Acquisition
    from friedel.simulate.patterns.noise import Noise

    return Acquisition(
        pattern_shape=int_pair(shape) or (128, 128),
        step_inv_a=step_inv_a,
        beam=Beam(energy_kev, convergence_mrad),
        noise=Noise(dose_electrons=dose, halo_share=halo),
        scattering=scattering,  # type: ignore[arg-type]
    )


def _zone(text: str) -> tuple[int, int, int]:
    from friedel.core.errors import CrystalError

    try:
        u, v, w = (int(part) for part in text.split(","))
    except ValueError:
        raise CrystalError(f"A zone axis must be three whole numbers such as 0,0,1, got {text!r}.") from None
    return u, v, w


def _write_spots(path: Path, made: PatternSet) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(SPOT_COLUMNS)
        for row, (uvw, conditions, spots) in enumerate(zip(made.uvw, made.conditions, made.spots, strict=True)):
            for i in range(len(spots)):
                pattern = spots.pattern(i)
                facts = [row, i, " ".join(map(str, uvw)), f"{conditions.thickness_a[i]:.2f}",
                         f"{math.degrees(conditions.rotation_rad[i]):.3f}",
                         *(f"{t:.3f}" for t in conditions.tilt_mrad[i])]  # fmt: skip
                for hkl, k, share in zip(pattern.hkl.tolist(), pattern.k_inv_a, pattern.share, strict=True):
                    writer.writerow([*facts, " ".join(map(str, hkl)), f"{k[0]:.6f}", f"{k[1]:.6f}", f"{share:.4e}"])
