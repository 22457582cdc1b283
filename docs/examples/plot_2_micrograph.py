"""
A map of a micrograph
=====================

Grains of Li, LiF, Li2O and Li2CO3 on an amorphous film, as in the interphase on a lithium electrode. Every family of
fringes is a spot in the FFT; spacings and angles name the grains.
"""

# %%
import matplotlib.pyplot as plt

import friedel as fr
from friedel.pipeline.demo import agreement
from friedel.report.maps import plot_micrograph, plot_phase_map
from friedel.simulate.micrographs.micrograph import sei_micrograph

micrograph, truth = sei_micrograph(0, (448, 448))
micrograph

# %%
# One call finds spots, names them and maps where their fringes are.
found = fr.map_micrograph(micrograph, fr.load_phases(["li", "lif", "li2o", "li2co3"]))
found.phase_map

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
plot_micrograph(micrograph, ax=axes[0])
plot_phase_map(found.phase_map, ax=axes[1])
plt.show()

# %%
# The table of components: the spacing as measured, that of the phase, and how sure the name is. Names joined by ``|``
# mean that the spacings do not decide.
for c in found.components[:8]:
    print(f"{c.phase:8} {c.hkl:12} {c.d_measured_a:.3f} Å ± {c.d_sigma_a:.3f}   {c.probability:.2f}")

# %%
# The truth lies on the pixels of the micrograph, the map on every so many of them.
step = found.step_px
thinned = fr.PhaseMap(truth.phases, truth.presence[::step, ::step], truth.valid[::step, ::step])
print(*agreement(found.phase_map, thinned), sep="\n")
