"""
Few electrons
=============

Two hundred electrons per pattern: most of them are in the beam, and a spot is a handful of counts. The network that
ships says where spots are; how bright they are is measured on the counts.
"""

# %%
import matplotlib.pyplot as plt

import friedel as fr
from friedel.nets.denoise import denoise_scan
from friedel.nets.inference import load_network
from friedel.patterns.survey import survey_scan
from friedel.pipeline.demo import agreement
from friedel.report.diffraction import plot_pattern
from friedel.report.maps import plot_phase_map
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

scan, truth = simulate_nmc811_scan(0, ScanOptions(scan_shape=(12, 14), dose_electrons=200.0))
phases = fr.load_phases(["nmc811-o3", "nmc811-o1"])
scan

# %%
# A pattern, and the electrons that the network expects there.
survey = survey_scan(scan, annulus_inv_a=(0.3, 0.8))
clean = denoise_scan(survey, load_network("denoiser"))
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
plot_pattern(scan.pattern(6, 4), ax=axes[0])
plot_pattern(clean.pattern(6, 4), ax=axes[1])
plt.show()

# %%
# The map without the network and with it.
without = fr.analyse_scan(scan, phases, fr.ScanOptions(denoise="none"))
with_network = fr.analyse_scan(scan, phases, fr.ScanOptions(denoise="auto"))
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for ax, phase_map, title in zip(
    axes, (without.phase_map, with_network.phase_map, truth), ("without", "with", "truth"), strict=True
):
    plot_phase_map(phase_map, ax=ax)
    ax.set_title(title)
plt.show()

# %%
print("without:", *agreement(without.phase_map, truth), sep="\n  ")
print("with:", *agreement(with_network.phase_map, truth), sep="\n  ")
