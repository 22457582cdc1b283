"""Strain from spots: how the net of a crystal is deformed at each position, by itself or relative to a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.spots import Spots
from friedel.crystal import ZoneNet, is_hexagonal_net

#: How far a spot may lie from its node when the net is first laid, beyond three sigmas of the beam: in 1/Å, and per 1/Å
#: of its length; and then, in standard deviations of its place.
_ROUGH_INV_A, _ROUGH_RELATIVE, _REACH_SIGMAS = 0.008, 0.015, 4.0
#: Share of the shortest vector of a net beyond which a spot could as well be of another node.
_OWN_SHARE = 0.3
#: Prior of each component of the deformation, which keeps a net of which one row is seen from being singular; an
#: error from which on nothing is known; and spots that a fit needs.
_PRIOR, _UNKNOWN, _LEAST_SPOTS = 0.1, 0.02, 4
#: Patterns fitted at once, which bounds the memory.
_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class NetFits:
    """Nets of n positions, fitted to their spots.

    Parameters
    ----------
    matrix
        Takes the net as ``zone_net`` draws it to measured positions (n, 2, 2), in order (ky, kx), as if the beam ran
        along the zone axis.
    covariance
        Of each row of the deformation in the axes of the detector (n, 2, 2, 2).
    n_spots
        Spots that took part (n,).
    misfit, freedom
        Sum of squared residuals in standard deviations (n,), and what it should be.
    """

    matrix: FloatArray
    covariance: FloatArray
    n_spots: IntArray
    misfit: FloatArray
    freedom: FloatArray

    @staticmethod
    def join(parts: Sequence[NetFits]) -> NetFits:
        """Put those of consecutive positions end to end."""
        return NetFits(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(NetFits)))

    def of(self, rows: BoolArray) -> NetFits:
        """Return those of some positions."""
        return NetFits(*(getattr(self, field.name)[rows] for field in fields(self)))

    def widened(self, excess: float) -> NetFits:
        """Return them with their variances times a factor."""
        return replace(self, covariance=self.covariance * excess)

    @property
    def is_known(self) -> BoolArray:
        """Where the spots tell the whole net (n,)."""
        worst = np.sqrt(np.einsum("nrii->nri", self.covariance).max(axis=(1, 2)))
        return np.asarray((self.n_spots >= _LEAST_SPOTS) & (worst < _UNKNOWN))


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A net that others are compared with.

    Parameters
    ----------
    angle_rad
        Its in-plane rotation, from +kx towards +ky.
    stretch
        Symmetric (2, 2): lengths over those of the file, in the axes of the net.
    covariance, angle_sigma_rad
        Of the components yy, xx, xy of the stretch (3, 3), and the one-sigma error of the rotation.
    """

    angle_rad: float
    stretch: FloatArray
    covariance: FloatArray
    angle_sigma_rad: float


@dataclass(frozen=True, slots=True, eq=False)
class Strains:
    """Strain in real space at n positions: positive where spacings are longer.

    Parameters
    ----------
    tensor
        Components yy, xx, xy (n, 3).
    covariance
        Of those (n, 3, 3).
    rotation_deg
        Rotation against the reference, from +x towards +y (n,), and its one-sigma error.
    """

    tensor: FloatArray
    covariance: FloatArray
    rotation_deg: FloatArray
    rotation_sigma_deg: FloatArray


def fit_nets(
    spots: Spots, rows: IntArray, laid: FloatArray, net: ZoneNet, *, floor_inv_a: float, centre_sigma_inv_a: float
) -> NetFits:
    """Fit the deformation of a net to the spots of some patterns, by weighted least squares.

    A spot belongs to the nearest node, the brightest spot of each. The fit has four components of the deformation,
    with a wide prior, and the centre, with that of the beam's error: k = (1 + D) x + c for nodes laid at x. Two rounds:
    spots near their nodes first, then those within four standard deviations.

    Parameters
    ----------
    rows
        Patterns (n,).
    laid
        Takes the net to where it is expected in each (n, 2, 2), in order (ky, kx), a tilt of the crystal included.
    floor_inv_a
        Smallest error of a position along one axis.
    centre_sigma_inv_a
        One-sigma error of the beam's position along one axis.
    """
    parts = [
        _fit_some(spots, rows[part], laid[part], net, floor_inv_a, centre_sigma_inv_a)
        for part in (slice(first, first + _AT_ONCE) for first in range(0, max(len(rows), 1), _AT_ONCE))
    ]
    return NetFits.join(parts)


