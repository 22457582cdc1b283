"""From evidence to presence: the probability that each phase is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray
from friedel.identify.counts.matching import PhaseEvidence


@dataclass(frozen=True, slots=True)
class Calibration:
    """How log evidence becomes probability, fitted on simulated patterns.

    Parameters
    ----------
    temper
        Factor of all log evidence: patterns differ from the models in ways that chance does not.
    single, pair
        Log prior odds of one phase, whichever, and of two, against none of them: no crystal, or one not on the list.
    doubt
        Probability that none of the hypotheses compared is right; it is spread evenly over them.
    """

    temper: float = 1.0
    single: float = 0.0
    pair: float = 0.0
    doubt: float = 0.0


#: Fitted by ``bench/calibrate_presence.py``.
CALIBRATION = Calibration(temper=0.2, single=-0.04, pair=0.0, doubt=0.03)


def posterior_of(
    evidence: PhaseEvidence, calibration: Calibration = CALIBRATION
) -> tuple[FloatArray, list[tuple[int, ...]]]:
    """Probability of every hypothesis (n, H), and the phases of each; the first is none of them."""
    n_phases = evidence.single.shape[1]
    names: list[tuple[int, ...]] = [(), *((p,) for p in range(n_phases))]
    temper = calibration.temper
    columns = [temper * np.maximum(evidence.foreign, 0.0)]
    columns += list(temper * evidence.single.T + calibration.single - np.log(n_phases))
    n_pairs = max(n_phases * (n_phases - 1) // 2, 1)
    for p in range(n_phases):
        for q in range(p):
            names.append((q, p))
            columns.append(temper * evidence.pair[:, q, p] + calibration.pair - np.log(n_pairs))
    posterior = special.softmax(np.stack(columns, axis=1), axis=1)
    return (1.0 - calibration.doubt) * posterior + calibration.doubt / posterior.shape[1], names


def presence_of(evidence: PhaseEvidence, calibration: Calibration = CALIBRATION) -> FloatArray:
    """Probability that each phase is present (n, P): the posterior summed over the hypotheses that hold it."""
    posterior, names = posterior_of(evidence, calibration)
    holds = np.array([[p in name for p in range(evidence.single.shape[1])] for name in names], dtype=np.float64)
    return np.asarray(np.clip(posterior @ holds, 0.0, 1.0))
