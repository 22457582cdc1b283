"""Phases by pyxem 0.21: template matching of polar patterns.

``python pyxem_identify.py IN.npz OUT.npz`` in an environment of its own; see ``bench/identify_peers.py``.

Settings, from its documentation and tutorials (orientation mapping): intensities to the power 0.5 (gamma); polar
patterns of 112 radii outside the beam and 360 azimuths; templates over the fundamental zone in steps of 2 degrees with
excitation errors up to 0.04 1/Å and the direct beam left out; full correlation with all of them (frac_keep 1). Two
treatments of the background: as it is, and after a difference of Gaussians; which is taken is the parameter "level".
Its correlation grows with the light of the pattern; the cosine, divided by the norm of the polar pattern, does not.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np

warnings.simplefilter("ignore")
import hyperspy.api as hs  # noqa: E402
from diffpy.structure import Atom, Lattice, Structure  # noqa: E402
from diffsims.generators.simulation_generator import SimulationGenerator  # noqa: E402
from orix.crystal_map import Phase  # noqa: E402
from orix.sampling import get_sample_reduced_fundamental  # noqa: E402
from pyxem.signals import ElectronDiffraction2D  # noqa: E402

Array = Any
K_MIN_INV_A, K_MAX_INV_A = 0.12, 1.0
EXCITATION_INV_A = 0.04


def templates_of(fact: dict[str, Any], energy_kev: float) -> Any:
    """Simulate the templates of a crystal."""
    symbols = dict(zip((3, 8, 25, 27, 28), ("Li", "O", "Mn", "Co", "Ni"), strict=True))
    atoms = [
        Atom(symbols[z], place, occupancy=share)
        for z, place, share in zip(fact["numbers"], fact["positions"], fact["occupancy"], strict=True)
    ]
    phase = Phase(fact["name"], space_group=fact["space_group"], structure=Structure(atoms, Lattice(*fact["cell"])))
    rotations = get_sample_reduced_fundamental(resolution=2.0, point_group=phase.point_group)
    generator = SimulationGenerator(accelerating_voltage=energy_kev, minimum_intensity=1e-4)
    return generator.calculate_diffraction2d(
        phase,
        rotation=rotations,
        reciprocal_radius=K_MAX_INV_A,
        max_excitation_error=EXCITATION_INV_A,
        with_direct_beam=False,
    )


def polar_of(counts: Array, level: str, step_inv_a: float, centre_px: tuple[float, float]) -> Any:
    """Polar patterns (n, 1) with gamma applied."""
    signal = ElectronDiffraction2D(counts[:, None].astype(np.float32))
    if level == "difference of Gaussians":
        signal = signal.subtract_diffraction_background(
            "difference of gaussians", min_sigma=1.5, max_sigma=6, inplace=False, show_progressbar=False
        )
    signal.calibration.scale = step_inv_a
    signal.calibration.units = "1/Å"
    signal.calibration.center = (float(centre_px[1]), float(centre_px[0]))
    signal.data = np.clip(signal.data, 0, None) ** 0.5
    return signal.get_azimuthal_integral2d(
        npt=112, npt_azim=360, radial_range=(K_MIN_INV_A, K_MAX_INV_A), mean=True, inplace=False, show_progressbar=False
    )


def main() -> None:
    """Score every pattern with every crystal."""
    hs.preferences.General.show_progressbar = False
    with np.load(sys.argv[1]) as given:
        counts, energies = given["counts"], given["energy_kev"]
        step, centre, facts = float(given["step_inv_a"]), tuple(given["centre_px"]), json.loads(str(given["phases"]))
        level = str(given["level"])
    n, n_phases = len(counts), len(facts)
    correlation, cosine = np.zeros((n, n_phases)), np.zeros((n, n_phases))
    seconds = 0.0
    for energy in np.unique(energies):
        chosen = np.flatnonzero(energies == energy)
        simulations = [templates_of(fact, float(energy)) for fact in facts]
        polar_of(counts[:1], level, step, centre).get_orientation(simulations[0], frac_keep=1.0)  # compile first
        start = time.process_time()
        polar = polar_of(counts[chosen], level, step, centre)
        norm = np.sqrt((polar.data.reshape(len(chosen), -1) ** 2).sum(axis=1))
        for p, simulation in enumerate(simulations):
            best = polar.get_orientation(simulation, n_best=1, frac_keep=1.0, show_progressbar=False)
            correlation[chosen, p] = best.data.reshape(len(chosen), 1, 4)[:, 0, 1]
            cosine[chosen, p] = correlation[chosen, p] / np.maximum(norm, 1e-9)
        seconds += time.process_time() - start
    np.savez(sys.argv[2], kinds=["correlation", "cosine"], correlation=correlation, cosine=cosine, seconds=seconds)


if __name__ == "__main__":
    main()