def _fit_some(
    spots: Spots, rows: IntArray, laid: FloatArray, net: ZoneNet, floor_inv_a: float, centre_sigma_inv_a: float
) -> NetFits:
    """As ``fit_nets``, all at once."""
    counts = np.diff(spots.offsets)[rows]
    owner = np.repeat(np.arange(len(rows)), counts)
    ends = np.cumsum(counts)
    chosen = spots.offsets[rows][owner] + np.arange(len(owner)) - (ends - counts)[owner]
    k, sigma = spots.k_inv_a[chosen], np.hypot(spots.sigma_inv_a[chosen], floor_inv_a)
    prior = np.array([_PRIOR, _PRIOR, centre_sigma_inv_a]) ** -2.0
    own = _OWN_SHARE * float(np.hypot(*net.basis_inv_a.T).min())
    deformation, shift = np.broadcast_to(np.eye(2), laid.shape), np.zeros((len(rows), 2))
    rough = _ROUGH_INV_A + _ROUGH_RELATIVE * np.hypot(*k.T) + 3.0 * centre_sigma_inv_a
    for reach in (rough, _REACH_SIGMAS * np.hypot(*sigma.T)):
        expected = (deformation @ laid)[owner]
        centred = k - shift[owner]
        node = np.rint(np.linalg.solve(expected, centred[..., None])[..., 0] @ np.linalg.inv(net.basis_inv_a))
        x = np.einsum("nij,nj->ni", expected, node @ net.basis_inv_a)
        near = node.any(axis=1) & (np.hypot(*(centred - x).T) <= np.minimum(reach, own))
        near[near] = _first_of_each(owner[near], node[near])
        mine, at = owner[near], np.einsum("nij,nj->ni", laid[owner[near]], node[near] @ net.basis_inv_a)
        weight = sigma[near] ** -2.0
        deformation, shift, covariance, misfit, freedom = _solve(mine, at, k[near], weight, prior, len(rows))
    turn = turns(polar(laid)[0])
    return NetFits(deformation @ turn, covariance, np.bincount(mine, minlength=len(rows)), misfit, freedom)


def _first_of_each(owner: IntArray, node: FloatArray) -> BoolArray:
    """Mark the first, and brightest, spot of each node of each pattern (N,)."""
    _, first = np.unique(np.column_stack([owner, node]), axis=0, return_index=True)
    out = np.zeros(len(owner), dtype=bool)
    out[first] = True
    return out


