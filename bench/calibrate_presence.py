"""Learn how evidence becomes presence (``friedel.identify.counts.presence.Judge``) on simulated patterns.

``python bench/calibrate_presence.py`` simulates the patterns of ``presence_cases.LEARNED``, fits the judge by maximum
likelihood of what is there, and prints accuracy and reliability on patterns of ``presence_cases.TESTED``: crystals
that it has never seen. ``--folder`` keeps the descriptions of the patterns, so that the fit can be repeated and an
interrupted run goes on. ``--write`` puts the judge into the package and the table into docs/bench/presence.md.
Set OMP_NUM_THREADS=1: the same bits come out then.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from presence_cases import LEARNED, PATTERNS, TESTED, Array, draw_scan, sought_beside, weigh
from scipy import optimize, special
from section import made_by

from friedel.crystal import load_phases
from friedel.identify.counts.hypotheses import FEATURES, UNTRIED, hypotheses_of
from friedel.identify.counts.presence import Judge, kinds_of, sum_over_phases
from friedel.identify.metrics import Reliability, reliability_of
from friedel.report.evaluation import plot_reliability
from friedel.report.style import png_of

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src" / "friedel" / "identify" / "counts" / "presence.json"
DOCS = ROOT / "docs"
#: Hidden units, penalty of the squares of all weights, and the share of patterns that no explanation fits.
UNITS, PENALTY, DOUBT = 16, 1e-3, 0.01
SEED = 51
#: Odds, before looking, of nothing, a crystal that is no candidate, one candidate, and two along the beam: simulated
#: patterns are weighed so.
ODDS = (0.2, 0.18, 0.42, 0.2)
#: Scans of each set of candidates, and further ones with all crystals along their six-fold zones: of layered oxides, of
#: others in which all phases have such zones, and of the rest; and of each set to test.
_LAYERED, _SIX_FOLD = (0, 11), (2, 3, 4, 9, 10, 19)
N_LAYERED, N_SIX_FOLD, N_OTHER, N_TESTED = (10, 22), (5, 4), (4, 0), (2, 0)
PICTURE = "presence-reliability.png"
WORDS = f"""\
Scans of {PATTERNS} simulated patterns, of {len(LEARNED)} sets of candidates to learn from and {len(TESTED)} sets of \
other crystals to test, each mapped with `--template counts`, look-alikes included. Patterns show nothing, one \
candidate, two along the beam, or a crystal that is none: of a candidate's structure with a lattice 1.6 to 8 % off, a \
look-alike, one with many spacings of a candidate, or any of the library. 80 to 30,000 electrons, 3 to 40 nm, \
many-beam, two-beam and precessed intensities, the scale known to 0.3 to 1.5 %, lattices off by up to 1.5 %, and by up \
to 5 % more along a unique axis. Where all candidates have six-fold zones, part of the scans to learn from lies along \
these. Patterns are weighed, and those counted here drawn, so that 20 % show nothing, 18 % a \
crystal that is no candidate, 42 % one candidate and 20 % two, as presence assumes."""


@dataclass(frozen=True, slots=True, eq=False)
class Lot:
    """Patterns of one set of candidates.

    Parameters
    ----------
    features
        Of every explanation (n, H, F).
    there
        Which phases are there (n, P): the candidates, then their look-alikes.
    shown
        Which of ``SHOWN`` it is (n,).
    n_asked
        Number of candidates.
    priors
        Of all phases, relative to each other (P,).
    """

    features: Array
    there: Array
    shown: Array
    n_asked: int
    priors: tuple[float, ...]

    @property
    def asked(self) -> Array:
        """Which candidates are there (n, n_asked)."""
        return self.there[:, : self.n_asked]

    @property
    def right(self) -> Array:
        """Which explanation is right (n,)."""
        names = hypotheses_of(self.there.shape[1])
        return np.array([names.index(tuple(int(p) for p in np.flatnonzero(row))) for row in self.there])


def weights_of(lots: Sequence[Lot]) -> list[Array]:
    """Weight of every pattern of every lot, 1 on average, by which what they show has the odds ``ODDS``."""
    shown = np.concatenate([lot.shown for lot in lots])
    weights = np.array(ODDS) * len(shown) / np.bincount(shown, minlength=4)
    return [weights[lot.shown] for lot in lots]


def scans_of(index: int) -> tuple[int, int]:
    """Return how many scans of a set are learned from: in any orientation, and along six-fold zones."""
    return N_LAYERED if index in _LAYERED else N_SIX_FOLD if index in _SIX_FOLD else N_OTHER


