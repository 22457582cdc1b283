"""When several seeds decide a claim, and when they leave it open."""

import sys
from itertools import combinations
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from verdicts import HOW_DECIDED, decide, listed, mean_and_range

HIGH, LOW, BETWEEN = (0.6, 0.7, 0.65), (0.1, 0.2, 0.3), (0.25, 0.4, 0.62)


@pytest.mark.parametrize(
    ("ways", "verdict"),
    [
        ((HIGH, LOW), "Agrees"),
        ((LOW, HIGH), "Does not agree here"),
        ((HIGH, BETWEEN), "Open"),
        ((HIGH, HIGH), "Open"),
        ((HIGH[:2], LOW), "Open"),
        ((HIGH, (0.5, 0.4, 0.45), LOW), "Agrees"),
        ((HIGH, BETWEEN, LOW), "Open"),
        ((BETWEEN, LOW, HIGH), "Does not agree here"),
    ],
)
def test_a_claim_is_decided_only_where_all_seeds_of_one_way_are_above_all_of_the_other(ways, verdict):
    assert decide(*ways) == verdict


def test_without_a_difference_either_verdict_is_given_once_in_20_times():
    drawn = [(one, sorted(set(range(6)) - set(one))) for one in combinations(range(6), 3)]
    found = [decide(*ways) for ways in drawn]
    assert len(found) == 20
    assert found.count("Agrees") == found.count("Does not agree here") == 1
    assert "once in 20 times for either" in HOW_DECIDED


def test_a_single_seed_has_no_range():
    assert (mean_and_range([0.5]), mean_and_range(HIGH)) == ("0.50", "0.65 (0.60 to 0.70)")


def test_measures_are_listed_under_their_verdicts():
    verdicts = {"Dice": "Agrees", "IoU": "Open", "recall": "Agrees", "accuracy": "Agrees"}
    assert listed(verdicts) == "agrees by Dice, recall and accuracy; open by IoU"
