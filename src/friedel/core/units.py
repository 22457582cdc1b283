"""The one place where units are converted: lengths to Å, reciprocal lengths to 1/Å, angles to mrad, times to s."""

from __future__ import annotations

from friedel.core.errors import CalibrationError

_LENGTH_A = {"m": 1e10, "cm": 1e8, "mm": 1e7, "um": 1e4, "nm": 10.0, "a": 1.0, "angstrom": 1.0, "pm": 0.01}
_ANGLE_MRAD = {"rad": 1e3, "mrad": 1.0, "urad": 1e-3, "deg": 17.453292519943295}
_TIME_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}


def _plain(unit: str) -> str:
    """Fold the spellings of a unit found in files into one: ``Å`` -> ``a``, ``µm`` -> ``um``, ``nm^-1`` -> ``1/nm``."""
    text = unit.replace("$", "").strip().replace("\N{ANGSTROM SIGN}", "A").replace("Å", "A")
    text = text.replace("µ", "u").replace("μ", "u").replace("−", "-").replace("⁻¹", "^-1").replace(" ", "")
    for tail in ("^-1", "**-1", "^{-1}", "-1"):
        if text.endswith(tail):
            text = "1/" + text.removesuffix(tail)
    text = text.replace("1/(", "1/").removesuffix(")").lower()
    aliases = {
        "1/ang": "1/a", "ang": "a", "angstroms": "a", "1/angstroms": "1/a", "1/angstrom": "1/a", "å": "a", "1/å": "1/a",
        "micron": "um", "microns": "um", "nanometer": "nm", "nanometers": "nm", "meter": "m", "meters": "m",
        "a^-1_pixel": "1/a", "sec": "s", "seconds": "s", "second": "s", "radians": "rad", "degrees": "deg", "°": "deg",
        "inversenanometers": "1/nm",
    }  # fmt: skip
    return aliases.get(text, text)


def is_length(unit: str) -> bool:
    """Tell whether the unit is a length, such as nm."""
    return _plain(unit) in _LENGTH_A


def is_reciprocal_length(unit: str) -> bool:
    """Tell whether the unit is a reciprocal length, such as 1/nm."""
    plain = _plain(unit)
    return plain.startswith("1/") and plain[2:] in _LENGTH_A


def is_angle(unit: str) -> bool:
    """Tell whether the unit is an angle, such as mrad."""
    return _plain(unit) in _ANGLE_MRAD


def is_time(unit: str) -> bool:
    """Tell whether the unit is a time, such as s."""
    return _plain(unit) in _TIME_S


def length_a(value: float, unit: str) -> float:
    """Convert a length to Å; CalibrationError names the unit if it is none."""
    return value * _lookup(_LENGTH_A, _plain(unit), unit, "length")


def reciprocal_length_inv_a(value: float, unit: str) -> float:
    """Convert a reciprocal length to 1/Å; CalibrationError names the unit if it is none."""
    plain = _plain(unit)
    if not plain.startswith("1/"):
        raise CalibrationError(f"{unit!r} is not a reciprocal length; known are 1/nm, 1/Å, 1/pm, 1/µm and 1/m.")
    return value / _lookup(_LENGTH_A, plain[2:], unit, "reciprocal length")


def angle_mrad(value: float, unit: str) -> float:
    """Convert an angle to mrad; CalibrationError names the unit if it is none."""
    return value * _lookup(_ANGLE_MRAD, _plain(unit), unit, "angle")


def time_s(value: float, unit: str) -> float:
    """Convert a time to seconds; CalibrationError names the unit if it is none."""
    return value * _lookup(_TIME_S, _plain(unit), unit, "time")


def _lookup(table: dict[str, float], plain: str, unit: str, kind: str) -> float:
    """Find a unit's factor."""
    try:
        return table[plain]
    except KeyError:
        known = ", ".join(table)
        raise CalibrationError(f"{unit!r} is not a unit of {kind} that friedel knows ({known}).") from None
