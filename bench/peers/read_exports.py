"""Read the exports of a run with HyperSpy, xarray, orix, tifffile and pandas, and compare with what was exported.

Run by ``bench/exports.py`` with a Python that has these programs; prints a line of JSON per program.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

FOLDER = Path(sys.argv[1])
TRUTH = np.load(FOLDER / "truth.npz")


def tell(program: str, what: str, is_right: bool) -> None:
    """Print what was compared, and whether it agrees."""
    print(json.dumps({"program": f"{program} {version(program)}", "what": what, "right": bool(is_right)}))


def hyperspy() -> None:
    """Values, scale and unit of the presence."""
    import hyperspy.api as hs

    signals = {signal.metadata.General.title: signal for signal in hs.load(FOLDER / "run.hspy")}
    presence = signals["presence"]
    axes = {axis.name: (axis.scale, str(axis.units)) for axis in presence.axes_manager._axes}
    same = np.array_equal(np.moveaxis(presence.data, 0, -1), TRUTH["presence"])
    steps = [axes["y"] == (TRUTH["step_nm"][0], "nm"), axes["x"] == (TRUTH["step_nm"][1], "nm")]
    tell("hyperspy", "presence, step and unit of y and x", same and all(steps))


def xarray() -> None:
    """Values and coordinates by name."""
    import xarray as xr

    data = xr.open_dataset(FOLDER / "run.nc")
    name = str(TRUTH["phases"][1])
    one = data["presence"].sel(phase=name).transpose("y", "x")
    steps = [float(np.diff(data[axis])[0]) for axis in "yx"]
    same = np.array_equal(one.values, TRUTH["presence"][..., 1])
    tell("xarray", "presence of a phase selected by name, coordinates", same and np.allclose(steps, TRUTH["step_nm"]))


def orix() -> None:
    """Phases, steps, and directions of the beam in the crystal."""
    from orix.io import load
    from orix.vector import Vector3d

    found = load(FOLDER / "run.ang")
    ids = found.phase_id.reshape(found.shape)
    there = TRUTH["phase"] > 0
    names = [found.phases[int(i)].name for i in np.unique(found.phase_id) if i >= 0]
    same_phase = all(
        found.phases[int(ids[y, x])].name == str(TRUTH["phases"][TRUTH["phase"][y, x] - 1])
        for y, x in np.argwhere(there)
    )
    steps = np.allclose((found.dy, found.dx), TRUTH["step_nm"] / 1000)
    beam = (found.rotations.reshape(*found.shape)[there] * Vector3d.zvector()).data
    off = np.degrees(np.arccos(np.clip(np.abs((beam * TRUTH["beam"][there]).sum(axis=-1)), -1, 1)))
    tell(
        "orix",
        f"{len(names)} phases by name, step, and the beam in the crystal",
        same_phase and steps and off.max() < 0.1,
    )


def tifffile() -> None:
    """Values, and what ImageJ takes for pixel size and unit."""
    import tifffile as tf

    with tf.TiffFile(FOLDER / "run-tiff" / "presence.tif") as file:
        facts, page = file.imagej_metadata or {}, file.pages[0]
        same = np.array_equal(np.moveaxis(file.asarray(), 0, -1), TRUTH["presence"])
        per_unit = [page.tags[name].value for name in ("YResolution", "XResolution")]
    steps = np.allclose([low / high for high, low in per_unit], TRUTH["step_nm"], rtol=1e-6)
    tell("tifffile", "presence, and ImageJ's pixel size and unit", same and steps and facts.get("unit") == "nm")


def pandas() -> None:
    """Numbers by column."""
    import pandas as pd

    table = pd.read_csv(FOLDER / "run-csv" / "positions.csv")
    column = next(name for name in table.columns if name.endswith(str(TRUTH["phases"][1])))
    values = table[column].to_numpy(dtype=np.float32)
    tell("pandas", f"column {column} of positions.csv", np.array_equal(values, TRUTH["presence"][..., 1].ravel()))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for program in (hyperspy, xarray, orix, tifffile, pandas):
        try:
            program()
        except ImportError as error:
            print(json.dumps({"program": program.__name__, "what": f"not installed ({error})", "right": None}))
