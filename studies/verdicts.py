"""What the seeds of a comparison say of a claim: that it holds, that it does not, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Literal, get_args

import numpy as np

#: Seeds of each way from which on a verdict is given: without a difference 3 lie all above 3 others once in 20 times,
#: and as often all below.
ENOUGH = 3
Verdict = Literal["Agrees", "Does not agree here", "Open"]


def decide(*ways: Sequence[float]) -> Verdict:
    """Judge the claim that each way is better than those after it, from the values that its seeds reach.

    One way is better than another where its worst seed is better than the other's best. The claim agrees if that is so
    of all neighbours, and does not if any way is better than one that is claimed to be so. All else is open, and so is
    whatever has fewer seeds than ``ENOUGH``.
    """
    if min(map(len, ways)) < ENOUGH:
        return "Open"
    if any(min(worse) > max(better) for better, worse in combinations(ways, 2)):
        return "Does not agree here"
    if all(min(better) > max(worse) for better, worse in pairwise(ways)):
        return "Agrees"
    return "Open"


def listed(verdicts: Mapping[str, Verdict], word: str = "by") -> str:
    """Say which of several comparisons came out how, as "agrees by Dice and IoU; open by recall"."""
    names = {v: [name for name, found in verdicts.items() if found == v] for v in get_args(Verdict)}
    return "; ".join(f"{v.lower()} {word} {_series(which)}" for v, which in names.items() if which)


def _series(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def mean_and_range(values: Sequence[float], digits: int = 2) -> str:
    """Mean of what several seeds reach, and the range if there is one to be seen."""
    mean, least, most = (f"{v:.{digits}f}" for v in (np.mean(values), min(values), max(values)))
    return mean if least == most else f"{mean} ({least} to {most})"


def seeds_text(number: int) -> str:
    """Which seeds a page is from."""
    return "Seed 0" if number == 1 else f"Seeds 0 to {number - 1}"


HOW_DECIDED = (
    f"A verdict needs {ENOUGH} seeds of each way, all of one better than all of the other, which without a difference "
    "happens once in 20 times for either; all else is called open. It tells of other seeds, not of other FFTs."
)
