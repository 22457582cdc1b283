"""The page of the identification bench: tables and the reliability curve."""

from __future__ import annotations

import datetime as dt
import itertools
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from identify_cases import PHASES, Array, CaseSet

from friedel.identify.metrics import Evaluation, evaluate_presence, reliability_of
from friedel.report.evaluation import plot_reliability
from friedel.report.style import png_of

PROGRAMS = ("friedel", "py4DSTEM", "pyxem")
REGIONS = {"near": "near [001]", "any": "any orientation", "map": "map, [001]"}
SOURCES = {"own": "own", "abTEM": "multislice", "map": "multislice map"}
#: Bins of thickness (nm) and mistilt (mrad), and the dose at which they are shown.
THICKNESS_NM, TILT_MRAD, SHOWN_DOSE = (0, 10, 20, 41), (0, 4, 8, 13), 1000
PICTURE = "identification-reliability.png"
FOREWORD = """\
Patterns of 128 x 128 px with known phases; candidates are `nmc811-o3` and `nmc811-o1`; an answer is right if it is
exactly the set of phases that are there: none, O3, O1, or both. Accuracy, kappa and F1 count O3, O1, both along the
beam, amorphous carbon and vacuum. "Foreign named" is the share of patterns of crystals that are no candidates (rock
salt, spinel, Al, Cu, LiF, Si, and others) that bear the name of a candidate. ECE is the expected calibration error of
friedel's presence over all patterns, foreign ones included; the other programs state no probability.

- **own**: friedel's simulation, 300 kV. Near [001]: mistilt to 12 mrad, 5 to 40 nm, two-beam intensities. Any
  orientation: kinematic intensities as of a precessed beam. Gaussian spots, 5 to 25 % of the electrons in a halo.
- **multislice**: abTEM 1.0.11, 200 and 300 kV, thermal displacements, cells that differ from the candidates' by up to
  1.9 %. Near [001]: mistilt to 12 mrad, 5 to 40 nm, layers of O3 and O1 for "both". Any orientation: half of them
  near a zone axis of low index, half at random, where often no more than two or three reflections light up, which no
  program can name.
- **multislice map**: another such simulation, 32 x 32 positions, run as a map.

All were given as single patterns in an order that tells nothing, with the true scale to 0.5 %. The parameters of
friedel were chosen on other patterns. py4DSTEM 0.14.18 and pyxem 0.21 give a score per phase; the rule that makes
phases of scores (two thresholds, two ratios, which score, which treatment of the pattern) was fitted for each row of
the table on development patterns, which is more than a user could do. Settings and rule are in `bench/peers` and
`bench/identify_peers.py`. A dash stands for a program that was not run.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Which phases a program finds in patterns (n, 2), the seconds it took, and presence where it states one."""

    program: str
    present: Array
    seconds: float
    presence: Array | None = None

    def judge(self, test: CaseSet, keep: Array) -> Evaluation:
        """Compare some of the patterns with what is there."""
        stated = self.present if self.presence is None else self.presence
        return evaluate_presence(PHASES, stated[keep].astype(float), test.cases.there[keep])

    def false_naming(self, test: CaseSet) -> float:
        """Share of the foreign patterns that bear a name."""
        named = self.present[test.cases.is_foreign].any(axis=1)
        return float(named.mean()) if len(named) else np.nan


def line_of(test: CaseSet, answers: Sequence[Answer]) -> str:
    """Row of the table of one source, region and dose."""
    known = ~test.cases.is_foreign
    ours = answers[0].judge(test, known)
    cells = [SOURCES[test.source], REGIONS[test.where], f"{test.dose:,}", str(int(known.sum()))]
    cells += _by_program(answers, lambda a: a.judge(test, known).accuracy)
    cells += _by_program(answers, lambda a: a.judge(test, known).kappa)
    cells += [f"{score.f1:.2f}" for score in ours.phases]
    error = answers[0].judge(test, np.ones(len(known), dtype=bool)).reliability.calibration_error
    cells.append(f"{error:.3f}")
    cells += _by_program(answers, lambda a: a.false_naming(test))
    return "| " + " | ".join(cells) + " |"


