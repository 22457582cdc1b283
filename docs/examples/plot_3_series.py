"""
What appears when
=================

A movie of an electrode under the beam: LiF shrinks, other phases appear, and the specimen drifts. friedel takes the
drift out, follows each spot through the frames, and says for each phase in which frame it appears, with an interval.
"""

# %%
# Simulated frames stand in for a file: ``fr.read("movie.mrc")`` gives the same kind of value, and reads frames one by
# one.
import matplotlib.pyplot as plt
import numpy as np

import friedel as fr
from friedel.pipeline.series.road import map_whole_series
from friedel.report.maps import plot_phase_map
from friedel.simulate.micrographs.series import sei_series, simulate_frame

plan = sei_series(2, 16, shape=(256, 256))
frames = [simulate_frame(plan, i)[0] for i in range(16)]
time_s = 2.46 * np.arange(1.0, 17.0, dtype=np.float64)
series = fr.MicrographSeries(np.stack([f.data for f in frames]), frames[0].grid, time_s=time_s)
series

# %%
# One scale and one set of names hold for all frames.
result = map_whole_series(series, fr.load_phases(["li", "lif", "li2o", "li2co3"]))
for life in result.lives:
    if not life.hkl:
        start = life.appears
        print(life.phase, "is there from the start" if start is None else f"appears in frame {start.frame}")

# %%
# The maps of the first and the last frame, on the positions of the first.
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for ax, frame in zip(axes, (0, 15), strict=True):
    plot_phase_map(result.maps[frame], ax=ax)
    ax.set_title(f"frame {frame}")
plt.show()

# %%
# How far has the specimen moved?
figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot(time_s, 0.1 * result.drift.shift_px * series.grid.step_a[0], label=["y", "x"])
ax.set(xlabel="time, s", ylabel="drift, nm")
ax.legend()
plt.show()
