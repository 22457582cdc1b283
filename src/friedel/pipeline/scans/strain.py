"""Spacings and strain over a mapped scan: each phase where it is alone, against its file or a region of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from friedel.core.errors import DataError
from friedel.crystal import Crystal, PhaseSet, ZoneNet, zone_net
from friedel.identify.strain import (
    NetFits,
    Reference,
    excess_of,
    fit_nets,
    fold_of,
    mean_net,
    spacings_of,
    strains_of,
    turns,
)
from friedel.identify.zone_names import lay_nearest_zones
from friedel.pipeline.region import Region
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.result import HexagonFindings, LatticeFindings, ScanResult

#: Smallest error of a spot's place, and one-sigma error of the beam's, in pixels; angle to the zone axis up to which
#: the reflections that are seen are those of its net.
_FLOOR_PX, _BEAM_PX, _ALONG_DEG = 0.1, 0.5, 5.0
#: Reflections weaker than this share of the strongest of the net do not give the spacing its name; and what of spacings
#: is rounding.
_FAINT, _SAME_SPACING = 0.01, 1e-4
_MIRROR = np.diag([-1.0, 1.0])
_NOT_THERE = (
    "The reference holds no position at which the net of {} alone could be measured: its strain is not in the maps. "
    "Name another region with --strain-reference, or none to compare with the file."
)


@dataclass(frozen=True, slots=True, eq=False)
class PhaseSpacing:
    """The spacing of one phase over a scan, in short.

    Parameters
    ----------
    phase, hkl, uvw
        Its name, the reflections whose spacing is told, and the zone axis along which most of it lies.
    d_file_a
        Their spacing in the phase's file.
    n, d_mean_a, d_scatter_a, d_sigma_a
        Positions where it was measured, mean and standard deviation there, and the usual error of one.
    n_reference
        Those in the reference; 0 where there is none.
    d_reference_a, d_reference_scatter_a
        Mean and standard deviation there, NaN where there is none.
    strain_reference_scatter
        Standard deviation of the strain's components yy, xx, xy there (3,).
    rotation_reference_scatter_deg
        Standard deviation of the rotation there: that of one grain is small.
    """

    phase: str
    hkl: tuple[int, int, int]
    uvw: tuple[int, int, int]
    d_file_a: float
    n: int
    d_mean_a: float
    d_scatter_a: float
    d_sigma_a: float
    n_reference: int
    d_reference_a: float
    d_reference_scatter_a: float
    strain_reference_scatter: tuple[float, float, float]
    rotation_reference_scatter_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class StrainMaps:
    """Spacings and strain of each phase where it is alone; NaN elsewhere.

    Parameters
    ----------
    d_a, d_sigma_a
        Spacing and its one-sigma error (ry, rx, P), without that of the scale, which all positions share.
    strain, strain_sigma
        Components yy, xx, xy (ry, rx, P, 3) along the axes of the scan, positive where spacings are longer; against the
        reference, or against the phase's file without one.
    rotation_deg, rotation_sigma_deg
        In-plane rotation against the reference (ry, rx, P), from +x towards +y; NaN without one.
    phases
        What was found of the phases that were measured.
    reference
        Region that others are compared with (ry, rx); None for the files of the phases.
    warnings
        What the user should know.
    """

    d_a: FloatArray
    d_sigma_a: FloatArray
    strain: FloatArray
    strain_sigma: FloatArray
    rotation_deg: FloatArray
    rotation_sigma_deg: FloatArray
    phases: tuple[PhaseSpacing, ...]
    reference: BoolArray | None
    warnings: tuple[str, ...]

    def arrays(self) -> dict[str, AnyArray]:
        """Return the maps by their names in a run folder."""
        out: dict[str, AnyArray] = {"d_spacing_a": self.d_a, "d_spacing_sigma_a": self.d_sigma_a}
        for i, name in enumerate(("yy", "xx", "xy")):
            out[f"strain_{name}"], out[f"strain_{name}_sigma"] = self.strain[..., i], self.strain_sigma[..., i]
        if self.reference is not None:
            out |= {"lattice_turn_deg": self.rotation_deg, "lattice_turn_sigma_deg": self.rotation_sigma_deg}
        return {name: array.astype(np.float32) for name, array in out.items()}


def reference_in(region: Region, rectangle: tuple[tuple[int, int], tuple[int, int]] | None) -> BoolArray | None:
    """Mark a rectangle ((y0, y1), (x0, x1)) of the whole scan in the part of it that is analysed.

    Raises
    ------
    DataError
        If no position that is analysed lies in it.
    """
    if rectangle is None:
        return None
    (y0, y1), (x0, x1) = rectangle
    rows, columns = np.arange(*region.rows), np.arange(*region.columns)
    inside = ((rows >= y0) & (rows < y1))[:, None] & ((columns >= x0) & (columns < x1)) & region.mask
    if not inside.any() or y0 < rows[0] or x0 < columns[0] or y1 > region.rows[1] or x1 > region.columns[1]:
        raise DataError(
            f"The reference {y0}:{y1},{x0}:{x1} must hold positions and lie in the analysed part of the scan, "
            f"{region.rows[0]}:{region.rows[1]},{region.columns[0]}:{region.columns[1]}. "
            "Mend --strain-reference Y0:Y1,X0:X1."
        )
    return inside


def measure_strain(
    result: ScanResult, phases: PhaseSet, *, min_probability: float = 0.5, reference: BoolArray | None = None
) -> StrainMaps:
    """Measure spacings and strain of every phase at the positions where it alone is present.

    Along each zone axis the net is fitted to the spots of each position (``fit_nets``). Two phases at one position
    share spots, so that neither is measured there, nor is a phase with a look-alike that was sought. Against a
    reference only positions along the zone axis that most of the phase has in it are compared.

    Parameters
    ----------
    phases
        Those that were mapped.
    min_probability
        Presence from which on a phase is present.
    reference
        Positions (ry, rx) that the others are compared with; None for the files of the phases.
    """
    pmap, names = result.phase_map, []
    labels, n_phases = pmap.labels(min_probability).ravel(), len(phases.crystals)
    maps = _Columns.empty(len(labels), n_phases)
    is_alone = np.ones(len(labels), dtype=bool) if result.is_lookalike is None else ~result.is_lookalike.ravel()
    inside = np.zeros(len(labels), dtype=bool) if reference is None else reference.ravel()
    found: list[PhaseSpacing] = []
    for p, crystal in enumerate(phases.crystals):
        rows = np.flatnonzero(is_alone & (labels == np.uint32(1) << np.uint32(p)))
        zones = _fit_zones(result, crystal, p, rows)
        if not zones:
            continue
        compared = _reference_of(zones, inside)
        if reference is not None and compared is None:
            names.append(crystal.name)
        family = _name_family(max(zones, key=lambda zone: len(zone.rows)).net, result.annulus_inv_a[0])
        for zone in zones:
            against = compared if compared is not None and compared[0] == zone.net.uvw else None
            is_told = reference is None or against is not None
            maps.write(zone, p, family, against[1] if against else None, is_told, result.survey.scan.grid.rotation_deg)
        found.append(_in_short(crystal.name, family, zones, maps, p, inside))
    warnings = (_NOT_THERE.format(" or of ".join(names)),) if names else ()
    return maps.laid_out(pmap.valid.shape, tuple(found), reference, warnings)


@dataclass(frozen=True, slots=True, eq=False)
class _ZoneFits:
    """Positions of a phase along one zone axis at which its net is known."""

    rows: IntArray
    net: ZoneNet
    fits: NetFits


@dataclass(frozen=True, slots=True)
class _Family:
    """Reflections whose spacing is told, in the net that most positions show."""

    hkl: tuple[int, int, int]
    uvw: tuple[int, int, int]
    d_a: float

    def nodes_of(self, net: ZoneNet) -> FloatArray:
        """Return those of the same spacing in another net."""
        same = ~net.is_extinct & (np.abs(net.d_a / self.d_a - 1.0) < _SAME_SPACING)
        return np.asarray(net.k_inv_a[same])


def _fit_zones(result: ScanResult, crystal: Crystal, phase: int, rows: IntArray) -> list[_ZoneFits]:
    """Fit the net of a phase at some positions, zone axis by zone axis."""
    uvw, laid = _laid_nets(result, crystal, phase, rows)
    usable = np.isfinite(laid).all(axis=(1, 2))
    is_behind = np.linalg.det(np.nan_to_num(laid)) < 0
    step = float(np.mean(result.survey.scan.grid.step_inv_a))
    floor, beam = _FLOOR_PX * step, _BEAM_PX * step
    zones = []
    for axis in np.unique(uvw[usable], axis=0):
        for is_mirrored in (False, True):
            mine = usable & (uvw == axis).all(axis=1) & (is_behind == is_mirrored)
            if not mine.any():
                continue
            net, turn = zone_net(crystal, axis, result.annulus_inv_a[1]), laid[mine]
            if is_mirrored:
                net, turn = _from_behind(net), turn @ _MIRROR
            fits = fit_nets(result.spots, rows[mine], turn, net, floor_inv_a=floor, centre_sigma_inv_a=beam)
            if fits.is_known.any():
                zones.append(_ZoneFits(rows[mine][fits.is_known], net, fits.of(fits.is_known)))
    excess = excess_of([zone.fits for zone in zones])
    return [replace(zone, fits=zone.fits.widened(excess)) for zone in zones]


def _from_behind(net: ZoneNet) -> ZoneNet:
    """Return a net as it is seen against its axis."""
    u, v, w = net.uvw
    return replace(net, uvw=(-u, -v, -w), k_inv_a=net.k_inv_a @ _MIRROR, basis_inv_a=net.basis_inv_a @ _MIRROR)


def _laid_nets(result: ScanResult, crystal: Crystal, phase: int, rows: IntArray) -> tuple[IntArray, FloatArray]:
    """Zone axis (n, 3) of a phase at some positions, and how the file's net lies there (n, 2, 2), NaN where unknown."""
    found = result.found
    if isinstance(found, CountFindings):
        uvw, laid = lay_nearest_zones(crystal, np.asarray(found.evidence.frame[rows, phase], dtype=np.float64))
        return uvw, np.where((found.off_deg[rows, phase] <= _ALONG_DEG)[:, None, None], laid[:, :2, :2], np.nan)
    if isinstance(found, LatticeFindings):
        return found.uvw[rows, phase], turns(np.deg2rad(found.rotation_deg[rows, phase]))
    return _laid_hexagons(found, crystal, phase, rows, result.annulus_inv_a[1])


