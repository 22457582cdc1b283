"""What the report of a scan says in numbers does not contradict what it says in words."""

from __future__ import annotations

import pytest

from friedel.pipeline.scans.report import presence_text


@pytest.mark.parametrize(
    ("presence", "threshold", "text"),
    [(0.4971, 0.5, "0.497"), (0.5, 0.5, "0.50"), (0.7951, 0.8, "0.795"), (0.4999999, 0.5, "0.4999999"),
     (0.94, 0.5, "0.94"), (1.0, 0.5, "1.00"), (0.0, 0.5, "0.00")],
)  # fmt: skip
def test_presence_is_shown_on_its_side_of_the_threshold(presence: float, threshold: float, text: str) -> None:
    assert presence_text(presence, threshold) == text
