"""
A map of a scan
===============

Patterns of a layered oxide cathode, NMC811, in which two stackings stand side by side and on one another: O3, and O1,
which grows at high voltage. The scan is simulated, so that the map can be held against the truth.
"""

# %%
# A scan is a stack of patterns (ry, rx, ky, kx) with its calibration. The last line of a cell shows it.
import matplotlib.pyplot as plt
import numpy as np

import friedel as fr
from friedel.report.maps import plot_phase_map
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

scan, truth = simulate_nmc811_scan(0, ScanOptions(scan_shape=(16, 20), dose_electrons=3000))
scan

# %%
# The phases are an assumption: what is not named cannot be found.
phases = fr.load_phases(["nmc811-o3", "nmc811-o1"])
result = fr.analyse_scan(scan, phases, fr.ScanOptions())
result.phase_map

# %%
# Where is each phase? Opacity says how sure that is.
plot_phase_map(result.phase_map)
plt.show()

# %%
# How much of the truth was found?
labels, true_labels = result.phase_map.labels(), truth.labels()
for bit, name in enumerate(phases.names):
    found, there = (labels >> bit & 1).astype(bool), (true_labels >> bit & 1).astype(bool)
    print(f"{name}: {np.mean(found[there]):.0%} of it found, {np.mean(there[found]):.0%} of what is called so is right")
