"""The table of components: spots grouped by phase and family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from friedel.core.images import Pattern
from friedel.core.spots import Spots
from friedel.identify.grains.naming import GrainMatch
from friedel.identify.grains.spacings import UNKNOWN

#: Relative difference up to which spacings without indices are one component.
SAME_SPACING = 0.006
#: Stands for the indices of a spot that its phase diffracted twice, at no reflection of its own.
TWICE = "double diffraction"
#: Half side of the patch in which a spot's outline is measured, px.
PATCH_PX = 24


@dataclass(frozen=True, slots=True)
class Component:
    """Spots of one phase and family.

    Parameters
    ----------
    phase
        Name, several joined by "|", or "unknown".
    hkl
        Indices such as "0 1 1", one for each name, joined alike; "double diffraction" for sums of two brighter spots;
        empty for unknown.
    d_measured_a, d_sigma_a
        Weighted mean of the spacings as measured, and its one-sigma error, that of the scale included.
    d_reference_a, deviation_percent
        Spacing of the (first) phase and the relative difference from it; nan for unknown and
        double diffraction.
    probability
        Probability that the phase named, or one of those named, is right: mean over the spots.
    n_spots
        Spots, one of each Friedel pair.
    feature_size_px
        Root of the sum of the squared major and minor axes of a spot's outline at half of its height, mean over the
        spots, in pixels of the diffractogram.
    intensity
        Sum over the spots.
    area_nm2
        Largest area over which one of the spots' fringes are seen.
    spots
        Rows of the spots.
    """

    phase: str
    hkl: str
    d_measured_a: float
    d_sigma_a: float
    d_reference_a: float
    deviation_percent: float
    probability: float
    n_spots: int
    feature_size_px: float
    intensity: float
    area_nm2: float
    spots: tuple[int, ...]

    def as_row(self, frame: int = 0) -> dict[str, float | int | str]:
        """Columns of components.csv."""
        return {
            "frame": frame,
            "phase": self.phase,
            "hkl": self.hkl,
            "d_measured_a": self.d_measured_a,
            "d_sigma_a": self.d_sigma_a,
            "d_reference_a": self.d_reference_a,
            "deviation_percent": self.deviation_percent,
            "probability": self.probability,
            "n_spots": self.n_spots,
            "feature_size_px": self.feature_size_px,
            "intensity": self.intensity,
        }


def tabulate(pattern: Pattern, spots: Spots, match: GrainMatch, areas_nm2: FloatArray) -> tuple[Component, ...]:
    """Group the spots of a diffractogram by name and family, strongest group first.

    ``areas_nm2`` (N,) is the area in which the fringes of each spot are seen.
    """
    groups: dict[tuple[str, str, int], list[int]] = {}
    labels = [_label(match, i) for i in range(len(match.names))]
    spacing_group = _spacing_groups(
        1 / spots.radius_inv_a, np.array([label in ("", TWICE) for label in labels], dtype=bool)
    )
    for i, (name, label) in enumerate(zip(match.names, labels, strict=True)):
        groups.setdefault((name, label, int(spacing_group[i])), []).append(i)
    rows = [_component(pattern, spots, match, areas_nm2, key[:2], np.array(rows)) for key, rows in groups.items()]
    return tuple(sorted(rows, key=lambda row: -row.intensity))


def feature_size_px(pattern: Pattern, position_px: FloatArray) -> float:
    """Size of a spot: equation 11 of Raghavendran et al., J. Microsc. (2025) 10.1111/jmi.13413.

    sqrt(major^2 + minor^2) of the ellipse with the second moments of the region above half of the spot's height.
    """
    middle = [round(float(c)) for c in position_px]
    spans = [np.arange(c - PATCH_PX, c + PATCH_PX + 1) % n for c, n in zip(middle, pattern.shape, strict=True)]
    patch = ndimage.gaussian_filter(np.asarray(pattern.data[np.ix_(*spans)], dtype=np.float64), 0.7)
    near = patch[PATCH_PX - 1 : PATCH_PX + 2, PATCH_PX - 1 : PATCH_PX + 2]
    y, x = np.unravel_index(int(np.argmax(near)), near.shape)
    noise = float(np.median(patch))
    regions, _ = ndimage.label(patch - noise >= 0.5 * (near.max() - noise))
    rows, cols = np.nonzero(regions == regions[PATCH_PX - 1 + int(y), PATCH_PX - 1 + int(x)])
    # A pixel is a square of side 1, which adds 1/12 to the variance of each coordinate; an ellipse with the variance
    # v along an axis is 4 sqrt(v) long there, so that the squares add up to 16 times the trace.
    return 4 * math.sqrt(float(np.var(rows) + np.var(cols)) + 2 / 12)


def _spacing_groups(d_a: FloatArray, chosen: BoolArray) -> IntArray:
    """Number of the group of each chosen spot (N,), new where their sorted spacings jump; 0 for all others."""
    group = np.zeros(len(d_a), dtype=np.int64)
    rows = np.flatnonzero(chosen)
    order = rows[np.argsort(d_a[rows])]
    group[order[1:]] = np.cumsum(np.diff(np.log(d_a[order])) > SAME_SPACING)
    return group


def _label(match: GrainMatch, row: int) -> str:
    """Indices of the families of all phases named for a spot; "" for unknown."""
    name = match.names[row]
    if name == UNKNOWN:
        return ""
    if match.is_twice[row]:
        return TWICE
    members = [match.phases.index(n) for n in name.split("|")]
    return "|".join(" ".join(str(int(i)) for i in match.best_hkl[row, p]) for p in members)


def _component(pattern: Pattern, spots: Spots, match: GrainMatch, areas_nm2: FloatArray, key: tuple[str, str],
               rows: IntArray) -> Component:  # fmt: skip
    """Make one row of the table."""
    name, label = key
    radius = spots.radius_inv_a[rows]
    along = np.abs(spots.k_inv_a[rows]) / radius[:, None]
    relative_sigma = np.maximum(np.hypot(*(along * spots.sigma_inv_a[rows]).T) / radius, 1e-9)
    weight = relative_sigma**-2
    d_measured = float(weight @ (1 / radius) / weight.sum())
    members = [] if name == UNKNOWN else [match.phases.index(n) for n in name.split("|")]
    d_reference = float(match.best_d_a[rows[0], members[0]]) if members and label != TWICE else math.nan
    right = match.posterior[rows][:, members].sum(axis=1) if members else match.posterior[rows, -1]
    return Component(
        phase=name,
        hkl=label,
        d_measured_a=d_measured,
        d_sigma_a=d_measured * math.hypot(1 / math.sqrt(weight.sum()), pattern.grid.relative_sigma),
        d_reference_a=d_reference,
        deviation_percent=100 * (d_measured / d_reference - 1),
        probability=float(right.mean()),
        n_spots=len(rows),
        feature_size_px=float(
            np.mean([feature_size_px(pattern, px) for px in pattern.grid.px_of(spots.k_inv_a[rows])])
        ),
        intensity=float(spots.intensity[rows].sum()),
        area_nm2=float(areas_nm2[rows].max()),
        spots=tuple(int(i) for i in rows),
    )


def component_of_spots(components: Sequence[Component], n_spots: int) -> AnyArray:
    """Row of the component that each spot (n_spots,) belongs to; -1 for none."""
    rows = np.full(n_spots, -1, dtype=np.int32)
    for row, component in enumerate(components):
        rows[list(component.spots)] = row
    return rows