def _laid_hexagons(
    found: HexagonFindings, crystal: Crystal, phase: int, rows: IntArray, reach_inv_a: float
) -> tuple[IntArray, FloatArray]:
    """As ``_laid_nets``, by the hexagon of each position that fits the phase best; the scan's scale is taken out."""
    uvw, laid = np.zeros((len(rows), 3), dtype=np.int64), np.full((len(rows), 2, 2), np.nan)
    least = np.full(len(rows), np.inf)
    for z, zone in enumerate(found.zones):
        if zone.phase != phase:
            continue
        net = zone_net(crystal, zone.uvw, reach_inv_a)
        ring = ~net.is_extinct & (np.abs(net.radius_inv_a / zone.radius_inv_a[0] - 1.0) < _SAME_SPACING)
        first = float(np.arctan2(*net.k_inv_a[ring][0]))
        off = np.abs(np.log(found.evidence.scale[rows, z] / found.rings.scale))
        better = (found.evidence.hexagon[rows, z] >= 0) & (off < least)
        uvw[better], least[better] = zone.uvw, off[better]
        laid[better] = found.rings.scale * turns(found.evidence.azimuth_rad[rows[better], z] - first)
    return uvw, laid


def _reference_of(zones: Sequence[_ZoneFits], inside: BoolArray) -> tuple[tuple[int, int, int], Reference] | None:
    """Zone axis with most positions in the reference, and the mean net there; None where there is no position."""
    most = max(zones, key=lambda zone: int(inside[zone.rows].sum()))
    mine = inside[most.rows]
    return (most.net.uvw, mean_net(most.fits.of(mine), fold_of(most.net))) if mine.any() else None


