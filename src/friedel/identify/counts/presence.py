"""From evidence to presence: the probability that each phase is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray, IntArray
from friedel.identify.counts.hypotheses import FEATURES, UNTRIED, hypotheses_of, n_phases_of
from friedel.identify.counts.matching import PhaseEvidence

#: Standard deviations beyond which a feature is taken as this far: nothing is known of what was never simulated.
_FURTHEST = 4.0
_WEIGHTS = "presence.json"


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """How the description of an explanation becomes its score; one set of numbers for none, one phase and two.

    Parameters
    ----------
    mean, spread
        Of each feature (3, F).
    linear, bias
        (3, F) and (3,).
    hidden, offset, weight
        (3, F, K), (3, K), (3, K) of K hidden units.
    doubt
        Probability that none of the explanations compared is right; it is spread evenly over them.
    """

    mean: FloatArray
    spread: FloatArray
    linear: FloatArray
    bias: FloatArray
    hidden: FloatArray
    offset: FloatArray
    weight: FloatArray
    doubt: float

    def standardise(self, features: FloatArray, kind: IntArray) -> FloatArray:
        """Bring features (n, H, F) of explanations of these kinds (H,) to mean 0 and spread 1, within limits."""
        scaled = (features - self.mean[kind]) / self.spread[kind]
        return np.asarray(np.clip(scaled, -_FURTHEST, _FURTHEST))

    def score(self, features: FloatArray, priors: Sequence[float] = ()) -> FloatArray:
        """Log odds (n, H) of the explanations of P phases described by features (n, H, F), up to a constant.

        A linear function and K units tanh(hidden z + offset) of the standardised features z, and a prior for which
        phase it is, or which two: by ``priors`` (P,), or even.
        """
        kind, log_prior = kinds_of(features.shape[1], priors)
        z = self.standardise(features, kind)
        units = np.tanh(np.einsum("nhf,hfk->nhk", z, self.hidden[kind]) + self.offset[kind])
        value = (z * self.linear[kind]).sum(axis=2) + (units * self.weight[kind]).sum(axis=2)
        return np.asarray(np.where(features[:, :, 0] <= UNTRIED, -np.inf, value + self.bias[kind] + log_prior))

    def posterior(self, features: FloatArray, priors: Sequence[float] = ()) -> FloatArray:
        """Probability of every explanation (n, H), with ``priors`` (P,) for the phases, or even ones."""
        posterior = special.softmax(self.score(features, priors), axis=1)
        return np.asarray((1.0 - self.doubt) * posterior + self.doubt / posterior.shape[1])

    @classmethod
    def blank(cls) -> Judge:
        """Return one that has learned nothing; learning starts from it."""
        n, k = len(FEATURES), 1
        shapes = ((3, n), (3, n), (3, n), (3,), (3, n, k), (3, k), (3, k))
        mean, spread, linear, bias, hidden, offset, weight = (np.zeros(shape) for shape in shapes)
        return cls(mean, spread + 1.0, linear, bias, hidden, offset, weight, doubt=0.01)

    def write(self, path: Path, note: str) -> None:
        """Write as JSON, four digits after the point."""
        numbers = {name: np.round(getattr(self, name), 4).tolist() for name in self.__slots__}
        path.write_text(json.dumps({"note": note, "features": FEATURES, **numbers}) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, text: str) -> Judge:
        """Read what ``write`` wrote."""
        stored = json.loads(text)
        return cls(**{name: np.asarray(stored[name], dtype=np.float64) for name in cls.__slots__[:-1]},
                   doubt=float(stored["doubt"]))  # fmt: skip


@cache
def shipped_judge() -> Judge:
    """Return the one that ``bench/calibrate_presence.py`` learned."""
    return Judge.read((files(__package__) / _WEIGHTS).read_text(encoding="utf-8"))


def kinds_of(n_hypotheses: int, priors: Sequence[float] = ()) -> tuple[IntArray, FloatArray]:
    """Kind (0 none, 1 one phase, 2 two) of each explanation (H,), and the log of its share among its kind.

    The share of a phase is its prior, or even; that of two is the product of theirs over the sum of all products.
    """
    names = hypotheses_of(n_phases_of(n_hypotheses))
    kind = np.array([len(name) for name in names])
    shares = np.asarray(priors or np.ones(n_phases_of(n_hypotheses)), dtype=np.float64)
    weight: FloatArray = np.array([np.prod(shares[list(name)]) for name in names])
    return kind, np.log(weight / np.bincount(kind, weight)[kind])


def sum_over_phases(posterior: FloatArray) -> FloatArray:
    """Probability that each phase is present (n, P): that (n, H) of all explanations that hold it."""
    n_phases = n_phases_of(posterior.shape[1])
    holds = np.array([[p in name for p in range(n_phases)] for name in hypotheses_of(n_phases)], dtype=np.float64)
    return np.asarray(np.clip(posterior @ holds, 0.0, 1.0))


def posterior_of(evidence: PhaseEvidence, priors: Sequence[float] = ()) -> FloatArray:
    """Probability of every explanation (n, H), with ``priors`` (P,) for which phase it is, or even ones."""
    return shipped_judge().posterior(evidence.features, priors)


def presence_of(evidence: PhaseEvidence, priors: Sequence[float] = ()) -> FloatArray:
    """Probability that each phase is present (n, P)."""
    return sum_over_phases(posterior_of(evidence, priors))
