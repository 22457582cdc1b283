"""
A map of a scan
===============

Patterns of a layered oxide cathode, NMC811, in which two stackings stand side by side and on one another: O3, and O1,
which grows at high voltage. The scan is simulated, so that the map can be held against the truth.
"""

# %%
# A scan is a stack of patterns (ry, rx, ky, kx) with its calibration. The last line of a cell shows it.
import matplotlib.pyplot as plt

import friedel as fr
from friedel.pipeline.demo import agreement
from friedel.report.maps import plot_phase_map
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

scan, truth = simulate_nmc811_scan(0, ScanOptions(scan_shape=(16, 20)))
scan

# %%
# The phases are an assumption: what is not named cannot be found.
phases = fr.load_phases(["nmc811-o3", "nmc811-o1"])
result = fr.analyse_scan(scan, phases, fr.ScanOptions())
result.phase_map

# %%
# Where is each phase? Colour says which, opacity how sure.
figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
for ax, phase_map, title in zip(axes, (result.phase_map, truth), ("found", "truth"), strict=True):
    plot_phase_map(phase_map, ax=ax)
    ax.set_title(title)
plt.show()

# %%
# How much of the truth was found, and what must the reader know?
print(*agreement(result.phase_map, truth), sep="\n")
print(*result.warnings, sep="\n")

# %%
# Why? At each position there is a pattern with its spots.
from friedel.report.diffraction import plot_pattern  # noqa: E402

ry, rx = 4, 5
figure, ax = plt.subplots(figsize=(6.6, 4.2), layout="constrained")
spots = result.spots.of(ry * scan.scan_shape[1] + rx)
plot_pattern(scan.pattern(ry, rx), spots=spots, annulus_inv_a=result.annulus_inv_a, ax=ax)
plt.show()
