"""Phases that nobody asked for do not take the names of those that somebody did."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from friedel.core.arrays import BoolArray
from friedel.core.beam import Beam
from friedel.core.errors import CrystalError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.crystal import load_phases
from friedel.identify.counts.hypotheses import hypotheses_of
from friedel.identify.counts.matching import CountOptions
from friedel.identify.counts.presence import kinds_of, sum_over_phases
from friedel.pipeline.region import find_region
from friedel.pipeline.scans.choices import Template
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.lookalikes import lookalike_warnings, sought_phases
from friedel.pipeline.scans.report import scan_sections
from friedel.pipeline.scans.result import HexagonFindings, LatticeFindings, ScanOptions, ScanResult
from friedel.pipeline.scans.road import analyse_scan
from friedel.simulate.patterns.diffraction import diffract, orient
from friedel.simulate.patterns.noise import Noise, expose
from friedel.simulate.patterns.render import SpotShape, render

CATHODE = load_phases(["nmc811-o3", "nmc811-o1"])
BEAM, GRID = Beam(300.0, 0.8), ReciprocalGrid((0.0185, 0.0185), (55.5, 55.5), relative_sigma=0.005)
#: What is at each position: layered oxide along its layers, and spinel along [111].
CRYSTALS = [("nmc811-o3", (0, 0, 1)), ("limn2o4", (1, 1, 1))] * 8
IS_SPINEL = np.arange(len(CRYSTALS)) % 2 == 1


@cache
def cathode_with_spinel() -> PatternScan:
    rng, drawn = np.random.default_rng(4), []
    noise = Noise(4000, halo_share=0.15, halo_width_inv_a=0.15)
    for i, (name, uvw) in enumerate(CRYSTALS):
        crystal = orient(load_phases([name]).crystals[0], uvw, 1.2)
        tilt = (4.0 * np.cos(i), 4.0 * np.sin(i))
        spots = diffract(crystal, BEAM, thickness_a=120.0 + 15.0 * i, rotation_rad=0.3 * i, tilt_mrad=tilt)
        drawn.append(expose(render(spots, GRID, (112, 112), SpotShape.of(BEAM, 0.8)), noise, GRID, rng))
    return PatternScan(np.stack(drawn)[:, None], GRID, None, BEAM)


@cache
def mapped(template: Template, lookalikes: str) -> ScanResult:
    options = ScanOptions(template=template, lookalikes=lookalikes, counts=CountOptions(spacing_deg=5.0, per_phase=6))
    return analyse_scan(cathode_with_spinel(), CATHODE, options)


def share_named(result: ScanResult, where: BoolArray) -> float:
    return float((result.phase_map.labels()[where, 0] != 0).mean())


@pytest.mark.parametrize("template", ["hexagon", "counts", "lattice"])
def test_spinel_is_none_where_nobody_asked_for_it(template: Template) -> None:
    assert share_named(mapped(template, "auto"), IS_SPINEL) <= 0.13
    assert share_named(mapped(template, "auto"), ~IS_SPINEL) >= 0.85


def test_spinel_is_taken_for_a_layered_oxide_if_it_is_not_sought() -> None:
    """What look-alikes are for: along [111] its {440} lie on the ring {110} of O3."""
    assert share_named(mapped("lattice", "none"), IS_SPINEL) >= 0.6


def test_what_was_taken_for_a_lookalike_is_told() -> None:
    told = [w for w in mapped("counts", "auto").warnings if "limn2o4" in w]
    assert len(told) == 1
    assert "not among the phases" in told[0]
    n, n_positions = map(int, re.findall(r"at (\d+) of (\d+) positions", told[0])[0])
    assert n == pytest.approx(IS_SPINEL.sum(), abs=1)
    assert n_positions == len(CRYSTALS)
    there = mapped("counts", "auto").is_lookalike
    assert there is not None
    assert there.sum() == n
    assert there[IS_SPINEL].sum() >= n - 1
    assert not any("limn2o4" in w for w in mapped("counts", "none").warnings)


def test_a_lookalike_beside_a_phase_counts_and_positions_that_are_not_valid_do_not() -> None:
    sought = sought_phases(CATHODE, ScanOptions(lookalikes="nio"), "counts")
    presence = np.array([[0.9, 0.0, 0.8], [0.1, 0.0, 0.9], [0.0, 0.1, 0.2], [0.0, 0.0, 0.9]])
    (told,) = lookalike_warnings(sought, 2, presence, np.array([[True, True], [True, False]]))
    assert told.startswith("nio, which is not among the phases, is likely at 2 of 3 positions; where none of the")


def test_the_report_says_what_was_sought_too() -> None:
    result = mapped("counts", "auto")
    region = find_region((len(CRYSTALS), 1), None, None)
    tables = scan_sections(result, region, result.survey.annular, 0.5)[-1]
    assert result.lookalikes == ("limn2o4", "nio")
    assert any("limn2o4, nio" in text for text in tables.paragraphs)


@pytest.mark.parametrize("template", ["hexagon", "counts", "lattice"])
def test_findings_are_those_of_the_phases_asked_for(template: Template) -> None:
    result, n = mapped(template, "limn2o4"), len(CATHODE)
    found = result.found
    assert (result.phase_map.phases, result.lookalikes) == (CATHODE.names, ("limn2o4",))
    if isinstance(found, HexagonFindings):
        assert {zone.phase for zone in found.zones} == set(range(n)) == set(found.rings.phase.tolist())
        assert found.evidence.share.shape[1] == len(found.zones)
    elif isinstance(found, LatticeFindings):
        assert {template.phase for template in found.templates} == set(range(n))
        assert found.uvw.shape[1] == found.rotation_deg.shape[1] == n
        assert set(found.spot_phase.tolist()) <= {-1, 0, 1}
    else:
        assert isinstance(found, CountFindings)
        evidence = found.evidence
        assert found.plan.phases is CATHODE
        assert evidence.features.shape[1] == found.posterior.shape[1] == len(hypotheses_of(n))
        np.testing.assert_allclose(found.posterior.sum(axis=1), 1.0)
        np.testing.assert_allclose(
            sum_over_phases(found.posterior), result.phase_map.presence.reshape(-1, n), atol=1e-6
        )
        assert [c.shape[1] for c in (evidence.single, evidence.pair, evidence.frame, found.strain)] == [n, 1, n, n]
        assert set(found.spot_phase.tolist()) <= {-1, 0, 1}


def test_a_lookalike_is_less_likely_than_a_phase_before_looking() -> None:
    sought = sought_phases(CATHODE, ScanOptions(lookalikes="nio"), "hexagon")
    assert sought.names == (*CATHODE.names, "nio")
    np.testing.assert_allclose(sought.priors, np.array([1.0, 1.0, 0.3]) / 2.3)
    assert sought_phases(CATHODE, ScanOptions(lookalikes="none"), "counts") is CATHODE
    assert sought_phases(CATHODE, ScanOptions(), "hexagon") is CATHODE
    assert sought_phases(CATHODE, ScanOptions(), "lattice").names == (*CATHODE.names, "limn2o4", "nio")


def test_explanations_are_as_likely_as_their_phases_before_looking() -> None:
    kind, log_share = kinds_of(7, (0.5, 0.3, 0.2))
    np.testing.assert_array_equal(kind, [0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(np.exp(log_share), [1, 0.5, 0.3, 0.2, 15 / 31, 10 / 31, 6 / 31])


def test_a_phase_cannot_be_its_own_lookalike() -> None:
    with pytest.raises(CrystalError, match="nmc811-o1 cannot be a phase and a look-alike"):
        sought_phases(CATHODE, ScanOptions(lookalikes="nio,nmc811-o1"), "counts")
