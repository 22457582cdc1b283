"""The rival of every match: a crystal that is not on the list, whose net may be any two-dimensional lattice.

That a net of a candidate meets many spots says little if they form a lattice: two of them met, all are. What counts is
how much better its net foretold the places of the spots than a lattice that was laid through them.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from friedel.core.arrays import BoolArray, FloatArray, IntArray

#: Spots, the most significant, any two of which may span the free net.
_SPANNING = 12
#: Free nets, the likeliest, of which the nodes are counted one by one.
_COUNTED = 4
#: Least sine of the angle between the two, and least distance of nodes, in 1/Å.
_LEAST_SINE, _LEAST_LENGTH_INV_A = 0.2, 0.08
#: Least determinant over squared trace of the normal equations: nodes on one line through the beam fix no net.
_LEAST_SPAN = 1e-9
#: Range of the logarithm of the ratio of two lengths in a free net.
_RATIO_RANGE = np.log(4.0)
#: Nets are oblique, rectangular, rhombic, square or hexagonal, in equal shares.
_FAMILIES = 5
_SQRT_2PI = np.sqrt(2.0 * np.pi)


def net_evidence(
    nodes: FloatArray,
    is_allowed: BoolArray,
    k: FloatArray,
    sigma: FloatArray,
    *,
    n_allowed: int,
    n_other: int,
    n_nets: int,
    strain_sigma: float,
    annulus_inv_a: tuple[float, float],
) -> float:
    """Log evidence of a candidate's net for the places of spots, relative to spots without order.

    Each spot on a node is spared the cost of a place anywhere in the annulus and pays for its distance; which nodes
    are lit is free, at the cost of naming them. Rotation, with a flat prior, and a strain are integrated out.

    Parameters
    ----------
    nodes
        Node nearest to each spot (m, 2), at the rotation of the match.
    is_allowed
        Whether the node is a reflection that the candidate should show (m,), rather than one that other beams may
        light up.
    k, sigma
        Places of the spots (m, 2), 1/Å, and their one-sigma errors (m,) along one axis.
    n_allowed, n_other
        Nodes of either kind in the annulus.
    n_nets
        Nets that were tried.
    """
    z, c = k[:, 1] + 1j * k[:, 0], nodes[:, 1] + 1j * nodes[:, 0]
    weight = sigma**-2.0
    # Strain and rotation together are one complex factor; a prior draws the strain towards none.
    stiffness = float(weight @ np.abs(c) ** 2)
    factor = complex(np.sum(weight * np.conj(c) * z) / stiffness)
    strain = (factor.real - 1.0) * stiffness / (stiffness + strain_sigma**-2.0)
    off = np.abs(z - c * (1.0 + strain + 1j * factor.imag)) ** 2
    gain = _gain(off, sigma, annulus_inv_a)
    met = gain > 0
    fit = -0.5 * (strain / strain_sigma) ** 2 - 0.5 * np.log1p(stiffness * strain_sigma**2)
    rotation = np.log(_SQRT_2PI / np.pi) - 0.5 * np.log(stiffness)
    lit, lit_by_others = int((met & is_allowed).sum()), int((met & ~is_allowed).sum())
    naming = _naming(max(n_allowed, lit), lit) + _naming(max(n_other, lit_by_others), lit_by_others)
    return float(gain[met].sum() + fit + rotation - naming - np.log(n_nets))


def free_net_evidence(
    k: FloatArray, sigma: FloatArray, matched: BoolArray, annulus_inv_a: tuple[float, float]
) -> float:
    """Log evidence of the best free net through two of the spots, one of them matched by the candidate; at least 0.

    Four numbers are fitted and integrated out, with a flat prior over two vectors of the pattern (Laplace's method,
    exact here: MacKay, Information Theory, Inference, and Learning Algorithms, 2003, ch. 28). Square, hexagonal,
    rectangular and rhombic nets have fewer free numbers: their evidence follows from the density of the fit at the
    angle and the ratio that they fix, over the prior's (Savage-Dickey: Dickey, Ann. Math. Stat. 42, 204, 1971).

    Parameters
    ----------
    k, sigma
        Places (n, 2) of all spots, the most significant first, and their errors (n,).
    matched
        Those that the candidate explains (n,).
    """
    best = np.concatenate([np.flatnonzero(matched)[:_SPANNING], np.flatnonzero(~matched)[: _SPANNING // 2]])
    i, j = (best[x] for x in np.triu_indices(len(best), k=1))
    basis = np.stack([k[i], k[j]], axis=1)[matched[i] | matched[j]]
    sigma_of = np.stack([sigma[i], sigma[j]], axis=1)[matched[i] | matched[j]]
    basis, sigma_of = basis[_is_usable(basis)], sigma_of[_is_usable(basis)]
    if not len(basis):
        return 0.0
    for first in (True, False):
        # The spots that span a net have errors of their own, until all that it explains have been fitted.
        u = np.rint(np.einsum("nk,qkd->qnd", k, np.linalg.inv(basis)))
        extra = (u**2 @ (sigma_of**2)[..., None])[..., 0] if first else 0.0
        off = ((k - u @ basis) ** 2).sum(axis=-1)
        met = (off <= 9.0 * (sigma**2 + extra)) & u.any(axis=-1)
        weight = met / sigma**2
        normal = np.einsum("qn,qna,qnb->qab", weight, u, u)
        spans = np.linalg.det(normal) > _LEAST_SPAN * np.trace(normal, axis1=1, axis2=2) ** 2
        sigma_of, u, met, weight, normal = (values[spans] for values in (sigma_of, u, met, weight, normal))
        basis = np.linalg.solve(normal, np.einsum("qn,qna,nd->qad", weight, u, k))
    usable = _is_usable(basis)
    basis, normal, u, met = basis[usable], normal[usable], u[usable], met[usable]
    gain = np.where(met, _gain(((k - u @ basis) ** 2).sum(axis=-1), sigma, annulus_inv_a), 0.0)
    covariance, n_lit = np.linalg.inv(normal), (gain > 0).sum(axis=1)
    prior = 2.0 * np.log(np.pi * annulus_inv_a[1] ** 2) - 2.0 * np.log(2.0 * np.pi)
    fit = np.maximum(gain, 0.0).sum(axis=1) - prior + np.log(np.linalg.det(covariance)) + _symmetry(basis, covariance)
    density = 1.0 / np.abs(np.linalg.det(basis))
    about = np.pi * (annulus_inv_a[1] ** 2 - annulus_inv_a[0] ** 2) * density
    likely = np.argsort(-(fit - _naming(np.maximum(about, n_lit), n_lit)), kind="stable")[:_COUNTED]
    n_nodes = np.array([max(count_nodes(basis[q], annulus_inv_a), n_lit[q]) for q in likely])
    return float(np.max(fit[likely] - _naming(n_nodes, n_lit[likely]), initial=0.0))


def count_nodes(basis: FloatArray, annulus_inv_a: tuple[float, float]) -> int:
    """Count the nodes of a net, rows of ``basis`` (2, 2), in an annulus."""
    low, high = annulus_inv_a
    reach = np.ceil(high * np.linalg.norm(np.linalg.inv(basis), axis=0)).astype(int)
    u, v = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    radius = np.hypot(*(np.stack([u.ravel(), v.ravel()], axis=1) @ basis).T)
    return int(((radius >= low) & (radius <= high)).sum())


def _symmetry(basis: FloatArray, covariance: FloatArray) -> FloatArray:
    """Log of the evidence of the likeliest family of nets over that of an oblique net (Q,)."""
    length = np.linalg.norm(basis, axis=2)
    cosine = np.clip((basis[:, 0] * basis[:, 1]).sum(axis=1) / length.prod(axis=1), -1.0, 1.0)
    angle, log_ratio = np.arccos(cosine), np.log(length[:, 0] / length[:, 1])
    # Angle and logarithm of the ratio have the same error.
    variance = (covariance[:, [0, 1], [0, 1]] / length**2).sum(axis=1)
    sigma = np.sqrt(np.maximum(variance - 2.0 * covariance[:, 0, 1] * cosine / length.prod(axis=1), 1e-12))

    def surprise(value: FloatArray, prior_range: float) -> FloatArray:
        return np.asarray(np.log(prior_range / (_SQRT_2PI * sigma)) - 0.5 * (value / sigma) ** 2)

    right = surprise(angle - np.pi / 2.0, np.pi)
    sixty = np.maximum(surprise(angle - np.pi / 3.0, np.pi), surprise(angle - 2.0 * np.pi / 3.0, np.pi))
    equal = surprise(log_ratio, _RATIO_RANGE)
    families = np.stack([np.zeros(len(basis)), right, equal, right + equal, sixty + equal])
    return np.asarray(families.max(axis=0) - np.log(_FAMILIES))


def _is_usable(basis: FloatArray) -> BoolArray:
    """Whether two vectors (Q, 2, 2) span a net that is neither a row nor so fine that it meets anything (Q,)."""
    det = np.abs(np.linalg.det(basis))
    return np.asarray(
        det > np.maximum(_LEAST_SINE * np.linalg.norm(basis, axis=2).prod(axis=1), _LEAST_LENGTH_INV_A**2)
    )


def _gain(off2: FloatArray, sigma: FloatArray, annulus_inv_a: tuple[float, float]) -> FloatArray:
    """Log of the density of a spot at its distance from a node over that of a spot anywhere in the annulus."""
    area = np.pi * (annulus_inv_a[1] ** 2 - annulus_inv_a[0] ** 2)
    return np.asarray(np.log(area / (2.0 * np.pi * sigma**2)) - 0.5 * off2 / sigma**2)


def _naming(n_nodes: FloatArray | float, n_lit: IntArray | int) -> FloatArray:
    """Log of the number of ways to light some of the nodes, and of the choices how many."""
    ways = special.gammaln(n_nodes + 1.0) - special.gammaln(n_lit + 1.0) - special.gammaln(n_nodes - n_lit + 1.0)
    return np.asarray(ways + np.log(n_nodes + 1.0))
