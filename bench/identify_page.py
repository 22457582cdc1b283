"""The page of the identification bench: tables and the reliability curves."""

from __future__ import annotations

import datetime as dt
import itertools
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from identify_cases import DOSES, PHASES, Array, CaseSet
from matplotlib.figure import Figure

from friedel.identify.metrics import Evaluation, evaluate_presence, reliability_of
from friedel.report.evaluation import plot_reliability
from friedel.report.style import png_of

REGIONS = {"near": "near [001]", "any": "any orientation", "map": "map, near [001]"}
SOURCES = {"own": "own", "abTEM": "multislice", "map": "multislice"}
#: Bins of thickness (nm) and mistilt (mrad), and the dose at which they are shown.
THICKNESS_NM, TILT_MRAD, SHOWN_DOSE = (0, 10, 20, 41), (0, 4, 8, 13), 1000
#: The rows whose reliability is drawn.
DRAWN = ("friedel", "friedel, counts")
PICTURE = "identification-reliability.png"
FOREWORD = """\
Patterns of 128 x 128 px with known phases; candidates are `nmc811-o3` and `nmc811-o1`; an answer is right if it is
exactly the set of phases that are there: none, O3, O1, or both. Accuracy, kappa and F1 count O3, O1, both along the
beam, amorphous carbon and vacuum; crystals that are no candidates (rock salt, spinel, Si, Cu and others) have a table
of their own.

- **own**: friedel's simulation, 300 kV. Near [001]: mistilt to 12 mrad, 5 to 40 nm, two-beam intensities. Any
  orientation: kinematic intensities as of a precessed beam. Gaussian spots, 5 to 25 % of the electrons in a halo.
- **multislice**: abTEM 1.0.11, 200 and 300 kV, thermal displacements, cells that differ from the candidates' by up to
  1.9 % in a and 5.2 % in c. Near [001]: mistilt to 12 mrad, 5 to 40 nm, layers of O3 and O1 for "both". Any
  orientation: half of them near a zone axis of low index, half at random, where often no more than two or three
  reflections light up, which no program can name.
{map}
All were given as single patterns in an order that tells nothing, those of one beam energy as one scan, with the true
scale to 0.5 %. The parameters of friedel were chosen on other patterns, one set for all rows. Look-alikes, the odds
before looking, what hexagons are weighed against and how much light the default asks for were changed, by those other
patterns, after an earlier state of this page had been seen; so was that patterns of a list take no light from one
another, as below 600 electrons the alike ones once did. Counts and lattices seek look-alikes beside the candidates,
here `limn2o4` and `nio`: the library has the spinel and rock salt of the own simulation; those of multislice have other
cells and compositions.
py4DSTEM 0.14.18 and pyxem 0.21 give a score per phase; the rule that makes phases and "none" of scores (two
thresholds, two ratios, which score, which treatment of the pattern) was fitted for each row and dose on development
patterns of that very kind, which is more than a user could do. Settings and rule are in `bench/peers` and
`bench/identify_rules.py`.

`friedel` is what `friedel map` does unless told otherwise: it takes hexagons or counts, as the scan suggests. The other
rows name a `--template`. The standard error of a share of 0.8 among 80 patterns is 0.04.
"""
MAP = """\
- **multislice, map**: positions of another such simulation of a cathode, not used for choosing anything either.
"""
OF_ALL = """\
As above, over all patterns: for crystals that are no candidates "none" is right. Here the rules of the other programs
were fitted on development patterns with such crystals among them."""
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
AHEAD = """\
Where a program other than friedel is ahead of what `friedel map` does unless told otherwise; an answer that is always
the same has kappa 0:"""
CAREFUL = """\
What `--min-probability` buys: accuracy among the patterns of the first table, and the share of crystals that are no
candidates that bear a name, by dose; all four kinds of patterns together, `friedel`. At 0.5, the default, most are
right; where a false name is worse than none, ask for more."""
FORCED = """\
Of patterns that hold a candidate, with "none" not allowed: where friedel says "none", the phase with the higher
presence; the rules of the other programs were fitted on development patterns that hold a candidate, and where they say
"none", the phase nearest its threshold is taken. Against the first table it tells apart who errs on the phase, and who
on whether there is enough to name one."""
SPEED = """\
Patterns per processor second on the same patterns (near [001], 1,000 electrons, two candidates), one program after the
other on a machine with other work: quote the ratios."""
ECE = """\
ECE is the expected calibration error of the presence that friedel states, over all patterns, foreign ones included; the
other programs state none."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Which phases a program finds in patterns (n, 2), and presence where it states one.

    ``forced`` are those that it names if it must name one, and ``warned`` those that it finds if its rule was fitted on
    patterns of which some are of foreign crystals.
    """

    program: str
    present: Array
    forced: Array
    presence: Array | None = None
    warned: Array | None = None

    def judge(self, test: CaseSet, keep: Array) -> Evaluation:
        """Compare some of the patterns with what is there."""
        stated = self.present if self.presence is None else self.presence
        return evaluate_presence(PHASES, stated[keep].astype(float), test.cases.there[keep])

    def accuracy(self, test: CaseSet) -> float:
        """Share of the patterns without foreign crystals whose set of phases is right."""
        return self.judge(test, ~test.cases.is_foreign).accuracy

    def accuracy_of_all(self, test: CaseSet) -> float:
        """Share of all patterns whose set of phases is right; that of foreign crystals is empty."""
        found = self.present if self.warned is None else self.warned
        return float((found == test.cases.there).all(axis=1).mean())

    def accuracy_of_names(self, test: CaseSet) -> float:
        """Share right of the patterns that hold a candidate, if one must be named."""
        holds = test.cases.there.any(axis=1)
        return float((self.forced == test.cases.there)[holds].all(axis=1).mean())

    def false_naming(self, test: CaseSet) -> float:
        """Share of the foreign patterns that bear a name."""
        named = self.present[test.cases.is_foreign].any(axis=1)
        return float(named.mean()) if len(named) else np.nan


