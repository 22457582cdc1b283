"""How bright the reflections of a crystal are expected to be, under the few models that are averaged over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from friedel.core.arrays import AnyArray, FloatArray, IntArray

#: Excitation errors beyond this, in 1/Å, give no light worth looking for.
_DARK_INV_A = 0.06
#: One sigma of the excitation errors that light up where the beam precesses or the crystal is bent, in 1/Å.
PRECESSION_INV_A = 0.02
#: Relative spread of the thickness within the probe and of a model's own error.
_THICKNESS_SPREAD = 0.1
#: Least expected share of the beam; keeps logarithms finite for reflections that a tilt has put out.
LEAST_SHARE = 1e-9


@dataclass(frozen=True, slots=True)
class Brightness:
    """One model of how bright the reflections of a crystal are.

    Parameters
    ----------
    kind
        "two-beam": each reflection with the direct beam, at one thickness; "precessed": in proportion to |F|^2 and a
        Gaussian of the excitation error, as with a precessing beam or a bent crystal.
    amount
        Thickness in Å, or the share of the beam in all reflections together.
    shape
        Of the gamma law of each reflection about its expectation: 1 where many beams exchange light, 4 where the model
        is right within a factor of 1.5.
    """

    kind: Literal["two-beam", "precessed"]
    amount: float
    shape: float


_THICKNESSES_A = (45.0, 80.0, 130.0, 190.0, 270.0, 360.0)
_TOTALS = (0.06, 0.15, 0.35)
_SHAPES = (1.0, 4.0, 16.0)
MODELS: tuple[Brightness, ...] = tuple(
    Brightness(kind, amount, shape)  # type: ignore[arg-type]
    for kind, amounts in (("two-beam", _THICKNESSES_A), ("precessed", _TOTALS))
    for amount in amounts
    for shape in _SHAPES
)
#: Models that expect different shares of the beam, and which of these each model agrees with.
LIGHTS = MODELS[:: len(_SHAPES)]
LIGHT_OF = tuple(i // len(_SHAPES) for i in range(len(MODELS)))
LOG_WEIGHTS: FloatArray = np.full(len(MODELS), -np.log(len(MODELS)))
#: Models that are enough to refine an orientation.
ROUGH = tuple(i for i, m in enumerate(MODELS) if m.shape == 4.0 and m.amount in (80.0, 190.0, 0.15))


def expected_shares(s_inv_a: AnyArray, coupling2: AnyArray, candidate: IntArray, n: int, model: Brightness) -> AnyArray:
    """Share of the beam in each reflection (E,) of n candidates.

    Two-beam: sin^2(pi t e) q^2 / e^2 with e^2 = s^2 + q^2 and q = 1 / xi (Williams and Carter, Transmission Electron
    Microscopy, 2nd ed., eq. 13.4-13.5), averaged over a spread of thickness, and scaled so that no electron is counted
    twice.
    """
    if model.kind == "precessed":
        light = coupling2 * np.exp(-0.5 * (s_inv_a / PRECESSION_INV_A) ** 2)
        total = np.bincount(candidate, light, minlength=n).astype(light.dtype)
        return np.asarray(np.maximum(model.amount * light / np.maximum(total, 1e-30)[candidate], LEAST_SHARE))
    effective2 = s_inv_a**2 + coupling2
    phase = 2.0 * np.pi * model.amount * np.sqrt(effective2)
    beat = np.exp(-0.5 * (_THICKNESS_SPREAD * phase) ** 2) * np.cos(phase)
    taken = 0.5 * coupling2 / np.maximum(effective2, 1e-30) * (1.0 - beat) * (np.abs(s_inv_a) < _DARK_INV_A)
    total = np.bincount(candidate, taken, minlength=n).astype(taken.dtype)
    return np.asarray(np.maximum(taken / (1.0 + total)[candidate], LEAST_SHARE))
