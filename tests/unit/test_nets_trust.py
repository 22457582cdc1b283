"""When spots count is chosen so that most are found, and few where there is no crystal of any kind."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from friedel.nets.scoring import FALSE, HIT
from friedel.nets.training.generator import AMORPHOUS, CRYSTAL, NOISE, VACUUM
from friedel.nets.training.trust import MAX_FALSE, Judged, choose_points, join


def _judged(patterns, electrons=1000.0):
    """Patterns as (kind, number of wanted spots, heights of the true maxima, heights of the false ones)."""
    rows = [(i, height, verdict) for i, (_, _, true, false) in enumerate(patterns)
            for verdict, heights in ((HIT, true), (FALSE, false)) for height in heights]  # fmt: skip
    pattern, height, verdict = np.array(rows).reshape(-1, 3).T
    return Judged(
        pattern.astype(int), height, verdict.astype(int), np.full(len(patterns), electrons),
        np.array([p[1] for p in patterns]), np.array([p[0] for p in patterns]),
    )  # fmt: skip


def _point(judged, electrons=1000.0):
    return next(point for point in choose_points(judged) if point.electrons == electrons)


def test_faint_maxima_are_taken_where_a_sure_one_tells_a_crystal_from_film() -> None:
    crystals = [(CRYSTAL, 3, (0.8, 0.12, 0.11), ())] * 20
    film = [(AMORPHOUS, 0, (), (0.35, 0.3))] * 20
    point = _point(_judged(crystals + film))
    assert point.threshold < 0.11
    assert 0.35 < point.sure <= 0.8


def test_every_kind_without_a_crystal_is_kept_free_of_spots() -> None:
    crystals = [(CRYSTAL, 1, (0.5,), ())] * 20
    quiet = [(kind, 0, (), ()) for kind in (VACUUM, AMORPHOUS) for _ in range(300)]
    for false in (1, 2, 3, 4):
        noise = [(NOISE, 0, (), (0.6,))] * false + [(NOISE, 0, (), ())] * (100 - false)
        share = false / 100
        at_most = share + (share * (1 - share) / 100) ** 0.5
        assert (_point(_judged(crystals + quiet + noise)).sure > 0.6) == (at_most > MAX_FALSE)


def test_patterns_choose_for_as_many_electrons_as_they_show() -> None:
    film = [(AMORPHOUS, 0, (), ())] * 5
    bright = _judged([(CRYSTAL, 1, (0.9,), (0.25,))] * 5 + film, electrons=8000.0)
    dim = _judged([(CRYSTAL, 1, (0.15,), ())] * 5 + film, electrons=20.0)
    both = join([bright, dim])
    assert _point(both, 10000.0).threshold > 0.25 or _point(both, 10000.0).sure > 0.25
    assert _point(both, 30.0).threshold <= 0.15
    assert _point(both, 300.0) == _point(dim, 300.0)
