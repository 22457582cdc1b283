"""Zone axes, and the two-dimensional net of reflections that each shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray, read_only
from friedel.core.errors import CrystalError
from friedel.crystal.factors import forward_amplitudes, structure_factors
from friedel.crystal.hkl import Reflections, representatives
from friedel.crystal.structure import Crystal

#: A reflection is extinct where |F|^2 is below this share of what its atoms would give in phase.
EXTINCT_SHARE = 1e-6
#: Nodes of the zone, in steps of its shortest vectors, among which the allowed ones are looked for.
_PROBE = 6
#: So many of them, the shortest, nearly always hold an allowed one.
_FIRST_PROBE = 16


@dataclass(frozen=True, slots=True, eq=False)
class ZoneNet:
    """Zero-order Laue zone of one zone axis, shortest vectors first.

    The axes (kx, ky, [uvw]) are right-handed, and the shortest allowed reflection lies along +kx. Drawn as an array,
    with kx to the right and ky down, [uvw] points away from the viewer, the way that the electrons travel.

    Parameters
    ----------
    uvw
        Zone axis, coprime.
    hkl
        Miller indices (N, 3) of all nodes with hu + kv + lw = 0 except 000, extinct ones included.
    k_inv_a
        Positions (N, 2) in 1/Å, in order (ky, kx).
    f2
        Squared modulus of the kinematic structure factor in Å², (N,).
    is_extinct
        Whether the structure factor vanishes, (N,): by centring, by screw axes and glide planes, or by the sites.
        Double diffraction may light up the last two, never the first.
    basis_inv_a
        Rows (2, 2), in order (ky, kx), of the two shortest vectors of the net that the allowed reflections span, the
        second 60 to 120 degrees from the first in the sense from kx to ky. A vector of the basis may itself be extinct
        where screw axes or glide planes thin out a row.
    """

    uvw: tuple[int, int, int]
    hkl: IntArray
    k_inv_a: FloatArray
    f2: FloatArray
    is_extinct: BoolArray
    basis_inv_a: FloatArray

    def __post_init__(self) -> None:
        for name, ndim, dtype in (("hkl", 2, np.int64), ("k_inv_a", 2, float), ("f2", 1, float),
                                  ("is_extinct", 1, np.bool_), ("basis_inv_a", 2, float)):  # fmt: skip
            object.__setattr__(self, name, read_only(getattr(self, name), ndim=ndim, name=name, dtype=dtype))

    def __len__(self) -> int:
        return len(self.hkl)

    @property
    def radius_inv_a(self) -> FloatArray:
        """Distance of each node from the transmitted beam in 1/Å, (N,)."""
        return np.asarray(np.hypot(self.k_inv_a[:, 0], self.k_inv_a[:, 1]))

    @property
    def d_a(self) -> FloatArray:
        """Spacing of each node in Å, (N,)."""
        return 1.0 / self.radius_inv_a


def zone_axes(crystal: Crystal, max_index: int = 3) -> IntArray:
    """Zone axes [uvw] (Z, 3) that the Laue class does not make equivalent, coprime, lowest indices first.

    The member with the smallest indices stands for its family, then one with few negative ones, then the first in the
    order of u, v, w: [001], [011], [111], [012], ... of a cubic crystal.
    """
    if not 1 <= max_index <= 12:
        raise CrystalError(f"max_index must lie between 1 and 12, got {max_index}.")
    steps = np.arange(-max_index, max_index + 1)
    uvw = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    uvw = uvw[np.gcd.reduce(uvw, axis=1) == 1]
    turned = np.transpose(crystal.space_group.laue_rotations, (0, 2, 1))
    # The columns are reversed so that the preference for large first indices becomes one for large last ones.
    families = representatives(uvw[:, ::-1], turned[:, ::-1, ::-1])[:, ::-1]
    families = families[np.abs(families).max(axis=1) <= max_index]
    size = np.abs(families)
    order = np.lexsort((families[:, 2], families[:, 1], families[:, 0], size.sum(axis=1), size.max(axis=1)))
    return np.ascontiguousarray(families[order])


def zone_net(crystal: Crystal, uvw: tuple[int, int, int] | IntArray, g_max_inv_a: float) -> ZoneNet:
    """Net of reflections of one zone axis up to ``g_max_inv_a`` in 1/Å.

    Parameters
    ----------
    uvw
        Zone axis in units of the cell's axes; a common factor is divided out.

    Raises
    ------
    CrystalError
        If uvw is 000 or not of whole numbers, or ``g_max_inv_a`` is not in (0, 20].
    """
    axis = _coprime(uvw)
    if not 0 < g_max_inv_a <= 20:
        raise CrystalError(f"The largest |g| must lie in (0, 20] 1/Å, got {g_max_inv_a:g}.")
    nodes = _shortest(_zone_basis(axis), crystal.reciprocal_basis_inv_a)
    allowed = _allowed_near_origin(crystal, nodes)
    frame = _frame(crystal, axis, allowed[0] if len(allowed) else nodes[0])
    hkl = _nodes_within(crystal, nodes, g_max_inv_a)
    k = crystal.g_inv_a(hkl) @ frame.T
    azimuth = np.round(np.arctan2(k[:, 0], k[:, 1]), 9) % (2 * np.pi)
    order = np.lexsort((azimuth, np.round(np.hypot(k[:, 0], k[:, 1]), 9)))
    hkl, k = hkl[order], k[order]
    f2, extinct = _judge(crystal, hkl)
    basis = _right_handed(crystal.g_inv_a(_spanning_pair(crystal, nodes, allowed)) @ frame.T)
    return ZoneNet(axis, hkl, k, f2, extinct, basis)


def zone_frame(crystal: Crystal, uvw: tuple[int, int, int] | IntArray, known: Reflections | None = None) -> FloatArray:
    """Cartesian unit vectors (3, 3) in rows ky, kx and [uvw], as ``zone_net`` lays the zone: for nodes of any zone.

    Parameters
    ----------
    known
        All reflections up to some radius, which spare computing those of the zone.

    Raises
    ------
    CrystalError
        If uvw is 000 or not of whole numbers.
    """
    axis = _coprime(uvw)
    along_kx = None if known is None else _first_allowed(crystal, axis, known)
    if along_kx is None:
        along_kx = _shortest_allowed(crystal, _shortest(_zone_basis(axis), crystal.reciprocal_basis_inv_a))
    ky, kx = _frame(crystal, axis, along_kx)
    return np.stack([ky, kx, np.cross(kx, ky)])


def ring_radii_inv_a(net: ZoneNet, *, relative_tolerance: float = 1e-3) -> FloatArray:
    """Radii in 1/Å of the rings that the allowed reflections lie on, smallest first.

    Radii closer than ``relative_tolerance`` are one ring. [001] of O3 NMC811 starts at {110}, 0.696 1/Å, since
    {100} is forbidden by the centring; [001] of O1 starts at {100}, 0.41 1/Å.
    """
    radii = np.sort(net.radius_inv_a[~net.is_extinct])
    return np.asarray(radii[np.diff(radii, prepend=0.0) > relative_tolerance * radii])


def is_hexagonal_net(net: ZoneNet, *, relative_tolerance: float = 1e-3) -> bool:
    """Whether the allowed reflections span a hexagonal net: two equal shortest vectors at 60 or 120 degrees."""
    lengths = np.linalg.norm(net.basis_inv_a, axis=1)
    cosine = float(net.basis_inv_a[0] @ net.basis_inv_a[1]) / float(lengths[0] * lengths[1])
    return bool(abs(lengths[1] / lengths[0] - 1) < relative_tolerance and abs(abs(cosine) - 0.5) < relative_tolerance)


def _coprime(uvw: tuple[int, int, int] | IntArray) -> tuple[int, int, int]:
    values = np.asarray(uvw)
    if values.shape != (3,) or values.dtype.kind not in "iu" or not values.any():
        raise CrystalError(f"A zone axis is three whole numbers that are not all 0, got {uvw}. Write it as 0,0,1.")
    u, v, w = (int(x) // int(np.gcd.reduce(values)) for x in values)
    return u, v, w


def _zone_basis(uvw: tuple[int, int, int]) -> IntArray:
    """Two vectors hkl (2, 3) that span all hkl with hu + kv + lw = 0."""
    u, v, w = uvw
    if u == v == 0:
        return np.array([[1, 0, 0], [0, 1, 0]])
    g, s, t = _bezout(u, v)
    return np.array([[v // g, -u // g, 0], [-w * s, -w * t, g]])


def _bezout(a: int, b: int) -> tuple[int, int, int]:
    """Return (g, s, t) with s a + t b = g, the greatest common divisor up to sign."""
    if b == 0:
        return a, 1, 0
    g, s, t = _bezout(b, a % b)
    return g, t, s - (a // b) * t


def _shortest(pair: IntArray, reciprocal_basis_inv_a: FloatArray) -> IntArray:
    """Two shortest vectors of the net spanned by two hkl (2, 3), the shorter first, 60 to 90 degrees apart.

    Lagrange-Gauss reduction: take away the nearest multiple of the shorter from the longer until nothing changes.
    """
    short, long = pair
    while True:
        g = np.stack([short, long]) @ reciprocal_basis_inv_a
        if g[1] @ g[1] < (g[0] @ g[0]) * (1 - 1e-9):
            short, long, g = long, short, g[::-1]
        steps = int(np.rint((g[0] @ g[1]) / (g[0] @ g[0]) * (1 - 1e-9)))
        if steps == 0:
            return np.stack([short, long if g[0] @ g[1] >= -1e-12 else -long])
        long = long - steps * short


def _allowed_near_origin(crystal: Crystal, nodes: IntArray) -> IntArray:
    """Allowed hkl (N, 3) within a few steps of the origin, shortest first; N may be 0."""
    hkl = _near_origin(crystal, nodes)
    return np.asarray(hkl[~_judge(crystal, hkl)[1]])


def _shortest_allowed(crystal: Crystal, nodes: IntArray) -> IntArray:
    """First row (3,) of ``_allowed_near_origin``, or the shorter node if there is none."""
    hkl = _near_origin(crystal, nodes)
    for part in np.split(hkl, [_FIRST_PROBE]):
        allowed = part[~_judge(crystal, part)[1]]
        if len(allowed):
            return np.asarray(allowed[0])
    return np.asarray(nodes[0])


def _first_allowed(crystal: Crystal, uvw: tuple[int, int, int], known: Reflections) -> IntArray | None:
    """First of the shortest known reflections (3,) of a zone that is allowed; None if there is none."""
    in_zone = np.flatnonzero(known.hkl @ np.array(uvw) == 0)[:_FIRST_PROBE]
    allowed = in_zone[~_is_extinct(crystal, known.hkl[in_zone], known.f2[in_zone])]
    return np.asarray(known.hkl[allowed[0]]) if len(allowed) else None


def _near_origin(crystal: Crystal, nodes: IntArray) -> IntArray:
    """All hkl (N, 3) within a few steps of the origin, shortest first."""
    steps = np.arange(-_PROBE, _PROBE + 1)
    mn = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    hkl = mn[mn.any(axis=1)] @ nodes
    radius = np.round(np.linalg.norm(crystal.g_inv_a(hkl), axis=1), 9)
    return np.asarray(hkl[np.lexsort((-hkl[:, 2], -hkl[:, 1], -hkl[:, 0], radius))])


def _spanning_pair(crystal: Crystal, nodes: IntArray, allowed: IntArray) -> IntArray:
    """Two shortest hkl (2, 3) of the net that the allowed reflections span; ``nodes`` if they lie on one line."""
    mn = np.rint(allowed @ np.linalg.pinv(nodes)).astype(np.int64)
    generators = _generate(mn)
    return nodes if generators is None else _shortest(generators @ nodes, crystal.reciprocal_basis_inv_a)


def _generate(mn: IntArray) -> IntArray | None:
    """Basis (2, 2) of the net that whole-number vectors (N, 2) span, or None if they lie on one line."""
    p, q, r = 0, 0, 0  # rows (p, q) and (0, r)
    for m, n in mn.tolist():
        while m:
            p, q, m, n = m, n, p % m, q - (p // m) * n
        r = math.gcd(r, n)
        q = q % r if r else q
    return np.array([[p, q], [0, r]]) if p and r else None


def _frame(crystal: Crystal, uvw: tuple[int, int, int], along_kx: IntArray) -> FloatArray:
    """Cartesian unit vectors (2, 3) of ky and kx, the latter along a reflection of the zone."""
    z = np.array(uvw) @ crystal.direct_basis_a
    kx = crystal.g_inv_a(along_kx)
    kx /= np.linalg.norm(kx)
    return np.stack([np.cross(z / np.linalg.norm(z), kx), kx])


def _right_handed(basis_inv_a: FloatArray) -> FloatArray:
    """Reverse rows so that the first points to +kx and the second lies in the sense from kx to ky."""
    first, second = basis_inv_a
    first = first * (1.0 if first[1] > -1e-12 else -1.0)
    turn = first[1] * second[0] - first[0] * second[1]
    return np.stack([first, second * math.copysign(1.0, turn)])


def _nodes_within(crystal: Crystal, nodes: IntArray, g_max_inv_a: float) -> IntArray:
    g = crystal.g_inv_a(nodes)
    metric = g @ g.T
    reach = g_max_inv_a * np.sqrt(np.linalg.inv(metric).diagonal()) * (1 + 1e-9)
    m, n = (np.arange(-int(r), int(r) + 1) for r in reach)
    mn = np.stack(np.meshgrid(m, n, indexing="ij"), axis=-1).reshape(-1, 2)
    radius = np.linalg.norm(mn @ g, axis=1)
    return np.asarray(mn[(radius <= g_max_inv_a * (1 + 1e-9)) & mn.any(axis=1)] @ nodes)


def _judge(crystal: Crystal, hkl: IntArray) -> tuple[FloatArray, BoolArray]:
    """Squared structure factors in Å² and whether each vanishes, (N,)."""
    f2 = np.abs(structure_factors(crystal, hkl)) ** 2
    return f2, _is_extinct(crystal, hkl, f2)


def _is_extinct(crystal: Crystal, hkl: IntArray, f2: FloatArray) -> BoolArray:
    return np.asarray(f2 < EXTINCT_SHARE * forward_amplitudes(crystal, hkl) ** 2)
