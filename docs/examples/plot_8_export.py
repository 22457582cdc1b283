"""
For other programs
==================

A run folder holds everything, and can be read without friedel. Exports put it into the files that other programs open.
"""

# %%
# A run: recipe in, folder out. ``friedel map`` does the same.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile

import friedel as fr
from friedel.pipeline.export import export_run
from friedel.report.maps import plot_phase_map
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

folder = Path(tempfile.mkdtemp())
scan, _ = simulate_nmc811_scan(0, ScanOptions(scan_shape=(8, 10)))
fr.write_scan(folder / "scan.zarr", scan)
recipe = fr.Recipe(input=str(folder / "scan.zarr"), phases=("nmc811-o3", "nmc811-o1"))
summary = fr.run_recipe(recipe, folder / "run")
print(summary.fractions)

# %%
# HyperSpy, ImageJ and spreadsheets:
for kind, name in {"hspy": "maps.hspy", "tiff": "maps-tiff", "csv": "maps-csv"}.items():
    made = export_run(folder / "run", kind, folder / name)
    print(kind, "->", made.name)

# %%
# A picture for ImageJ has a slice per phase and the step of the scan.
path = folder / "maps-tiff" / "presence.tif"
with tifffile.TiffFile(path) as file:
    print(file.series[0].shape, file.imagej_metadata["unit"])

# %%
# The map, as Python reads it back.
phase_map = fr.load_phase_map(folder / "run")
assert np.allclose(list(phase_map.fractions().values()), list(summary.fractions.values()))
figure, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
plot_phase_map(phase_map, ax=ax)
plt.show()