def load_lots(folder: Path, sets: Sequence[tuple[str, ...]], first: int) -> list[Lot]:
    """Simulate and describe the scans of each set of candidates, or read what a folder keeps; tests begin at 100."""
    lots = []
    for index, names in enumerate(sets, first):
        n_any, n_textured = scans_of(index) if first == 0 else N_TESTED
        parts = []
        for which in range(n_any + n_textured):
            path = folder / f"{index}_{which}.npz"
            if not path.exists():
                scan, there, shown = draw_scan(names, index, which, SEED, textured=which >= n_any)
                np.savez(path, features=weigh(scan, load_phases(names)), there=there, shown=shown)
                print(f"{', '.join(names)}: scan {which + 1}", flush=True)
            with np.load(path) as kept:
                parts.append((kept["features"].astype(np.float64), kept["there"], kept["shown"]))
        features, there, shown = (np.concatenate(column) for column in zip(*parts, strict=True))
        lots.append(Lot(features, there, shown, len(names), sought_beside(names).priors))
    return lots


def thinned(lots: Sequence[Lot]) -> list[Lot]:
    """Drop patterns at random, so that what is shown by those left has the odds ``ODDS``."""
    weights, rng = weights_of(lots), np.random.default_rng(SEED)
    most = max(float(weight.max()) for weight in weights)
    kept = [rng.random(len(weight)) < weight / most for weight in weights]
    return [
        replace(lot, features=lot.features[keep], there=lot.there[keep], shown=lot.shown[keep])
        for lot, keep in zip(lots, kept, strict=True)
    ]


def fit_judge(lots: Sequence[Lot]) -> Judge:
    """Fit by maximum likelihood with a penalty, all sets of candidates alike."""
    n_features = lots[0].features.shape[2]
    mean, spread = np.zeros((3, n_features)), np.ones((3, n_features))
    for kind in range(3):
        rows = [lot.features[:, kinds_of(lot.features.shape[1])[0] == kind].reshape(-1, n_features) for lot in lots]
        known = np.concatenate([row[row[:, 0] > UNTRIED] for row in rows])
        mean[kind], spread[kind] = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-3)
    rng = np.random.default_rng(SEED)
    shapes = ((3, n_features), (3,), (3, n_features, UNITS), (3, UNITS), (3, UNITS))
    sizes = [int(np.prod(shape)) for shape in shapes]
    start = np.zeros(sum(sizes))
    start[sizes[0] + 3 : sizes[0] + 3 + sizes[2]] = rng.normal(0.0, n_features**-0.5, sizes[2])
    start[-sizes[4] :] = rng.normal(0.0, 0.1, sizes[4])

    def judge_of(x: Array) -> Judge:
        parts = [part.reshape(shape) for part, shape in zip(np.split(x, np.cumsum(sizes)[:-1]), shapes, strict=True)]
        linear, bias, hidden, offset, weight = parts
        return Judge(mean, spread, linear, bias, hidden, offset, weight, doubt=DOUBT)

    total = sum(len(lot.there) for lot in lots)
    scaled = [judge_of(start).standardise(lot.features, kinds_of(lot.features.shape[1])[0]) for lot in lots]

    weights = weights_of(lots)

    def loss(x: Array) -> tuple[float, Array]:
        judge = judge_of(x)
        value, slope = PENALTY * float(x @ x), 2.0 * PENALTY * x
        for lot, z, weight in zip(lots, scaled, weights, strict=True):
            one, gradient = _loss_of(judge, lot, z, weight)
            value += one / total
            slope = slope + gradient / total
        return value, slope

    return judge_of(optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 400}).x)


