"""Phases by py4DSTEM 0.14.18: Bragg disks, orientation plan, correlation and CrystalPhase.

``python py4dstem_identify.py IN.npz OUT.npz`` in an environment of its own; see ``bench/identify_peers.py``.

Settings, from its documentation and tutorials (ACOM; Bragg disk detection): template a synthetic probe of the size of
the disks with a sigmoid trench; correlation power 1, sub-pixel by "poly"; orientation plan over the whole fundamental
zone in steps of 2 degrees; correlation kernel 0.02 1/Å (the default, 0.08, is wider than the distance of the rings),
excitation error 0.02 1/Å; two matches per phase, at least 3 peaks; phases weighed by CrystalPhase with two patterns at
most. A peak counts from a correlation of "level" electrons per pixel of the probe: of 0.1, 0.15, 0.2, 0.4 and 1.0 the
first did best on development patterns at 200, 1,000 and 10,000 electrons.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import py4DSTEM
from emdfile import PointList
from py4DSTEM.process.diffraction import Crystal, CrystalPhase

Array = Any
K_MAX_INV_A = 1.1


def find_peaks(counts: Array, radius_px: float, step_inv_a: float, centre_px: tuple[float, float],
               least: float) -> list[Array]:  # fmt: skip
    """Peaks (M, 3) of each pattern: position (1/Å) and correlation."""
    cube = py4DSTEM.DataCube(counts[:, None].astype(np.float32))
    probe = py4DSTEM.Probe.generate_synthetic_probe(radius_px, 1.5, counts.shape[1:])
    kernel = probe.get_kernel(mode="sigmoid", origin=(counts.shape[1] / 2, counts.shape[2] / 2),
                              radii=(radius_px, 2.0 * radius_px + 1.0))  # fmt: skip
    found = cube.find_Bragg_disks(kernel, corrPower=1, sigma_dp=0, sigma_cc=1, subpixel="poly", edgeBoundary=2,
                                  minAbsoluteIntensity=least, minRelativeIntensity=0, minPeakSpacing=4,
                                  maxNumPeaks=80)  # fmt: skip
    out = []
    for i in range(len(counts)):
        peaks = found.raw[i, 0]
        k = (np.stack([peaks.qx, peaks.qy], axis=1) - np.asarray(centre_px)) * step_inv_a
        out.append(np.column_stack([k, peaks.I]))
    return out


def crystal_of(fact: dict[str, Any], energy_kev: float) -> Crystal:
    """Make a crystal with its orientation plan."""
    crystal = Crystal(fact["positions"], fact["numbers"], fact["cell"], occupancy=fact["occupancy"])
    crystal.calculate_structure_factors(K_MAX_INV_A)
    crystal.orientation_plan(zone_axis_range="auto", angle_step_zone_axis=2.0, angle_step_in_plane=2.0,
                             accel_voltage=energy_kev * 1e3, corr_kernel_size=0.02, sigma_excitation_error=0.02,
                             progress_bar=False)  # fmt: skip
    return crystal


class Peaks:
    """Calibrated peaks away from the beam, as py4DSTEM asks for them: position (i, 0)."""

    def __init__(self, found: list[Array]) -> None:
        self.shape = (len(found), 1)
        self.calstate = dict.fromkeys(("center", "ellipse", "pixel", "rotate"), True)
        self._found = found

    def get_vectors(self, scan_x: int, scan_y: int, **calibrated: bool) -> PointList:
        """Peaks of one pattern."""
        peaks = self._found[scan_x]
        keep = np.hypot(peaks[:, 0], peaks[:, 1]) > 0.1
        out = np.zeros(int(keep.sum()), dtype=[("qx", float), ("qy", float), ("intensity", float)])
        out["qx"], out["qy"], out["intensity"] = peaks[keep].T
        return PointList(out)


def main() -> None:
    """Score every pattern with every crystal."""
    warnings.simplefilter("ignore")
    with np.load(sys.argv[1]) as given:
        counts, energies, radii = given["counts"], given["energy_kev"], given["disk_radius_px"]
        step, centre, facts = float(given["step_inv_a"]), tuple(given["centre_px"]), json.loads(str(given["phases"]))
        level = float(given["level"])
    n, n_phases = len(counts), len(facts)
    correlation, weight = np.zeros((n, n_phases)), np.zeros((n, n_phases))
    seconds = 0.0
    for energy in np.unique(energies):
        chosen = np.flatnonzero(energies == energy)
        crystals = [crystal_of(fact, float(energy)) for fact in facts]
        start = time.process_time()
        table = Peaks(find_peaks(counts[chosen], float(radii[chosen[0]]), step, centre, level))
        for p, crystal in enumerate(crystals):
            crystal.match_orientations(table, num_matches_return=2, min_number_peaks=3, progress_bar=False)
            correlation[chosen, p] = crystal.orientation_map.corr[:, 0, 0]
        phases = CrystalPhase(crystals, crystal_names=[fact["name"] for fact in facts])
        for place, i in enumerate(chosen):
            if len(table.get_vectors(place, 0).data) < 3:
                continue  # it fails on an empty pattern
            weights = phases.quantify_single_pattern(table, (place, 0), corr_kernel_size=0.02, plot_result=False,
                                                     verbose=False, max_number_patterns=2)[0]  # fmt: skip
            weight[i] = np.reshape(weights, (n_phases, -1)).sum(axis=1)
        seconds += time.process_time() - start
    np.savez(sys.argv[2], kinds=["correlation", "weight"], correlation=correlation, weight=weight, seconds=seconds)


if __name__ == "__main__":
    main()
