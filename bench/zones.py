"""Along which axis a layered oxide is said to be seen, where it is seen along [001] and shows six {110} spots alone.

``python bench/zones.py`` simulates scans of NMC811 along [001], maps them by counts and by lattices, and tells how many
positions of O3 are said to be seen so. ``--write`` writes docs/bench/zones.md. Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import numpy as np
from section import made_by

from friedel.core.arrays import FloatArray
from friedel.crystal import load_phases
from friedel.pipeline.scans.choices import Template
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.result import LatticeFindings, ScanOptions
from friedel.pipeline.scans.road import analyse_scan
from friedel.report.orientation_map import zone_frames
from friedel.simulate.patterns.scan import ScanOptions as Scan
from friedel.simulate.patterns.scan import simulate_nmc811_scan

PAGE = Path(__file__).parents[1] / "docs" / "bench" / "zones.md"
SHAPE, SEEDS, DOSES = (16, 20), (21, 22), (150, 500, 3000, 30_000)
TEMPLATES: tuple[Template, ...] = ("counts", "lattice")
#: A direction this far from [001], in degrees, is another one: those simulated lie within half a degree of it.
OFF_DEG = 10.0
WORDS = """\
Simulated scans of NMC811 along [001], 16 x 20 positions and two scans for each dose, mapped with --phases \
nmc811-o3,nmc811-o1: positions at which there is O3 alone and it is named, and the share of them that is said to be \
seen within 10° of [001]; of the others, the median angle to [001]. The detector holds six spots of O3, {110}."""
WHY = """\
The oxygen of O3 is almost cubic: c/a is 4.94, and √24 = 4.90 were cubic. Its other threefold axes lie 71° from \
[001], and 19° from [1-10] and the like; along them six spots show whose radii differ by 0.6 %, no more than cameras \
are elliptic. Lattices take the zone of low index. Counts take it unless the light speaks for another direction by \
more than 4 natural logarithms: half of all crystals, turned or grown so, are taken to lie within 2° of an axis with \
indices 0 and ±1, as a hundredth of all directions do. Where the direction matters, compare with --template lattice. \
The phase is the same."""


def angles_to_c(dose: float, template: Template) -> FloatArray:
    """Return the angles to [001] (degrees) of the directions that are told where O3 is alone."""
    phases = load_phases(["nmc811-o3", "nmc811-o1"])
    o3, angles = phases.crystals[0], []
    for seed in SEEDS:
        scan, truth = simulate_nmc811_scan(seed, Scan(scan_shape=SHAPE, dose_electrons=dose))
        result = analyse_scan(scan, phases, ScanOptions(template=template))
        named = (result.phase_map.presence[..., 0] >= 0.5) & (truth.presence[..., 1] < 0.5)
        at = np.flatnonzero(named & (truth.presence[..., 0] >= 0.5))
        found = result.found
        if isinstance(found, CountFindings):
            frames = found.evidence.frame[at, 0]
        else:
            assert isinstance(found, LatticeFindings)
            frames = zone_frames(o3, found.uvw[at, 0], found.evidence.rotation_deg[at, 0])
        angles.append(np.rad2deg(np.arccos(np.clip(np.abs(frames[:, 2] @ o3.unique_axis), 0.0, 1.0))))
    return np.concatenate(angles)


def main() -> None:
    """Measure, print, and with --write write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page")
    write = parser.parse_args().write
    lines = ["| template | electrons | positions | along [001] | angle of the others |"]
    lines.append("|---|---|---|---|---|")
    for template in TEMPLATES:
        for dose in DOSES:
            angles = angles_to_c(dose, template)
            off = angles[angles > OFF_DEG]
            angle = f"{np.median(off):.0f}°" if len(off) else "–"
            share = (angles <= OFF_DEG).mean()
            lines.append(f"| {template} | {dose} | {len(angles)} | {share:.2f} | {angle} |")
            print(lines[-1], flush=True)
    if write:
        title = "# Which way a layered oxide is looked along"
        about = made_by("bench/zones.py --write", WORDS)
        PAGE.write_text("\n".join([title, "", *about, "", *lines, "", *textwrap.wrap(WHY, 120), ""]), "utf-8")


if __name__ == "__main__":
    main()
