"""
The scale, from something that is known
=======================================

Stored scales are often off by some per cent. Here the file says 0.0165 1/Å per pixel, and the truth is 3 % more. A
phase that is known to be in the scan tells.
"""

# %%
from dataclasses import replace

import matplotlib.pyplot as plt

import friedel as fr
from friedel.pipeline.scans.calibrate import calibrate_scan
from friedel.report.diffraction import plot_pattern
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

truth_inv_a = 0.0165 * 1.03
scan, _ = simulate_nmc811_scan(1, ScanOptions(scan_shape=(10, 12), step_inv_a=truth_inv_a))
scan = replace(scan, grid=replace(scan.grid, step_inv_a=(0.0165, 0.0165)))
scan

# %%
# ``friedel calibrate FILE --phases nmc811-o3,nmc811-o1`` does the same, and writes a file for ``friedel map
# --calibration``.
calibration = calibrate_scan(scan, phases=fr.load_phases(["nmc811-o3", "nmc811-o1"]))
for name, entry in calibration.entries.items():
    print(f"{name:20} {entry['value']}  ± {entry['sigma']}  ({entry['source']})")

# %%
# The calibrated grid goes with any pattern of the scan.
figure, ax = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
plot_pattern(replace(scan.pattern(5, 5), grid=calibration.grid), ax=ax)
plt.show()

# %%
# What is left of the 3 %, and the one-sigma error that the fit states.
found = calibration.grid
print(f"{found.step_inv_a[1] / truth_inv_a - 1:+.2%}, known to {found.relative_sigma:.2%}")