def _name_family(net: ZoneNet, low_inv_a: float) -> _Family:
    """Choose the innermost reflections of a net that are not faint and may be seen."""
    bright = ~net.is_extinct & (net.f2 >= _FAINT * net.f2[~net.is_extinct].max())
    seen = bright & (net.radius_inv_a >= low_inv_a)
    first = int(np.flatnonzero(seen if seen.any() else bright)[0])
    alike = bright & (np.abs(net.d_a / net.d_a[first] - 1.0) < _SAME_SPACING)
    h, k, l = max(net.hkl[alike].tolist(), key=lambda hkl: (min(hkl) >= 0, sum(i >= 0 for i in hkl), hkl))  # noqa: E741
    return _Family((h, k, l), net.uvw, float(net.d_a[first]))


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Maps as columns: (4, n, P) of spacing and rotation with their errors, (2, n, P, 3) of strain and its error."""

    scalars: FloatArray
    vectors: FloatArray

    @classmethod
    def empty(cls, n: int, n_phases: int) -> _Columns:
        return cls(np.full((4, n, n_phases), np.nan), np.full((2, n, n_phases, 3), np.nan))

    def write(
        self, zone: _ZoneFits, p: int, family: _Family, reference: Reference | None, is_told: bool, axes_deg: float
    ) -> None:
        """Write what one zone axis tells of a phase; strain and rotation only where there is something to compare."""
        nodes = family.nodes_of(zone.net)
        if len(nodes):
            self.scalars[0, zone.rows, p], self.scalars[1, zone.rows, p] = spacings_of(zone.fits, nodes)
        if not is_told:
            return
        strains = strains_of(zone.fits, reference, fold_of(zone.net), axes_deg)
        self.vectors[0, zone.rows, p] = strains.tensor
        self.vectors[1, zone.rows, p] = np.sqrt(np.einsum("nii->ni", strains.covariance))
        if reference is not None:
            self.scalars[2, zone.rows, p] = strains.rotation_deg
            self.scalars[3, zone.rows, p] = strains.rotation_sigma_deg

    def laid_out(
        self, shape: tuple[int, ...], found: tuple[PhaseSpacing, ...], reference: BoolArray | None,
        warnings: tuple[str, ...],
    ) -> StrainMaps:  # fmt: skip
        """Lay the columns out as maps."""
        d, d_sigma, turn, turn_sigma = (column.reshape(*shape, -1) for column in self.scalars)
        strain, strain_sigma = (column.reshape(*shape, -1, 3) for column in self.vectors)
        return StrainMaps(d, d_sigma, strain, strain_sigma, turn, turn_sigma, found, reference, warnings)


def _in_short(
    name: str, family: _Family, zones: Sequence[_ZoneFits], maps: _Columns, p: int, inside: BoolArray
) -> PhaseSpacing:
    d, sigma, strain = maps.scalars[0, :, p], maps.scalars[1, :, p], maps.vectors[0, :, p]
    there, compared = np.isfinite(d), inside & np.isfinite(strain[:, 0])
    scatter = strain[compared].std(axis=0) if compared.any() else np.full(3, np.nan)
    turn_scatter = float(maps.scalars[2, compared, p].std()) if compared.any() else float("nan")
    mine = d[compared & there]
    return PhaseSpacing(
        name, family.hkl, family.uvw, family.d_a, int(there.sum()), float(d[there].mean()), float(d[there].std()),
        float(np.median(sigma[there])), int(compared.sum()), float(mine.mean()) if len(mine) else float("nan"),
        float(mine.std()) if len(mine) else float("nan"), tuple(scatter.tolist()), turn_scatter,
    )  # fmt: skip