Results = Sequence[tuple[CaseSet, Sequence[Answer]]]


def page_of(results: Results, speed: dict[str, float], half: str, docs: Path) -> None:
    """Write docs/bench/identification.md and its picture."""
    day = dt.datetime.now(tz=dt.UTC).date()
    made = (
        "Made by `python bench/identify.py --held-out --write`, with the programs and the truth that it names, on "
        f"{day}, {half} patterns, one thread, {platform.machine()}, Python {platform.python_version()}."
    )
    foreword = FOREWORD.format(map=MAP if any(test.source == "map" for test, _ in results) else "")
    lines = [
        *("# How well phases are named", "", made, "", foreword, "## Accuracy by dose", ""),
        "Electrons per pattern; the best of each column in bold.",
        *("", *_by_dose(results, Answer.accuracy, max), ""),
        *(AHEAD, ""),
        *_peers_ahead(results),
        *("", "## Accuracy where some crystals are no candidates", "", OF_ALL),
        *("", *_by_dose(results, Answer.accuracy_of_all, max), ""),
        *("## Accuracy where a candidate must be named", "", FORCED),
        *("", *_by_dose(results, Answer.accuracy_of_names, max), ""),
        *("## Crystals that are no candidates", ""),
        "Share that bear the name of a candidate, by dose; the least of each column in bold.",
        *("", *_by_dose(results, Answer.false_naming, min), "", "By crystal, all doses and regions together:", ""),
        *_by_crystal(results),
        *("", CAREFUL, "", *_by_threshold(results)),
        *("", f"## By thickness and mistilt, at {SHOWN_DOSE:,} electrons near [001]", ""),
        "Accuracy for patterns that hold O3, O1 or both.",
        *("", *_by_condition(results), "", "## Speed", ""),
        SPEED,
        *("", "| program | patterns per processor second |", "|---|---|"),
        *(f"| {name} | {value:.1f} |" for name, value in speed.items()),
        *("", "## Is presence calibrated?", "", *_reliability(results, docs)),
        *("", "## All figures", ""),
        ECE,
        *("", *table_of(results)),
    ]
    (docs / "bench" / "identification.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def table_of(results: Results) -> list[str]:
    """Table with every figure of every source, region, dose and program."""
    lines = [
        "| patterns | electrons | n | program | accuracy | kappa | F1 O3 | F1 O1 | foreign named | ECE |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for test, answers in results:
        known = ~test.cases.is_foreign
        for answer in answers:
            found = answer.judge(test, known)
            everything = answer.judge(test, np.ones(len(known), dtype=bool)).reliability.calibration_error
            cells = [_group(test), f"{test.dose:,}", str(int(known.sum())), answer.program]
            cells += [f"{value:.2f}" for value in (found.accuracy, found.kappa, *(score.f1 for score in found.phases))]
            cells += [f"{answer.false_naming(test):.2f}", f"{everything:.3f}" if answer.presence is not None else "–"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _group(test: CaseSet) -> str:
    return f"{SOURCES[test.source]}, {REGIONS[test.where]}"


def _programs(results: Results) -> list[str]:
    return list(dict.fromkeys(answer.program for _, answers in results for answer in answers))


def _by_dose(
    results: Results, figure: Callable[[Answer, CaseSet], float], best_of: Callable[[list[float]], float]
) -> list[str]:
    """Table of one figure: a row for each group of patterns and program, a column for each dose."""
    doses = [dose for dose in DOSES if any(test.dose == dose for test, _ in results)]
    lines = [f"| patterns | program | {' | '.join(f'{dose:,}' for dose in doses)} |", "|---" * (len(doses) + 2) + "|"]
    for group in dict.fromkeys(_group(test) for test, _ in results):
        values = {
            (test.dose, answer.program): round(figure(answer, test), 2)
            for test, answers in results
            if _group(test) == group
            for answer in answers
        }
        best = {dose: best_of([v for (d, _), v in values.items() if d == dose] or [np.nan]) for dose in doses}
        for program in _programs(results):
            cells = []
            for dose in doses:
                value = values.get((dose, program))
                shown = "–" if value is None else f"{value:.2f}"
                cells.append(f"**{shown}**" if value is not None and value == best[dose] else shown)
            lines.append(f"| {group} | {program} | {' | '.join(cells)} |")
    return lines


def _peers_ahead(results: Results) -> list[str]:
    """Where a peer has more right; and kappa, which takes away what the shares of the kinds give to any answer."""
    head = "| patterns | electrons | program | its accuracy | friedel | its kappa | friedel |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for test, answers in results:
        ours = next(answer for answer in answers if answer.program == "friedel")
        for answer in answers:
            if answer.presence is None and answer.accuracy(test) > ours.accuracy(test):
                row = [f"{one.accuracy(test):.2f}" for one in (answer, ours)]
                row += [f"{one.judge(test, ~test.cases.is_foreign).kappa:.2f}" for one in (answer, ours)]
                lines.append(f"| {_group(test)} | {test.dose:,} | {answer.program} | {' | '.join(row)} |")
    return lines if len(lines) > 2 else ["Nowhere in this table."]


def _by_crystal(results: Results) -> list[str]:
    programs = _programs(results)
    kinds = sorted({str(kind) for test, _ in results for kind in test.cases.kind[test.cases.is_foreign]})
    lines = [f"| crystal | n | {' | '.join(programs)} |", "|---" * (len(programs) + 2) + "|"]
    for kind in kinds:
        named: dict[str, list[Array]] = {program: [] for program in programs}
        for test, answers in results:
            for answer in answers:
                named[answer.program].append(answer.present[test.cases.kind == kind].any(axis=1))
        counts = [np.concatenate(parts) for parts in named.values()]
        lines.append(f"| {kind} | {len(counts[0])} | {' | '.join(f'{part.mean():.2f}' for part in counts)} |")
    return lines


def _by_threshold(results: Results) -> Iterator[str]:
    doses = [dose for dose in DOSES if any(test.dose == dose for test, _ in results)]
    columns = " | ".join(f"{dose:,}, {what}" for what in ("right", "falsely named") for dose in doses)
    yield f"| presence from | {columns} |"
    yield "|---" * (2 * len(doses) + 1) + "|"
    for least in THRESHOLDS:
        right: dict[int, list[Array]] = {dose: [] for dose in doses}
        named: dict[int, list[Array]] = {dose: [] for dose in doses}
        for test, answers in results:
            presence = next(np.asarray(answer.presence) for answer in answers if answer.program == "friedel")
            present: Array = presence >= least
            foreign = test.cases.is_foreign
            right[test.dose].append((present == test.cases.there).all(axis=1)[~foreign])
            named[test.dose].append(present.any(axis=1)[foreign])
        cells = [f"{np.concatenate(parts).mean():.2f}" for table in (right, named) for parts in table.values()]
        yield f"| {least:g} | {' | '.join(cells)} |"


def _by_condition(results: Results) -> Iterator[str]:
    programs = _programs(results)
    yield f"| patterns | condition | n | {' | '.join(programs)} |"
    yield "|---" * (len(programs) + 3) + "|"
    for test, answers in results:
        if test.where == "any" or test.dose != SHOWN_DOSE:
            continue
        columns = (
            (test.cases.thickness_nm, THICKNESS_NM, "nm thick"),
            (test.cases.tilt_mrad, TILT_MRAD, "mrad mistilt"),
        )
        crystalline = test.cases.there.any(axis=1)
        for values, edges, unit in columns:
            for low, high in itertools.pairwise(edges):
                keep = crystalline & (values >= low) & (values < high)
                accuracy = {answer.program: f"{answer.judge(test, keep).accuracy:.2f}" for answer in answers}
                cells = " | ".join(accuracy.get(program, "–") for program in programs)
                yield f"| {_group(test)} | {low} to {high} {unit} | {int(keep.sum())} | {cells} |"


def _reliability(results: Results, docs: Path) -> list[str]:
    there = np.concatenate([test.cases.there.ravel() for test, _ in results])
    drawn = [name for name in DRAWN if name in _programs(results)]
    figure = Figure(figsize=(4.2 * len(drawn), 3.8), layout="constrained")
    lines = ["| program | presence | pairs of pattern and phase | mean presence | share where the phase is there |"]
    lines.append("|---|---|---|---|---|")
    for name, ax in zip(drawn, np.atleast_1d(figure.subplots(1, len(drawn))), strict=True):
        stated = [np.asarray(a.presence).ravel() for _, answers in results for a in answers if a.program == name]
        found = reliability_of(np.concatenate(stated), there)
        plot_reliability(found, ax).set_title(f"{name}: expected calibration error {found.calibration_error:.3f}")
        rows = zip(found.edges[:-1], found.edges[1:], found.n, found.promised, found.found, strict=True)
        lines += [f"| {name} | {a:.1f} to {b:.1f} | {n} | {said:.2f} | {share:.2f} |" for a, b, n, said, share in rows]
    (docs / "pictures" / PICTURE).write_bytes(png_of(figure))
    return [
        "All patterns above together, those of crystals that are no candidates included.",
        *(
            "",
            f"![Share of patterns that hold the phase over the presence that friedel states](../pictures/{PICTURE})",
            "",
        ),
        *lines,
    ]
