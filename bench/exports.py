"""Do the programs that exports are for read them, with the right values, axes and orientations?

Maps a small simulated scan by lattices, exports it to every format, and has HyperSpy, xarray, orix, tifffile and pandas
read it: ``python bench/exports.py --peers PYTHON``, where PYTHON has these programs. Writes the table of
docs/howto/export.md when given --write.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from friedel.crystal import load_phase
from friedel.io import write_scan
from friedel.pipeline.export import ENDINGS, export_run
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.run import run_recipe
from friedel.pipeline.runs.files import load_phase_map
from friedel.pipeline.runs.maps import maps_of_run
from friedel.report.orientation_map import zone_frames
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

DOCS = Path(__file__).parents[1] / "docs" / "howto" / "export.md"
BEGIN, END = "<!-- table by bench/exports.py -->\n", "<!-- end of table -->\n"
SMALL = ScanOptions(scan_shape=(8, 10), pattern_shape=(96, 96), step_inv_a=0.022, dose_electrons=5000.0)


def make(folder: Path) -> None:
    """Map, export to all formats, and write what a reader must find."""
    scan, _ = simulate_nmc811_scan(0, SMALL)
    write_scan(folder / "scan.zarr", scan)
    phases = ["nmc811-o3", "nmc811-o1"]
    values = {"input": str(folder / "scan.zarr"), "phases": phases, "scan": {"template": "lattice"}}
    run_recipe(parse_recipe(values), folder / "run")
    for to in ENDINGS:
        export_run(folder / "run", to)
    found, maps = load_phase_map(folder / "run"), maps_of_run(folder / "run")
    assert found.grid is not None
    surest, rotation, uvw = (
        found.presence.argmax(axis=-1),
        maps.image("rotation_deg").data,
        maps.image("zone_axis").data,
    )
    known = np.take_along_axis(np.isfinite(rotation), surest[None], axis=0)[0]
    phase = np.where((found.presence.max(axis=-1) >= 0.5) & found.valid & known, surest + 1, 0)
    beam = np.zeros((*phase.shape, 3))
    for p, name in enumerate(phases):
        mine = phase == p + 1
        beam[mine] = zone_frames(load_phase(name), uvw[p][:, mine].T, rotation[p][mine])[:, 2]
    np.savez(folder / "truth.npz", presence=found.presence, phases=phases, phase=phase, beam=beam,
             step_nm=np.array(found.grid.step_a) / 10)  # fmt: skip


def main() -> None:
    """Make, read, print, and write the table if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", required=True, help="a Python with hyperspy, xarray, orix, tifffile and pandas")
    parser.add_argument("--write", action="store_true", help="write the table of docs/howto/export.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        reader = Path(__file__).with_name("peers") / "read_exports.py"
        said = subprocess.run([arguments.peers, reader, folder], check=True, capture_output=True, text=True).stdout
    results = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    verdict = {True: "as exported", False: "DIFFERENT", None: "–"}
    lines = ["| program | what was compared | result |", "|---|---|---|"]
    lines += [f"| {r['program']} | {r['what']} | {verdict[r['right']]} |" for r in results]
    day = dt.datetime.now(tz=dt.UTC).date()
    made = f"\nMade by `python bench/exports.py --write --peers PYTHON` on {day}, {platform.machine()}."
    table = "\n".join([*lines, made]) + "\n"
    print(table)
    if arguments.write:
        head, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
        DOCS.write_text(head + BEGIN + table + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
