"""How many 128 x 128 patterns a second the noise takes, and as a ratio to one Gaussian filter of each in the same run.

``python bench/simulate_noise.py``; set OMP_NUM_THREADS=1 for figures per core.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from scipy import ndimage

from friedel import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import load_phase
from friedel.simulate.patterns.diffraction import diffract, orient
from friedel.simulate.patterns.noise import Noise, draw_noise, expose, pattern_rng
from friedel.simulate.patterns.render import SpotShape, render

N = 400


def noise_rows() -> list[tuple[str, str, str]]:
    """Measure plain counting, a scan's noise, and noises drawn from all ranges; the least CPU time of three runs."""
    beam, grid = Beam(300.0, 0.5), ReciprocalGrid((0.0165, 0.0165), (63.5, 63.5))
    spots = diffract(orient(load_phase("srtio3"), (0, 0, 1)), beam, thickness_a=150.0)
    share = render(spots, grid, (128, 128), SpotShape.of(beam, 0.5))
    drawn = [draw_noise(pattern_rng(0, i)) for i in range(N)]
    unit = cpu_seconds([partial(ndimage.gaussian_filter, share, 1.5)] * N)
    rows = []
    for name, noises in (
        ("counting alone, 1,000 electrons", [Noise()] * N),
        ("halo, blur and counting, 3,000 electrons", [Noise(3000.0, halo_share=0.25, blur_px=0.6)] * N),
        ("drawn from all ranges", drawn),
    ):
        took = cpu_seconds([partial(expose, share, noise, grid, pattern_rng(1, i)) for i, noise in enumerate(noises)])
        rows.append((f"noise: {name}", f"{N / took:.0f} patterns/s", f"{took / unit:.1f}"))
    return rows


def cpu_seconds(work: Sequence[Callable[[], object]]) -> float:
    """Return the least CPU time of three runs."""
    times = []
    for _ in range(3):
        start = time.process_time()
        for one in work:
            one()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    for row in noise_rows():
        print("{}: {}, {} Gaussian filters".format(*row))
