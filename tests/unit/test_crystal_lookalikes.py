"""Phases that could be taken for others, from the library."""

from __future__ import annotations

import pytest

from friedel.crystal import load_phases, load_shipped_phases, lookalikes_of, restacked_of


def names_beside(*asked: str) -> list[str]:
    return [crystal.name for crystal in lookalikes_of(load_phases(asked))]


def test_spinel_and_rock_salt_look_like_layered_oxides() -> None:
    assert names_beside("nmc811-o3", "nmc811-o1") == ["limn2o4", "nio"]


@pytest.mark.parametrize(
    ("asked", "stacked"),
    [("nmc811-o3", ["nmc811-o1"]), ("nmc811-o1", ["nmc811-h1"]), ("linio2", ["nmc811-o1"]), ("licoo2", ["nmc811-o1"])],
)
def test_the_same_layers_stacked_otherwise_look_alike(asked: str, stacked: list[str]) -> None:
    """O1 is O3 without its lithium, and layers of nickel dioxide are as wide with some manganese and cobalt in them."""
    assert [crystal.name for crystal in restacked_of(load_phases([asked]))] == stacked
    assert restacked_of(load_phases(["nmc811-o3", "nmc811-o1"])) == ()


def test_layers_of_the_library_are_those_of_the_layered_oxides_alone() -> None:
    """Graphite and boron nitride have like edges, gallium and aluminium nitride share nitrogen: neither is enough."""
    stacked = {crystal.name: restacked_of(load_phases([crystal.name])) for crystal in load_shipped_phases()}
    oxides = {"nmc811-o3", "nmc811-h1", "nmc811-h2", "nmc811-h3", "nmc811-o1", "linio2", "licoo2"}
    assert {name for name, found in stacked.items() if found} == oxides
    assert restacked_of(load_phases(["graphite", "bn", "co", "aln", "gan", "zno", "mos2"])) == ()


def test_a_phase_under_another_name_is_no_lookalike() -> None:
    """CoO has the lattice of NiO within 2 %, and LiNiO2 that of NMC811."""
    assert not {"nio", "coo"} & set(names_beside("nmc811-o3", "nmc811-o1", "nio"))
    assert "linio2" not in names_beside("nmc811-o3")


def test_elements_are_lookalikes_only_beside_an_element() -> None:
    assert names_beside("fe", "feo") == ["austenite"]
    assert "fe" not in names_beside("lifepo4", "feo")


def test_other_elements_are_left_out() -> None:
    assert names_beside("li", "lif") == []


def test_beside_six_fold_phases_only_such_are_taken() -> None:
    """MnO2 (tetragonal) and Li2O2 have spacings of layered oxides, Li2O2 alone a six-fold axis."""
    beside = [crystal.crystal_system for crystal in lookalikes_of(load_phases(["linio2", "nio", "limn2o4"]))]
    assert set(beside) <= {"cubic", "trigonal", "hexagonal"}
