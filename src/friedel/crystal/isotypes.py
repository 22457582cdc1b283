"""Crystals made from published lattice constants and the structure type that they share."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

import gemmi

from friedel.core.errors import CrystalError
from friedel.crystal.atoms import chemical_formula
from friedel.crystal.spacegroup import space_group
from friedel.crystal.structure import Cell, Crystal, Site

#: How many lattice constants a crystal system leaves free.
_N_CONSTANTS = {"cubic": 1, "tetragonal": 2, "trigonal": 2, "hexagonal": 2, "orthorhombic": 3, "monoclinic": 4,
                "triclinic": 6}  # fmt: skip
_SLOTS = "ABCDEF"
_COORDINATE = re.compile(r"(-?)(2?)([a-z]+\d?)$")


@cache
def load_isotypes() -> tuple[Crystal, ...]:
    """Load the crystals of ``isotypes.toml`` in its order, with the reference of their lattice constants."""
    tables = tomllib.loads((files(__package__) / "isotypes.toml").read_text(encoding="utf-8"))
    references = {key: table["reference"] for key, table in tables.items() if "reference" in table}
    families = {key: table for key, table in tables.items() if "members" in table}
    return tuple(
        _member(line.split(), key, family, references.get(family["source"], family["source"]))
        for key, family in families.items()
        for line in family["members"].strip().splitlines()
    )


def _member(words: list[str], family_name: str, family: dict[str, Any], reference: str) -> Crystal:
    elements = [word for word in words if not word[0].isdigit() and word[0] not in "-."]
    numbers = [float(word) for word in words[len(elements) :]]
    group = space_group(family["space_group"])
    n = _N_CONSTANTS[group.crystal_system]
    names = [key for key in family if key not in ("space_group", "sites", "source", "members", "note")]
    used = sorted({name for site in family["sites"] for name in _names_of(site)})
    if not n <= len(numbers) <= n + len(used):
        raise CrystalError(f"isotypes.toml, {family_name}: {' '.join(words)} should hold {n} lattice constants.")
    values = {name: float(family[name]) for name in names} | dict(zip(names or used, numbers[n:], strict=False))
    sites = tuple(_site(i, text.split(), elements, values) for i, text in enumerate(family["sites"], start=1))
    note = f"; {family['note']}" if "note" in family else ""
    source = f"Lattice constants as in compilations such as {reference}; structure type {family_name}{note}"
    crystal = Crystal(family_name, _cell(group.crystal_system, numbers[:n]), group, sites, source)
    return replace(crystal, name=f"{chemical_formula(crystal)} {family_name}")


def _names_of(site: str) -> list[str]:
    return [match.group(3) for word in site.split()[1:] if (match := _COORDINATE.match(word))]


def _site(number: int, words: list[str], elements: list[str], values: dict[str, float]) -> Site:
    element = elements[_SLOTS.index(words[0])]
    x, y, z = (_coordinate(word, values) for word in words[1:4])
    return Site(f"{gemmi.Element(element).name}{number}", element, (x, y, z))


def _coordinate(word: str, values: dict[str, float]) -> float:
    """Value of "1/3", "0.25", "u", "-u" or "2x"."""
    if match := _COORDINATE.match(word):
        sign, twice, name = match.groups()
        return (-1.0 if sign else 1.0) * (2.0 if twice else 1.0) * values[name]
    return float(Fraction(word))


def _cell(system: str, constants: list[float]) -> Cell:
    if system == "triclinic":
        a, b, c, alpha, beta, gamma = constants
        return a, b, c, alpha, beta, gamma
    a, beta = constants[0], constants[3] if system == "monoclinic" else 90.0
    b = constants[1] if system in ("orthorhombic", "monoclinic") else a
    c = a if system == "cubic" else constants[2] if system in ("orthorhombic", "monoclinic") else constants[1]
    return a, b, c, 90.0, beta, 120.0 if system in ("trigonal", "hexagonal") else 90.0