def _solve(
    owner: IntArray, x: FloatArray, k: FloatArray, weight: FloatArray, prior: FloatArray, n: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Deformation (n, 2, 2), shift (n, 2), covariance of the deformation's rows (n, 2, 2, 2), misfit, freedom (n,)."""
    design = np.column_stack([x, np.ones(len(x))])
    products = design[:, :, None] * design[:, None, :]
    deformation, shift, covariance = np.empty((n, 2, 2)), np.empty((n, 2)), np.empty((n, 2, 2, 2))
    misfit, freedom = np.zeros(n), 2.0 * np.bincount(owner, minlength=n)
    for axis in range(2):
        w, residual = weight[:, axis], k[:, axis] - x[:, axis]
        data = np.zeros((n, 3, 3))
        np.add.at(data, owner, w[:, None, None] * products)
        right = np.zeros((n, 3))
        np.add.at(right, owner, (w * residual)[:, None] * design)
        inverse = np.linalg.inv(data + np.diag(prior))
        value = np.einsum("nij,nj->ni", inverse, right)
        deformation[:, axis] = np.eye(2)[axis] + value[:, :2]
        shift[:, axis] = value[:, 2]
        covariance[:, axis] = inverse[:, :2, :2]
        left = residual - (value[owner] * design).sum(axis=1)
        misfit += np.bincount(owner, w * left**2, minlength=n)
        freedom -= np.einsum("nij,nji->n", data, inverse)
    return deformation, shift, covariance, misfit, np.asarray(freedom, dtype=np.float64)


def excess_of(parts: Sequence[NetFits]) -> float:
    """By what factor, at least 1, spots stray from their nets beyond their own variance, over all positions."""
    misfit = sum(float(fits.misfit[fits.is_known].sum()) for fits in parts)
    freedom = sum(float(fits.freedom[fits.is_known].sum()) for fits in parts)
    return max(misfit / max(freedom, 1.0), 1.0)


def turns(angle_rad: FloatArray) -> FloatArray:
    """Matrices (n, 2, 2) in order (ky, kx) that turn from +kx towards +ky."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=-2)


def polar(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Angle (n,) and symmetric stretch (n, 2, 2) of matrix = turn @ stretch."""
    angle = np.arctan2(matrix[:, 0, 1] - matrix[:, 1, 0], matrix[:, 0, 0] + matrix[:, 1, 1])
    return angle, np.swapaxes(turns(angle), 1, 2) @ matrix


def fold_of(net: ZoneNet) -> int:
    """How many rotations take a net to itself: 6, 4 or 2."""
    one, two = net.basis_inv_a
    if is_hexagonal_net(net):
        return 6
    is_square = abs(one @ two) < 1e-3 * (one @ one) and abs(two @ two / (one @ one) - 1.0) < 2e-3
    return 4 if is_square else 2


def mean_net(fits: NetFits, fold: int) -> Reference:
    """Mean net of some positions; each may have been indexed in any of the ``fold`` equivalent ways."""
    angle, _ = polar(fits.matrix)
    middle = float(np.angle(np.exp(1j * fold * angle).mean()) / fold)
    _, stretch = polar(_as_indexed(fits.matrix, middle, fold))
    covariance, sigma = _errors(fits.covariance)
    n = len(angle)
    return Reference(middle, stretch.mean(axis=0), covariance.mean(axis=0) / n, float(np.sqrt((sigma**2).mean() / n)))


def _as_indexed(matrix: FloatArray, angle_rad: float, fold: int) -> FloatArray:
    """Index nets (n, 2, 2) anew so that they are turned as little as may be against an angle."""
    period = 2.0 * np.pi / fold
    return matrix @ turns(-period * np.rint((polar(matrix)[0] - angle_rad) / period))


def strains_of(fits: NetFits, reference: Reference | None, fold: int, axes_deg: float = 0.0) -> Strains:
    """Strain and rotation of nets against a reference, or against the net of the file.

    With the reciprocal stretch U of a net and U_0 of the reference, W = U U_0^-1 is what happened to reciprocal
    lengths and inv(W)^T to lengths; its symmetric part less 1 is the strain, in the axes of the net, which are then
    turned with it (small strains; Nye, Physical Properties of Crystals, 1985, ch. 6). Errors are those of both nets.

    Parameters
    ----------
    axes_deg
        Rotation of the axes of the detector against those of the scan; strains are given along the latter.
    """
    matrix = fits.matrix if reference is None else _as_indexed(fits.matrix, reference.angle_rad, fold)
    angle, stretch = polar(matrix)
    change = stretch if reference is None else stretch @ np.linalg.inv(reference.stretch)
    lengths = np.swapaxes(np.linalg.inv(change), 1, 2)
    into_scan = turns(np.array([np.deg2rad(axes_deg)]))
    turn = into_scan @ turns(angle)
    strain = turn @ (0.5 * (lengths + np.swapaxes(lengths, 1, 2)) - np.eye(2)) @ np.swapaxes(turn, 1, 2)
    covariance, rotation_sigma = _errors(fits.covariance)
    if reference is not None:
        covariance = covariance + reference.covariance
        rotation_sigma = np.hypot(rotation_sigma, reference.angle_sigma_rad)
    move = _moves_components(into_scan[0])
    tensor = np.stack([strain[:, 0, 0], strain[:, 1, 1], strain[:, 0, 1]], axis=1)
    rotation = np.rad2deg(angle - (0.0 if reference is None else reference.angle_rad))
    return Strains(tensor, move @ covariance @ move.T, rotation, np.rad2deg(rotation_sigma))


def _errors(covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Covariance (n, 3, 3) of yy, xx, xy and error of the rotation in rad (n,), from that of the deformation's rows."""
    along_y, along_x = covariance[:, 0], covariance[:, 1]
    out = np.zeros((len(covariance), 3, 3))
    out[:, 0, 0], out[:, 1, 1] = along_y[:, 0, 0], along_x[:, 1, 1]
    shear = 0.25 * (along_y[:, 1, 1] + along_x[:, 0, 0])
    out[:, 2, 2] = shear
    out[:, 0, 2] = out[:, 2, 0] = 0.5 * along_y[:, 0, 1]
    out[:, 1, 2] = out[:, 2, 1] = 0.5 * along_x[:, 0, 1]
    return out, np.sqrt(shear)


def _moves_components(turn: FloatArray) -> FloatArray:
    """Matrix (3, 3) that takes yy, xx, xy of a symmetric tensor to those of the turned one."""
    basis = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    moved = turn @ basis @ turn.T
    return np.stack([moved[:, 0, 0], moved[:, 1, 1], moved[:, 0, 1]])


def spacings_of(fits: NetFits, nodes_inv_a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean spacing (Å) of some nodes (N, 2) of the net in each fit (n,), and its one-sigma error.

    The error is that of the fit; the scale's, which all positions share, comes on top.
    """
    g = nodes_inv_a @ np.swapaxes(fits.matrix, 1, 2)
    length = np.sqrt((g**2).sum(axis=2))
    unit = g / length[..., None]
    # A spacing grows by n · E n for strain E: its components yy, xx and, twice, xy.
    weight = np.stack([unit[..., 0] ** 2, unit[..., 1] ** 2, 2.0 * unit[..., 0] * unit[..., 1]], axis=-1).mean(axis=1)
    covariance, _ = _errors(fits.covariance)
    d = 1.0 / length.mean(axis=1)
    return d, d * np.sqrt(np.einsum("ni,nij,nj->n", weight, covariance, weight))
