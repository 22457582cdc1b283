"""The section of a report about spacings and strain."""

from __future__ import annotations

import numpy as np

from friedel.core.grids import RealGrid
from friedel.pipeline.scans.strain import PhaseSpacing, StrainMaps
from friedel.report.html import Picture, Section
from friedel.report.strain_map import LocalMap, plot_local_maps
from friedel.report.style import png_of
from friedel.report.tables import Cell, Table

_METHOD = (
    "The net of each phase was fitted to its spots by least squares at every position where it alone is present. "
    "Errors are one sigma of a position's own spots; to spacings the error of the scale, which all share, comes on top."
)
_AGAINST_FILE = (
    " Strain is relative to the file of the phase. Where the scale was fitted to the same phase, its mean is 0 by "
    "construction: only differences between positions tell of the sample. Name a region with --strain-reference."
)
_AGAINST_REGION = (
    " Strain and rotation are relative to the mean of the outlined region, whose error is in theirs. That cancels an "
    "error of the scale; the scatter within the region says what a difference means. Where the rotation scatters by "
    "degrees, the region holds several grains, and rotations against it mean little."
)


def strain_sections(maps: StrainMaps, names: tuple[str, ...], grid: RealGrid | None) -> list[Section]:
    """Return the section, or none where nothing was measured."""
    if not maps.phases:
        return []
    is_map = maps.d_a.shape[0] * maps.d_a.shape[1] > 1
    pictures = tuple(_picture(maps, names.index(found.phase), found, grid) for found in maps.phases) if is_map else ()
    text = _METHOD + (_AGAINST_FILE if maps.reference is None else _AGAINST_REGION)
    return [Section("Spacings and strain", (text,), pictures, tables=_tables(maps))]


def _picture(maps: StrainMaps, p: int, found: PhaseSpacing, grid: RealGrid | None) -> Picture:
    shown = [LocalMap(maps.d_a[..., p], f"d {_indices(found.hkl)} in Å", is_signed=False)]
    if np.isfinite(maps.strain[..., p, 0]).any():
        shown += [
            LocalMap(100.0 * maps.strain[..., p, i], f"strain {name} in %") for i, name in enumerate(("yy", "xx", "xy"))
        ]
    if np.isfinite(maps.rotation_deg[..., p]).any():
        shown.append(LocalMap(maps.rotation_deg[..., p], "rotation in °"))
    against = "its file" if maps.reference is None else "the outlined region"
    strain = f", and strain against {against}" if len(shown) > 1 else "; the outlined region holds none of it"
    return Picture(
        png_of(plot_local_maps(shown, grid, maps.reference)),
        f"{found.phase}: spacing {_indices(found.hkl)}{strain}. x points right, y down.",
        f"Spacing and strain of {found.phase}",
    )


def _tables(maps: StrainMaps) -> tuple[Table, ...]:
    header = ("phase", "reflections", "mostly along", "positions", "d in file (Å)", "mean d (Å)", "scatter (Å)",
              "error of one (Å)")  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (s.phase, _indices(s.hkl), "[" + " ".join(map(str, s.uvw)) + "]", s.n, s.d_file_a, s.d_mean_a, s.d_scatter_a,
         s.d_sigma_a)
        for s in maps.phases
    ]  # fmt: skip
    decimals = (None, None, None, None, 4, 4, 4, 4)
    tables = [Table(header, tuple(rows), "Spacings where a phase is alone.", decimals=decimals)]
    if maps.reference is not None:
        columns = ("phase", "positions", "mean d (Å)", "scatter of d (Å)", "of yy (%)", "of xx (%)", "of xy (%)",
                   "of rotation (°)")  # fmt: skip
        rows = [
            (s.phase, s.n_reference, s.d_reference_a, s.d_reference_scatter_a,
             *(100.0 * value for value in s.strain_reference_scatter), s.rotation_reference_scatter_deg)
            for s in maps.phases
        ]  # fmt: skip
        caption = "The reference: mean spacing, and standard deviations of spacing, strain and rotation within it."
        tables.append(Table(columns, tuple(rows), caption, decimals=(None, None, 4, 4, 3, 3, 3, 2)))
    return tuple(tables)


def _indices(hkl: tuple[int, int, int]) -> str:
    return "{" + " ".join(map(str, hkl)) + "}"
