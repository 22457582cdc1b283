"""From a micrograph to components and maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.crystal import load_phases
from friedel.identify.grains.components import ComponentOptions, map_micrograph
from friedel.identify.grains.spacings import match_spacings, phase_spacings
from friedel.simulate.micrographs.micrograph import SEI_PHASES, sei_micrograph

SEI = load_phases(SEI_PHASES)


@pytest.fixture(scope="module")
def demo():
    micrograph, truth = sei_micrograph(0)
    return micrograph, truth, map_micrograph(micrograph, SEI, ComponentOptions(max_spots=50))


def test_published_radius_of_li_011_follows_from_pixel_size_and_number_of_pixels():
    assert pytest.approx(2.481, abs=5e-4) == 0.37 * 4096 / 610.8


def test_spots_of_the_published_table_share_one_scale_error():
    found = match_spacings(np.array([2.41641, 2.62746, 1.59336]), np.full(3, 0.002), phase_spacings(SEI, 1.0),
                           scale_sigma=0.015, range_a=(1.0, 5.0))  # fmt: skip
    assert [int(np.argmax(row)) for row in found.posterior] == [0, 2, 2]
    assert 1.005 < found.scale < 1.026
    nominal = match_spacings(np.array([2.41641]), np.array([0.002]), phase_spacings(SEI, 1.0),
                             scale_sigma=0.0, range_a=(1.0, 5.0))  # fmt: skip
    assert nominal.names != ("li",)


def test_li_011_and_li2co3_020_are_not_told_apart_by_one_spot():
    found = match_spacings(np.array([2.4845]), np.array([0.001]), phase_spacings(SEI, 1.0),
                           scale_sigma=0.01, range_a=(1.0, 5.0))  # fmt: skip
    assert found.names == ("li|li2co3",)


@pytest.mark.parametrize("phase", SEI_PHASES)
def test_each_phase_of_the_demonstration_is_found_mostly_where_it_is(demo, phase):
    _, truth, result = demo
    i = SEI_PHASES.index(phase)
    is_there, named = truth.presence[..., i] > 0.5, result.phase_map.presence[..., i] >= 0.5
    assert (is_there & named).sum() > 0.6 * is_there.sum()
    assert (is_there & named).sum() > 0.4 * named.sum()


def test_scale_of_the_demonstration_is_fitted_to_a_few_permille(demo):
    assert demo[2].match.scale == pytest.approx(1, abs=0.004)


def test_named_components_deviate_by_less_than_two_percent(demo):
    rows = [row for row in demo[2].components if "|" not in row.phase and np.isfinite(row.deviation_percent)]
    assert len(rows) >= 6
    assert max(abs(row.deviation_percent) for row in rows) < 2


def test_every_spot_belongs_to_one_component(demo):
    result = demo[2]
    assert sorted(i for row in result.components for i in row.spots) == list(range(len(result.spots)))
    assert sum(row.n_spots for row in result.components) == len(result.spots)


def test_error_of_a_spacing_holds_that_of_the_scale(demo):
    for row in demo[2].components:
        assert row.d_sigma_a >= 0.015 * row.d_measured_a


def test_row_has_the_promised_columns(demo):
    assert list(demo[2].components[0].as_row()) == [
        "frame", "phase", "hkl", "d_measured_a", "d_sigma_a", "d_reference_a", "deviation_percent", "probability",
        "n_spots", "feature_size_px", "intensity",
    ]  # fmt: skip


def test_wrong_pixel_size_is_noticed_and_does_not_change_the_names(demo):
    micrograph, _, result = demo
    again = map_micrograph(replace(micrograph, grid=RealGrid((0.376, 0.376))), SEI, ComponentOptions(max_spots=30))
    assert again.match.scale == pytest.approx(0.37 / 0.376, abs=0.004)
    apart = np.hypot(*(again.spots.k_inv_a[:, None] * 0.376 / 0.37 - result.spots.k_inv_a).transpose(2, 0, 1))
    leading, before = again.match.posterior.argmax(axis=1), result.match.posterior.argmax(axis=1)[apart.argmin(axis=1)]
    assert len(leading) == 30
    assert np.mean(leading == before) > 0.8


def test_unlisted_phases_are_unknown_not_the_nearest():
    micrograph, _ = sei_micrograph(4, (512, 512))
    found = map_micrograph(replace(micrograph, grid=RealGrid((0.37, 0.37), relative_sigma=0.002)), load_phases(["cu"]))
    explained = [name for name in found.match.names if name != "unknown"]
    assert len(explained) <= 0.35 * len(found.match.names)
    assert any("none of the phases" in text for text in found.warnings)


def test_names_of_a_few_among_many_unknown_spots_are_doubted(demo):
    micrograph, _, whole = demo
    few = map_micrograph(micrograph, load_phases(["li"]), ComponentOptions(max_spots=50))
    assert few.phase_map.fractions()["li"] > 0.0
    assert any("doubt what is named" in text for text in few.warnings)
    assert not any("doubt what is named" in text for text in whole.warnings)


def test_noise_alone_gives_an_empty_map_and_says_so():
    noise = Micrograph(np.random.default_rng(0).poisson(50, (300, 260)), RealGrid((0.37, 0.37)))
    result = map_micrograph(noise, SEI, ComponentOptions(false_alarms=0.01))
    assert len(result.spots) == 0
    assert result.components == ()
    assert not result.phase_map.presence.any()
    assert "No spot" in result.warnings[0]


def test_same_image_twice_gives_the_same_result():
    micrograph, _ = sei_micrograph(5, (320, 400))
    first, second = (map_micrograph(micrograph, SEI, ComponentOptions(max_spots=8)) for _ in range(2))
    np.testing.assert_array_equal(first.phase_map.presence, second.phase_map.presence)
    assert first.components == second.components


def test_map_of_a_large_image_is_on_a_coarser_calibrated_grid():
    micrograph, _ = sei_micrograph(6, (300, 300))
    wide = Micrograph(np.tile(micrograph.data, (1, 5)), micrograph.grid)
    result = map_micrograph(wide, SEI, ComponentOptions(max_spots=5))
    assert result.step_px == 2
    assert result.phase_map.presence.shape == (150, 750, 4)
    assert result.phase_map.grid is not None
    assert result.phase_map.grid.step_a == pytest.approx((0.74, 0.74))


def test_simulation_is_repeatable_and_has_the_stated_dose():
    first, second = (sei_micrograph(7, (256, 256))[0] for _ in range(2))
    np.testing.assert_array_equal(first.data, second.data)
    assert first.data.mean() == pytest.approx(400 * 0.37**2, rel=0.02)
