"""Fast complex exponentials in single precision."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.simulate.micrographs.optics import Complex64Array

_BLOCK = 32


def plane_waves(cycles_per_px: FloatArray, start: int, length: int) -> Complex64Array:
    """exp(2 pi i q y) of frequencies q (N,) at y = start, start + 1, ..., (N, length).

    The exponent is split into that of the first place of a block and that within a block, so that one exponential in
    sixteen or so is computed, in double precision.
    """
    blocks = -(-length // _BLOCK)
    first = np.exp(2j * np.pi * cycles_per_px[:, None] * (start + _BLOCK * np.arange(blocks)))
    within = np.exp(2j * np.pi * cycles_per_px[:, None] * np.arange(_BLOCK))
    product = first.astype(np.complex64)[:, :, None] * within.astype(np.complex64)[:, None, :]
    return np.asarray(product.reshape(len(cycles_per_px), -1)[:, :length])


def exit_wave(phase_shift: Complex64Array) -> Complex64Array:
    """exp(i phase shift), which is slow for complex arguments."""
    damping = np.exp(-phase_shift.imag)
    out = np.empty_like(phase_shift)
    out.real, out.imag = damping * np.cos(phase_shift.real), damping * np.sin(phase_shift.real)
    return out
