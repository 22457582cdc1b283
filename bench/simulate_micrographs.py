"""CPU time of simulated micrographs with their labels, in seconds and over that of one FFT of the same size.

The machine may be shared: the ratio to an FFT in the same run holds where seconds do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import fft

from friedel.crystal import load_phases, phase_names
from friedel.simulate.micrographs.micrograph import sei_micrograph
from friedel.simulate.micrographs.series import sei_series, simulate_frame
from friedel.simulate.training.micrographs import Variety, labelled_micrograph

N_MICROGRAPHS, SEED = 40, 11


def cpu_seconds(work: Callable[..., object], *arguments: object) -> float:
    """Return the CPU time of one call."""
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def main() -> None:
    """Print one line per size of random micrographs, and one for the demonstration and a frame of the series."""
    crystals = load_phases(phase_names()).crystals
    for side in (512, 1024):
        shape, field = (side, side), np.ones((side, side), dtype=np.complex64)
        unit = min(cpu_seconds(fft.fft2, field) for _ in range(20))
        variety, series = Variety(shape=shape), sei_series(0, shape=shape)
        rows = {
            f"{N_MICROGRAPHS} random": [
                cpu_seconds(labelled_micrograph, SEED, i, crystals, variety) for i in range(N_MICROGRAPHS)
            ],
            "demonstration": [cpu_seconds(sei_micrograph, 1, shape) for _ in range(3)],
            "frame of a series": [cpu_seconds(simulate_frame, series, 60) for _ in range(3)],
        }
        for name, times in rows.items():
            mean, most = float(np.mean(times)), max(times)
            print(f"{side} px, {name}: mean {mean:.2f} s ({mean / unit:.0f} FFTs), at most {most:.2f} s")


if __name__ == "__main__":
    main()