def _loss_of(judge: Judge, lot: Lot, z: Array, weight: Array) -> tuple[float, Array]:
    """Negative log posterior of what is there, summed over a lot, and its gradient in the order of the parameters.

    ``z`` are the standardised features of the lot, and ``weight`` that of its patterns.
    """
    kind, log_prior = kinds_of(z.shape[1], lot.priors)
    rows, right = np.arange(len(z)), lot.right
    of_kind = [np.flatnonzero(kind == k) for k in range(3)]
    units = [np.tanh(z[:, here] @ judge.hidden[k] + judge.offset[k]) for k, here in enumerate(of_kind)]
    score = np.empty(z.shape[:2])
    for k, here in enumerate(of_kind):
        score[:, here] = z[:, here] @ judge.linear[k] + units[k] @ judge.weight[k] + judge.bias[k]
    score = np.where(lot.features[:, :, 0] <= UNTRIED, -np.inf, score + log_prior)
    softmax = special.softmax(score, axis=1)
    posterior = (1.0 - judge.doubt) * softmax[rows, right] + judge.doubt / z.shape[1]
    one_hot = np.zeros_like(softmax)
    one_hot[rows, right] = 1.0
    push = (weight * (1.0 - judge.doubt) * softmax[rows, right] / posterior)[:, None] * (softmax - one_hot)
    parts = []
    for k, here in enumerate(of_kind):
        by, flat = push[:, here].ravel(), z[:, here].reshape(-1, z.shape[2])
        lit = units[k].reshape(len(flat), -1)
        inner = by[:, None] * judge.weight[k] * (1.0 - lit**2)
        parts.append((by @ flat, by.sum(keepdims=True), flat.T @ inner, inner.sum(axis=0), by @ lit))
    gradient = [np.stack(column).ravel() for column in zip(*parts, strict=True)]
    return -float(weight @ np.log(posterior)), np.concatenate(gradient)


def judged(judge: Judge, lots: Sequence[Lot]) -> tuple[Reliability, float, float]:
    """Reliability over all phases of all lots, share of patterns of which all is right, and share falsely named."""
    stated = [sum_over_phases(judge.posterior(lot.features, lot.priors))[:, : lot.n_asked] for lot in lots]
    right = np.concatenate([((p >= 0.5) == lot.asked).all(axis=1) for p, lot in zip(stated, lots, strict=True)])
    empty = np.concatenate([~lot.asked.any(axis=1) for lot in lots])
    named = np.concatenate([(p >= 0.5).any(axis=1) for p in stated])
    reliability = reliability_of(
        np.concatenate([p.ravel() for p in stated]), np.concatenate([lot.asked.ravel() for lot in lots])
    )
    return reliability, float(right.mean()), float(named[empty].mean())


def table_of(reliability: Reliability) -> list[str]:
    """Table of presence against how often the phase was there."""
    lines = ["| presence | mean | phase was there | positions |", "|---|---|---|---|"]
    rows = zip(reliability.edges, reliability.edges[1:], reliability.promised, reliability.found, reliability.n,
               strict=False)  # fmt: skip
    return lines + [f"| {a:.1f}-{b:.1f} | {mean:.3f} | {found:.3f} | {n} |" for a, b, mean, found, n in rows if n]


def write_page(summary: list[str], reliability: Reliability) -> None:
    """Write docs/bench/presence.md and its picture."""
    figure = Figure(figsize=(4.2, 4.0), layout="constrained")
    plot_reliability(reliability, figure.subplots())
    (DOCS / "pictures" / PICTURE).write_bytes(png_of(figure))
    lines = [
        "# How well presence is calibrated",
        "",
        *made_by("bench/calibrate_presence.py --write", WORDS),
        "",
        *summary,
        "",
        "## Crystals never seen",
        "",
        f"![Share of positions that hold the phase over the presence that is stated](../pictures/{PICTURE})",
        "",
        *table_of(reliability),
    ]
    (DOCS / "bench" / "presence.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Learn, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where descriptions of patterns are kept")
    parser.add_argument("--write", action="store_true", help="write the judge and docs/bench/presence.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if json.loads(WEIGHTS.read_text(encoding="utf-8"))["features"] != list(FEATURES):
            Judge.blank().write(WEIGHTS, "blank")
        learned = load_lots(folder, LEARNED, 0)
        tested = load_lots(folder, TESTED, 100)
    judge = fit_judge(learned)
    lines = [
        "| crystals | patterns | all right | named where there is none | calibration error |",
        "|---|---|---|---|---|",
    ]
    known, unseen = thinned(learned), thinned(tested)
    for what, lots in (("learned from", known), ("never seen", unseen)):
        reliability, right, false = judged(judge, lots)
        n = sum(len(lot.there) for lot in lots)
        lines.append(f"| {what} | {n} | {right:.3f} | {false:.3f} | {reliability.calibration_error:.3f} |")
    print("\n".join([*lines, "", *table_of(reliability)]))
    if args.write:
        judge.write(WEIGHTS, "learned by bench/calibrate_presence.py")
        write_page(lines, reliability)


if __name__ == "__main__":
    main()
