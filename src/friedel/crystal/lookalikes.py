"""Phases of the library that a pattern could show in place of those asked for."""

from __future__ import annotations

from collections.abc import Iterable
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

    What is made of other elements is left out; so is all but one of phases that are alike, as NiO and CoO.
    """
    elements = _elements(phases.crystals)
    rings: FloatArray = np.concatenate(
        [reflections(crystal, _D_MIN_A, min_relative_f2=_SEEN).radius_inv_a for crystal in phases.crystals]
    )
    rivals = [crystal for crystal in _rivals(phases) if _elements([crystal]) <= elements]
    shares = {crystal.name: _share_near(crystal, rings) for crystal in rivals}
    out: list[Crystal] = []
    for crystal in sorted(rivals, key=lambda c: (-shares[c.name], c.name)):
        is_like = shares[crystal.name] >= _LEAST
        if is_like and len(out) < _MOST and not any(_agree(crystal, other, _ALIKE) for other in out):
            out.append(crystal)
    return tuple(out)


def restacked_of(phases: PhaseSet) -> tuple[Crystal, ...]:
    """Find the shipped phase that has the layers of an asked phase, stacked otherwise, as O1 beside O3; () if none has.

    Seen along c such phases share many reflections. Layers are alike where two of their elements and the edge of their
    net are the same: other metals in them change it by a few per cent, and ions between them may come and go.
    """
    asked, elements = phases.crystals, _elements(phases.crystals)
    layered = [crystal for crystal in _rivals(phases) if any(_have_like_layers(crystal, other) for other in asked)]
    return tuple(sorted(layered, key=lambda c: (-len(_elements([c]) & elements), c.name))[:1])


def _rivals(phases: PhaseSet) -> list[Crystal]:
    """List the shipped phases that might be taken for one of those asked for.

    Elements are none where only compounds are asked for, as nickel beside oxides, nor is the same phase under another
    name, as LiNiO2 beside NMC811. Where all asked phases may have six-fold zones, only others with such are taken.
    """
    asked = phases.crystals
    fewest = min(2, *(len(_elements([crystal])) for crystal in asked))
    six_fold = all(map(_may_be_six_fold, asked))
    return [
        crystal
        for crystal in _library()
        if crystal.name not in phases.names
        and len(_elements([crystal])) >= fewest
        and not any(_agree(crystal, other, _SAME) for other in asked)
        and (_may_be_six_fold(crystal) or not six_fold)
    ]


def _elements(crystals: Iterable[Crystal]) -> set[str]:
    return {site.element for crystal in crystals for site in crystal.sites}


@cache
def _library() -> tuple[Crystal, ...]:
    return load_shipped_phases()


def _agree(one: Crystal, two: Crystal, tolerance: float) -> bool:
    edges = np.array(one.cell[:3]) / np.array(two.cell[:3])
    return one.space_group.number == two.space_group.number and bool((np.abs(edges - 1.0) < tolerance).all())


def _have_like_layers(one: Crystal, two: Crystal) -> bool:
    shared = (_elements([one]) & _elements([two])) - _BETWEEN_LAYERS
    is_like = len(shared) >= 2 and one.is_hexagonal and two.is_hexagonal
    return is_like and abs(one.cell[0] / two.cell[0] - 1.0) < _NEAR


def _may_be_six_fold(crystal: Crystal) -> bool:
    return crystal.is_hexagonal or crystal.crystal_system == "cubic"


def _share_near(crystal: Crystal, rings: FloatArray) -> float:
    """Share of the innermost bright reflections that lie near one of some radii."""
    table = reflections(crystal, _D_MIN_A, min_relative_f2=_BRIGHT)
    radii = np.unique(np.round(table.radius_inv_a, 4))[:_COMPARED]
    if not len(radii) or not len(rings):
        return 0.0
    return float((np.abs(np.log(radii[:, None] / rings)).min(axis=1) < _NEAR).mean())
