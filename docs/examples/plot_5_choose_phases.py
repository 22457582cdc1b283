"""
Which phases to name
====================

Candidates are told apart by their spacings, and by nothing else if all that is seen is a ring. Before mapping it is
worth looking at which of them can be told apart at all.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import friedel as fr
from friedel.crystal import reflections

phases = fr.load_phases(["li", "lif", "li2o", "li2co3", "lioh"])
figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for row, crystal in enumerate(phases.crystals):
    table = reflections(crystal, 1.3)
    seen = table.relative_f2 > 0.05
    ax.vlines(1 / table.d_a[seen], row - 0.35, row + 0.35, linewidth=1 + 2 * table.relative_f2[seen])
ax.set_yticks(range(len(phases.names)), phases.names)
ax.set(xlabel="1/d, 1/Å", title="reflections with more than 5 % of the strongest")
plt.show()

# %%
# Pairs of reflections that lie within the error of a stored scale (1.5 %) cannot be told apart by one spacing. Where
# all strong reflections of a phase have such a partner, only angles and other spots of the same grain decide.
lists = {c.name: reflections(c, 1.3) for c in phases.crystals}
for name, table in lists.items():
    strong = table.d_a[table.relative_f2 > 0.2]
    for other, rival in lists.items():
        near = rival.d_a[rival.relative_f2 > 0.2]
        shared = [d for d in strong if np.abs(near / d - 1).min() < 0.015]
        if other > name and shared:
            print(f"{name} and {other}: {', '.join(f'{d:.2f} Å' for d in shared)}")
