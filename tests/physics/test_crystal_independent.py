"""Structure factors against an independent program.

The amplitudes were computed once with abTEM 1.0.11 (``abtem.bloch.StructureFactor``, parametrisation of Lobato and Van
Dyck 2014, ``g_max=3``, hard cut-off, thermal sigma of B = 0.5 Å²) from atoms that ASE 3.29 built with its own symmetry
operations, and multiplied by the volume of the cell. That is another expansion of the cell, another sum and another
table of scattering factors than friedel's, which come from International Tables C.
"""

from __future__ import annotations

import numpy as np
import pytest

from friedel.crystal import load_phase, structure_factors

Amplitudes = dict[tuple[int, int, int], float]

ABTEM_OVER_VOLUME_INV_A2: dict[str, Amplitudes] = {
    "lif": {(1, 1, 1): 0.03946, (2, 0, 0): 0.10392, (2, 2, 0): 0.07026, (3, 1, 1): 0.02872},
    "li2o": {(1, 1, 1): 0.05972, (2, 2, 0): 0.06960, (3, 1, 1): 0.03275},
    "tio2-rutile": {
        (1, 1, 0): 0.15586, (1, 0, 1): 0.08079, (2, 0, 0): 0.03719, (1, 1, 1): 0.07274, (2, 1, 1): 0.09012,
        (2, 2, 0): 0.10659,
    },
    "al2o3": {
        (0, 1, 2): 0.05490, (1, 0, 4): 0.08088, (1, 1, 0): 0.05304, (1, 1, 3): 0.07347, (0, 2, 4): 0.06773,
        (1, 1, 6): 0.07661,
    },
    "li2co3": {
        (1, 1, 0): 0.03537, (2, 0, 0): 0.00987, (-1, 1, 1): 0.00835, (1, 1, 1): 0.03234, (-2, 0, 2): 0.08576,
        (0, 0, 2): 0.10417, (-1, 1, 2): 0.03255, (0, 2, 0): 0.05501, (-3, 1, 1): 0.05159,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ABTEM_OVER_VOLUME_INV_A2)
def test_amplitudes_agree_with_another_program(name: str) -> None:
    """To 3 % each, or 1 % of the strongest: the two tables of scattering factors differ by that much."""
    crystal = load_phase(name)
    hkl = list(ABTEM_OVER_VOLUME_INV_A2[name])
    expected = np.array(list(ABTEM_OVER_VOLUME_INV_A2[name].values())) * crystal.volume_a3
    found = np.abs(structure_factors(crystal, hkl))
    assert found == pytest.approx(expected, rel=0.03, abs=0.01 * expected.max())
