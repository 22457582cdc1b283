"""
Judging a map
=============

The same scan, mapped with the right phases and with wrong ones. What tells them apart when no truth is at hand?
"""

# %%
import matplotlib.pyplot as plt

import friedel as fr
from friedel.identify.metrics import evaluate_map
from friedel.report.evaluation import plot_reliability
from friedel.report.maps import plot_phase_map
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

scan, truth = simulate_nmc811_scan(3, ScanOptions(scan_shape=(14, 16)))
right = fr.analyse_scan(scan, fr.load_phases(["nmc811-o3", "nmc811-o1"]), fr.ScanOptions())
wrong = fr.analyse_scan(scan, fr.load_phases(["graphite", "bn"]), fr.ScanOptions())

figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
plot_phase_map(right.phase_map, ax=axes[0])
plot_phase_map(wrong.phase_map, ax=axes[1])
plt.show()

# %%
# The warnings tell: what is seen lies on no ring of the candidates.
print("right:", *right.warnings or ["none"], sep="\n  ")
print("wrong:", *wrong.warnings or ["none"], sep="\n  ")

# %%
# With a truth, friedel counts: the set of phases that is exactly right, agreement beyond chance, and each phase.
evaluation = evaluate_map(right.phase_map, truth)
print(f"accuracy {evaluation.accuracy:.2f}, kappa {evaluation.kappa:.2f}")
for score in evaluation.phases:
    print(f"{score.phase}: precision {score.precision:.2f}, recall {score.recall:.2f}, IoU {score.iou:.2f}")

# %%
# Is presence right as often as it says? With hexagons it is a score, and a few hundred positions say little; a
# probability would lie on the diagonal.
figure, ax = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
plot_reliability(evaluation.reliability, ax=ax)
plt.show()
