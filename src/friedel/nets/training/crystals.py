"""Crystals for training, validation and test, apart by material."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from friedel.crystal import Crystal, load_phases, phase_names

#: What the demo and the benches are judged on is never trained on.
_TEST_PHASES = ("nmc811-o3", "nmc811-o1", "nmc811-h1", "nmc811-h2", "nmc811-h3", "li", "lif", "li2o", "li2co3")


@dataclass(frozen=True, slots=True, eq=False)
class CrystalSplit:
    """Crystals of three parts that share none."""

    train: tuple[Crystal, ...]
    validation: tuple[Crystal, ...]
    test: tuple[Crystal, ...]


def split_crystals() -> CrystalSplit:
    """Split the phase library by a hash of the names, a tenth each for validation and test."""
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": list(_TEST_PHASES)}
    for name in phase_names():
        if name not in _TEST_PHASES:
            draw = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10
            parts[("validation", "test")[draw] if draw < 2 else "train"].append(name)
    return CrystalSplit(*(load_phases(names).crystals for names in parts.values()))