def _in_order(answers: Sequence[Answer]) -> list[Answer | None]:
    """Answers in the order of the columns, None for programs that were left out."""
    by_name = {answer.program: answer for answer in answers}
    return [by_name.get(name) for name in PROGRAMS]


def _by_program(answers: Sequence[Answer], figure: Callable[[Answer], float]) -> list[str]:
    return [f"{figure(answer):.2f}" if answer else "–" for answer in _in_order(answers)]


def page_of(
    results: Sequence[tuple[CaseSet, Sequence[Answer]]], speed: dict[str, float], half: str, docs: Path
) -> None:
    """Write docs/bench/identification.md and its picture."""
    day = dt.datetime.now(tz=dt.UTC).date()
    made = (
        f"Made by `python bench/identify.py --held-out --write` on {day}, {half} patterns, one thread, "
        f"{platform.machine()}, Python {platform.python_version()}."
    )
    timed = (
        "Patterns per processor second on the same patterns (near [001], 1,000 electrons, two candidates), one program "
        "after the other on a machine with other work: quote the ratios."
    )
    lines = [
        "# How well phases are named",
        "",
        made,
        "",
        FOREWORD,
        "## By dose",
        "",
        "In each group friedel, py4DSTEM, pyxem; F1 and ECE are friedel's.",
        "",
        "| patterns | region | electrons | n | accuracy | | | kappa | | | F1 O3 | F1 O1 | ECE | foreign named | | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        "| | | | | friedel | py4DSTEM | pyxem | friedel | py4DSTEM | pyxem | | | | friedel | py4DSTEM | pyxem |",
        *(line_of(test, answers) for test, answers in results),
        "",
        f"## By thickness and mistilt, at {SHOWN_DOSE:,} electrons near [001]",
        "",
        *_by_condition(results),
        "",
        "## Speed",
        "",
        timed,
        "",
        "| program | patterns per processor second |",
        "|---|---|",
        *(f"| {name} | {value:.1f} |" for name, value in speed.items()),
        "",
        "## Is presence calibrated?",
        "",
        *_reliability(results, docs),
    ]
    (docs / "bench" / "identification.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _by_condition(results: Iterable[tuple[CaseSet, Sequence[Answer]]]) -> list[str]:
    lines = ["| patterns | condition | n | friedel | py4DSTEM | pyxem |", "|---|---|---|---|---|---|"]
    for test, answers in results:
        if test.where != "near" or test.dose != SHOWN_DOSE:
            continue
        columns = (
            (test.cases.thickness_nm, THICKNESS_NM, "nm thick"),
            (test.cases.tilt_mrad, TILT_MRAD, "mrad mistilt"),
        )
        crystalline = test.cases.there.any(axis=1)
        for values, edges, unit in columns:
            for low, high in itertools.pairwise(edges):
                keep = crystalline & (values >= low) & (values < high)
                accuracy = [
                    f"{answer.judge(test, keep).accuracy:.2f}" if answer else "–" for answer in _in_order(answers)
                ]
                name = f"{low} to {high} {unit}"
                lines.append(f"| {SOURCES[test.source]} | {name} | {int(keep.sum())} | {' | '.join(accuracy)} |")
    return lines


def _reliability(results: Sequence[tuple[CaseSet, Sequence[Answer]]], docs: Path) -> list[str]:
    presence = np.concatenate([np.asarray(answers[0].presence).ravel() for _, answers in results])
    there = np.concatenate([test.cases.there.ravel() for test, _ in results])
    found = reliability_of(presence, there)
    (docs / "pictures" / PICTURE).write_bytes(png_of(plot_reliability(found)))
    rows = zip(found.edges[:-1], found.edges[1:], found.n, found.promised, found.found, strict=True)
    return [
        f"All patterns above together; expected calibration error {found.calibration_error:.3f}.",
        "",
        f"![Share of patterns that hold the phase over the presence that friedel states](../pictures/{PICTURE})",
        "",
        "| presence | pairs of pattern and phase | mean presence | share where the phase is there |",
        "|---|---|---|---|",
        *(f"| {low:.1f} to {high:.1f} | {n} | {said:.2f} | {share:.2f} |" for low, high, n, said, share in rows),
    ]
