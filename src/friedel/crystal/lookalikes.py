"""Phases of the library that a pattern could show in place of those asked for."""

from __future__ import annotations

from functools import cache

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.crystal.hkl import reflections
from friedel.crystal.library import PhaseSet, load_shipped_phases
from friedel.crystal.structure import Crystal

#: The innermost bright reflections that are compared, down to this spacing (Å) and this share of the brightest; those
#: of the phases asked for may be a little fainter.
_COMPARED, _D_MIN_A, _BRIGHT, _SEEN = 8, 1.0, 0.03, 0.02
#: Radii nearer than this may be confused: composition and charge change a lattice by up to 2 %.
_NEAR = 0.025
#: Share of its reflections that must lie so, and how many phases are taken, those with the greatest share.
_LEAST, _MOST = 0.5, 2
#: Elements that layers give off and take up.
_BETWEEN_LAYERS = {"Li", "Na", "K"}
#: Phases of one space group whose edges agree to the first are one phase under two names; to the second, alike enough
#: for one of them to stand for both.
_SAME, _ALIKE = 0.04, 0.08


def lookalikes_of(phases: PhaseSet) -> tuple[Crystal, ...]:
    """Find up to two shipped phases of the same elements whose reflections lie where the asked phases have some.

    And one more, if there is, with layers like those of an asked phase, stacked otherwise, as O1 beside O3: seen
    along c such phases share many reflections. Alkali ions may come and go between the layers.

    What is made of other elements is left out, and an element where only compounds are asked for, as nickel beside
    oxides; so is what is the same phase under another name, as LiNiO2 beside NMC811, and all but one of phases that are
    alike, as NiO and CoO. Where all asked phases may have six-fold zones, only others with such zones are taken.
    """
    asked = phases.crystals
    elements = {site.element for crystal in asked for site in crystal.sites}
    fewest = min(2, *(len({site.element for site in crystal.sites}) for crystal in asked))
    rings: FloatArray = np.concatenate(
        [reflections(crystal, _D_MIN_A, min_relative_f2=_SEEN).radius_inv_a for crystal in asked]
    )
    ranked, stacked = [], []
    for crystal in _library():
        own = {site.element for site in crystal.sites}
        if len(own) < fewest or any(_agree(crystal, other, _SAME) for other in asked):
            continue
        if all(map(_may_be_six_fold, asked)) and not _may_be_six_fold(crystal):
            continue
        if crystal.name in phases.names:
            continue
        if own - _BETWEEN_LAYERS <= elements and any(_have_like_layers(crystal, other) for other in asked):
            stacked.append((len(own & elements), crystal))
        share = _share_near(crystal, rings) if own <= elements else 0.0
        if share >= _LEAST:
            ranked.append((share, crystal))
    out: list[Crystal] = []
    for _, crystal in sorted(ranked, key=lambda row: (-row[0], row[1].name)):
        if len(out) < _MOST and not any(_agree(crystal, other, _ALIKE) for other in out):
            out.append(crystal)
    stacked.sort(key=lambda row: (-row[0], row[1].name))
    return (*out, *[crystal for _, crystal in stacked if not any(_agree(crystal, other, _ALIKE) for other in out)][:1])


@cache
def _library() -> tuple[Crystal, ...]:
    return load_shipped_phases()


def _agree(one: Crystal, two: Crystal, tolerance: float) -> bool:
    edges = np.array(one.cell[:3]) / np.array(two.cell[:3])
    return one.space_group.number == two.space_group.number and bool((np.abs(edges - 1.0) < tolerance).all())


def _have_like_layers(one: Crystal, two: Crystal) -> bool:
    return one.is_hexagonal and two.is_hexagonal and abs(one.cell[0] / two.cell[0] - 1.0) < _NEAR


def _may_be_six_fold(crystal: Crystal) -> bool:
    return crystal.is_hexagonal or crystal.crystal_system == "cubic"


def _share_near(crystal: Crystal, rings: FloatArray) -> float:
    """Share of the innermost bright reflections that lie near one of some radii."""
    table = reflections(crystal, _D_MIN_A, min_relative_f2=_BRIGHT)
    radii = np.unique(np.round(table.radius_inv_a, 4))[:_COMPARED]
    if not len(radii) or not len(rings):
        return 0.0
    return float((np.abs(np.log(radii[:, None] / rings)).min(axis=1) < _NEAR).mean())
