"""Wavelengths against tables, and every spelling of a unit that files hold."""

from __future__ import annotations

import pytest

from friedel.core import units
from friedel.core.beam import Beam
from friedel.core.errors import CalibrationError


@pytest.mark.parametrize(
    ("energy_kev", "tabulated_a"),
    [(80.0, 0.041757), (100.0, 0.037014), (200.0, 0.025079), (300.0, 0.019687)],
)
def test_wavelength_is_that_of_the_tables(energy_kev: float, tabulated_a: float) -> None:
    assert Beam(energy_kev).wavelength_a == pytest.approx(tabulated_a, abs=6e-7)


@pytest.mark.parametrize(("energy_kev", "tabulated"), [(100.0, 1.196), (200.0, 1.391), (300.0, 1.587)])
def test_relativistic_mass_is_that_of_the_tables(energy_kev: float, tabulated: float) -> None:
    # Williams and Carter, Transmission Electron Microscopy, 2nd ed., table 1.2.
    assert Beam(energy_kev).gamma == pytest.approx(tabulated, abs=6e-4)


@pytest.mark.parametrize("energy_kev", [0.2, 200e3, float("nan")])
def test_energy_in_ev_or_mev_is_caught(energy_kev: float) -> None:
    with pytest.raises(CalibrationError, match=r"keV.*--energy-kev"):
        Beam(energy_kev)


def test_convergence_in_degrees_or_rad_by_mistake_is_caught() -> None:
    with pytest.raises(CalibrationError, match="mrad"):
        Beam(200.0, semi_convergence_mrad=-1.0)


@pytest.mark.parametrize(
    ("spelling", "in_angstrom"),
    [
        ("nm", 10.0), (" nm ", 10.0), ("NM", 10.0), ("nanometers", 10.0), ("A", 1.0), ("Å", 1.0),
        ("\N{ANGSTROM SIGN}", 1.0), ("Angstrom", 1.0), ("angstroms", 1.0), ("ang", 1.0), ("pm", 0.01),
        ("µm", 1e4), ("\N{GREEK SMALL LETTER MU}m", 1e4), ("um", 1e4), ("micron", 1e4), ("mm", 1e7), ("cm", 1e8),
        ("m", 1e10), ("meters", 1e10),
    ],
)  # fmt: skip
def test_lengths_become_angstrom(spelling: str, in_angstrom: float) -> None:
    assert units.is_length(spelling)
    assert units.length_a(3.0, spelling) == pytest.approx(3.0 * in_angstrom, rel=1e-12)


@pytest.mark.parametrize(
    ("spelling", "per_angstrom"),
    [
        ("1/nm", 0.1), ("nm^-1", 0.1), ("nm-1", 0.1), ("nm⁻¹", 0.1), ("nm**-1", 0.1), ("nm\N{MINUS SIGN}1", 0.1),
        ("1 / nm", 0.1), ("1/(nm)", 0.1), ("nm^{-1}", 0.1), ("inverse nanometers", 0.1), ("1/Å", 1.0), ("1/A", 1.0),
        ("\N{ANGSTROM SIGN}^-1", 1.0), ("Å⁻¹", 1.0), ("$A^{-1}$", 1.0), ("A^-1_pixel", 1.0), ("1/angstrom", 1.0),
        ("1/pm", 100.0), ("1/µm", 1e-4), ("1/m", 1e-10),
    ],
)  # fmt: skip
def test_reciprocal_lengths_become_inverse_angstrom(spelling: str, per_angstrom: float) -> None:
    assert units.is_reciprocal_length(spelling)
    assert not units.is_length(spelling)
    assert units.reciprocal_length_inv_a(3.0, spelling) == pytest.approx(3.0 * per_angstrom, rel=1e-12)


def test_reciprocal_length_is_the_inverse_of_the_length() -> None:
    for unit in ("m", "mm", "um", "nm", "A", "pm"):
        assert units.reciprocal_length_inv_a(1.0 / 7.0, f"1/{unit}") == pytest.approx(1.0 / units.length_a(7.0, unit))


@pytest.mark.parametrize(
    ("spelling", "in_mrad"),
    [("mrad", 1.0), ("rad", 1e3), ("radians", 1e3), ("µrad", 1e-3), ("deg", 17.4532925), ("°", 17.4532925),
     ("degrees", 17.4532925)],
)  # fmt: skip
def test_angles_become_mrad(spelling: str, in_mrad: float) -> None:
    assert units.is_angle(spelling)
    assert units.angle_mrad(2.0, spelling) == pytest.approx(2.0 * in_mrad, rel=1e-8)


@pytest.mark.parametrize(
    ("spelling", "in_s"),
    [("s", 1.0), ("sec", 1.0), ("Seconds", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9), ("min", 60.0)],
)
def test_times_become_seconds(spelling: str, in_s: float) -> None:
    assert units.is_time(spelling)
    assert units.time_s(2.0, spelling) == pytest.approx(2.0 * in_s, rel=1e-12)


@pytest.mark.parametrize("unit", ["px", "", "furlong", "1/s", "mrad/px"])
def test_what_is_no_unit_is_none(unit: str) -> None:
    kinds = (units.is_length, units.is_reciprocal_length, units.is_angle, units.is_time)
    assert not any(kind(unit) for kind in kinds)


def test_error_names_the_unit_and_what_was_wanted() -> None:
    with pytest.raises(CalibrationError, match="'px' is not a unit of length"):
        units.length_a(1.0, "px")
    with pytest.raises(CalibrationError, match="'nm' is not a reciprocal length"):
        units.reciprocal_length_inv_a(1.0, "nm")
    with pytest.raises(CalibrationError, match="'1/s' is not a unit of reciprocal length"):
        units.reciprocal_length_inv_a(1.0, "1/s")
    with pytest.raises(CalibrationError, match="'nm' is not a unit of angle"):
        units.angle_mrad(1.0, "nm")
