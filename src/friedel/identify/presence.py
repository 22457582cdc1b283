"""From evidence to presence: the probability that each phase is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray
from friedel.identify.count_matching import PhaseEvidence


@dataclass(frozen=True, slots=True)
class Calibration:
    """How log evidence becomes probability, fitted on simulated patterns.

    Parameters
    ----------
    temper
        Factor of all log evidence: real patterns differ from the models in ways that the models do not know.
    single, pair, foreign
        Log prior odds of one phase, of two, and of a crystal that is not on the list, against no crystal.
    """

    temper: float = 1.0
    single: float = 0.0
    pair: float = 0.0
    foreign: float = 0.0


CALIBRATION = Calibration()


def log_hypotheses(
    evidence: PhaseEvidence, calibration: Calibration = CALIBRATION
) -> tuple[FloatArray, list[tuple[int, ...]]]:
    """Tempered log posterior of all hypotheses (n, H), up to a constant, and the phases of each; the first is none."""
    n_phases = evidence.single.shape[1]
    names: list[tuple[int, ...]] = [(), *((p,) for p in range(n_phases))]
    nothing = np.logaddexp(0.0, calibration.temper * evidence.foreign + calibration.foreign)
    columns = [nothing, *(calibration.temper * evidence.single.T + calibration.single - np.log(n_phases))]
    n_pairs = max(n_phases * (n_phases - 1) // 2, 1)
    for p in range(n_phases):
        for q in range(p):
            names.append((q, p))
            columns.append(calibration.temper * evidence.pair[:, q, p] + calibration.pair - np.log(n_pairs))
    return np.stack(columns, axis=1), names


def presence_of(evidence: PhaseEvidence, calibration: Calibration = CALIBRATION) -> FloatArray:
    """Probability that each phase is present (n, P): the posterior summed over the hypotheses that hold it."""
    value, names = log_hypotheses(evidence, calibration)
    return presence_of_hypotheses(value, names, evidence.single.shape[1])


def presence_of_hypotheses(value: FloatArray, names: list[tuple[int, ...]], n_phases: int) -> FloatArray:
    """Sum a posterior (n, H), given as logarithms up to a constant, over the hypotheses that hold each phase (n, P)."""
    holds = np.array([[p in name for p in range(n_phases)] for name in names], dtype=np.float64)
    return np.asarray(np.clip(special.softmax(value, axis=1) @ holds, 0.0, 1.0))
