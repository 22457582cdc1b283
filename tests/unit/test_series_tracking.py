"""Spots linked through the windows of a series."""

from __future__ import annotations

import numpy as np

from friedel.core.spots import Spots
from friedel.identify.series.tracking import link_spots


def spots(k: list[tuple[float, float]], snr: list[float] | None = None) -> Spots:
    n = len(k)
    at = np.array(k, dtype=float).reshape(n, 2)
    return Spots(at, np.full((n, 2), 0.001), np.ones(n), np.array(snr or [10.0] * n), np.array([0, n]))


def test_spot_keeps_its_track_while_it_moves_and_flips_to_its_friedel_mate():
    found = [spots([(0.3, 0.2), (0.1, -0.4)]), spots([(-0.306, -0.203), (0.1, -0.402)]), spots([(0.312, 0.206)])]
    tracks = link_spots(found)
    assert len(tracks) == 2
    assert tracks.track.tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_allclose(tracks.k_inv_a[tracks.sightings(0)], [(0.3, 0.2), (0.306, 0.203), (0.312, 0.206)])


def test_what_is_out_of_reach_begins_a_track_and_what_returns_goes_on_with_its_own():
    tracks = link_spots([spots([(0.3, 0.2)]), spots([(0.34, 0.2)]), spots([]), spots([(0.301, 0.2), (0.34, 0.2)])])
    assert tracks.track.tolist() == [0, 1, 0, 1]
    assert tracks.window.tolist() == [0, 1, 3, 3]
    assert tracks.row.tolist() == [0, 0, 0, 1]


def test_two_spots_within_reach_of_one_go_to_the_nearest_and_a_new_track():
    tracks = link_spots([spots([(0.3, 0.0)]), spots([(0.306, 0.0), (0.302, 0.0)])])
    assert tracks.track.tolist() == [0, 1, 0]


def test_brightest_sighting_stands_for_a_track():
    tracks = link_spots([spots([(0.3, 0.0)], [5.0]), spots([(0.301, 0.0)], [9.0]), spots([(0.302, 0.0)], [7.0])])
    assert tracks.brightest().tolist() == [1]


def test_places_between_windows_are_interpolated_and_held_outside():
    tracks = link_spots([spots([]), spots([(0.300, 0.1)]), spots([(0.304, 0.1)]), spots([])])
    for window, ky in ((0.0, 0.300), (1.5, 0.302), (3.0, 0.304)):
        np.testing.assert_allclose(tracks.positions_at(window), [(ky, 0.1)])


def test_series_without_spots_has_no_tracks():
    tracks = link_spots([spots([]), spots([])])
    assert (len(tracks), tracks.n_windows) == (0, 2)
    assert tracks.brightest().shape == (0,)
    assert tracks.positions_at(0.5).shape == (0, 2)
