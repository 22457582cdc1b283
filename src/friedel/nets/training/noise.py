"""The composite noise of many patterns at once in torch: the batched twin of ``friedel.simulate.patterns.noise``.

Formulas and their sources are there; here every setting is a tensor (n,), one value per pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from friedel.core.arrays import AnyArray
from friedel.nets.training.render import blur_transfer, filter_batch
from friedel.simulate.patterns.detector import Detector
from friedel.simulate.patterns.noise import SECOND_RING, Noise, NoiseRanges
from friedel.simulate.ranges import Range

#: What counts as a spike; see ``friedel.patterns.repair``.
_SPIKE_RATIO, _SPIKE_ELECTRONS = 5.0, 8.0


@dataclass(frozen=True, slots=True, eq=False)
class NoiseBatch:
    """Settings of n patterns: those of ``Noise`` and ``Detector`` by name, each a float32 tensor (n,)."""

    values: dict[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]

    def image(self, name: str) -> Tensor:
        """Return a setting with axes for the pixels (n, 1, 1)."""
        return self.values[name][:, None, None]


def pack(noises: Sequence[Noise], device: str = "cpu") -> NoiseBatch:
    """Gather the settings of patterns; all tiles are taken as 2 x 2 where there are gaps."""
    columns = {name: [float(getattr(noise, name)) for noise in noises] for name in _names(Noise)}
    columns |= {name: [float(getattr(noise.detector, name)) for noise in noises] for name in _names(Detector)}
    return NoiseBatch({name: torch.tensor(values, device=device) for name, values in columns.items()})


def draw_noise_batch(ranges: NoiseRanges, n: int, rng: np.random.Generator, device: str = "cpu") -> NoiseBatch:
    """Draw the settings of n patterns."""
    columns: dict[str, AnyArray] = {}
    for owner, limits in ((Noise(), ranges), (Detector(), ranges.detector)):
        for name in _names(type(owner)):
            default = float(getattr(owner, name))
            limit = getattr(limits, name, None)
            columns[name] = draw_many(limit, n, rng, default) if isinstance(limit, Range) else np.full(n, default)
    columns["is_counting"] = (rng.random(n) < ranges.detector.counting_chance).astype(float)
    low, high = ranges.detector.gap_px
    columns["gap_px"] = (rng.random(n) < ranges.detector.tiled_chance) * rng.integers(low, high + 1, n).astype(float)
    return NoiseBatch({name: torch.as_tensor(values, dtype=torch.float32, device=device)
                       for name, values in columns.items()})  # fmt: skip


def draw_many(limits: Range, n: int, rng: np.random.Generator, default: float = 0.0) -> AnyArray:
    """Draw n values of a range; what its chance leaves out keeps the default."""
    if limits.is_log:
        values = np.exp(rng.uniform(np.log(limits.low), np.log(limits.high), n))
    else:
        values = rng.uniform(limits.low, limits.high, n)
    return np.where(rng.random(n) < limits.chance, values, default)


def dim_spots_batch(share: Tensor, direct: Tensor, noise: NoiseBatch, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Take light from spots (n, s) and leave it in the beam (n,)."""
    fate, depth = (torch.rand(share.shape, generator=rng, device=share.device) for _ in range(2))
    lost = torch.where(fate < noise["dim_chance"][:, None], noise["dim_depth"][:, None] * depth, 0.0)
    return share * (1.0 - lost), direct + (share * lost).sum(dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where the patterns of a batch lie on their detector.

    Parameters
    ----------
    shape
        Pixels (ky, kx).
    step_inv_a
        1/Å per pixel (n,).
    centre_px
        Transmitted beam (n, 2), descan included.
    to_px
        Matrices (n, 2, 2) that stretch a round pattern to the ellipse.
    """

    shape: tuple[int, int]
    step_inv_a: Tensor
    centre_px: Tensor
    to_px: Tensor

    @staticmethod
    def of(shape: tuple[int, int], step_inv_a: Tensor, centre_px: Tensor, noise: NoiseBatch) -> Plane:
        """Shift the nominal centre (n, 2) by the descan, and stretch along the ellipse."""
        c, s = torch.cos(noise["ellipse_rad"]), torch.sin(noise["ellipse_rad"])
        root = torch.sqrt(1.0 + noise["ellipticity"])
        yy, xx = root * s * s + c * c / root, root * c * c + s * s / root
        yx = (root - 1.0 / root) * s * c
        to_px = torch.stack([yy, yx, yx, xx], dim=-1).reshape(-1, 2, 2)
        shift = torch.stack([noise["shift_y_px"], noise["shift_x_px"]], dim=1)
        return Plane(shape, step_inv_a, centre_px + shift, to_px)

    def px_of(self, k_inv_a: Tensor) -> Tensor:
        """Positions in pixels of reciprocal vectors (n, s, 2)."""
        return self.centre_px[:, None] + (k_inv_a @ self.to_px) / self.step_inv_a[:, None, None]

    def offsets(self) -> tuple[Tensor, Tensor]:
        """Distance of each row (n, ky, 1) and column (n, 1, kx) from the centre."""
        y, x = (torch.arange(size, device=self.centre_px.device, dtype=torch.float32) for size in self.shape)
        return y[:, None] - self.centre_px[:, 0, None, None], x - self.centre_px[:, 1, None, None]

    def k2_inv_a2(self) -> Tensor:
        """Squared radius of each pixel (n, ky, kx) in 1/Å^2, the ellipse undone."""
        undo = torch.linalg.inv(self.to_px)
        y, x = self.offsets()
        rows = [undo[:, i, 0, None, None] * y + undo[:, i, 1, None, None] * x for i in range(2)]
        return (rows[0].square() + rows[1].square()) * self.step_inv_a[:, None, None].square()


def expect_batch(share: Tensor, noise: NoiseBatch, plane: Plane) -> Tensor:
    """Expected electrons (n, ky, kx) where they reach the camera, of sharp shares of the beam (n, ky, kx)."""
    k2, area = plane.k2_inv_a2(), plane.step_inv_a[:, None, None].square()
    b, w2 = noise.image("halo_exponent"), noise.image("halo_width_inv_a").square()
    halo = (b - 1.0) / (torch.pi * w2) * (1.0 + k2 / w2) ** -b
    share = share + noise.image("halo_share") * (area * halo - share)
    share = share + noise.image("amorphous_share") * (area * _rings(k2, noise) - share)
    share = filter_batch(share, blur_transfer(plane.shape, noise["blur_px"])) * beam_stop_batch(noise, plane)
    is_counting = noise.image("is_counting") > 0
    return noise.image("dose_electrons") * torch.where(is_counting, spread_batch(share, noise), share)


def _rings(k2: Tensor, noise: NoiseBatch) -> Tensor:
    k = torch.sqrt(k2)
    density, total = torch.zeros_like(k), 0.0
    for radius, width, height in ((1.0, 1.0, 1.0), SECOND_RING):
        r, w = radius * noise.image("amorphous_ring_inv_a"), width * noise.image("amorphous_width_inv_a")
        density += height * torch.exp((-0.5 * ((k - r) / w).square()).clamp_min(-80.0))
        total = total + height * (2.0 * torch.pi) ** 1.5 * r * w
    return density / total


def beam_stop_batch(noise: NoiseBatch, plane: Plane) -> Tensor:
    """Transmission (n, ky, kx) of the beam stops, 1 where there is none."""
    y, x = plane.offsets()
    s, c = torch.sin(noise.image("stop_azimuth_rad")), torch.cos(noise.image("stop_azimuth_rad"))
    along, across = y * s + x * c, (y * c - x * s).abs()
    in_arm = torch.where(along > 0, 0.5 * noise.image("stop_arm_px") - across, -torch.inf)
    depth = torch.maximum(noise.image("stop_radius_px") - torch.hypot(y, x), in_arm)
    shaded = (depth / noise.image("stop_edge_px")).clamp(0.0, 1.0)
    has_stop = noise.image("stop_radius_px") > 0
    return torch.where(has_stop, 1.0 - (1.0 - noise.image("stop_leak")) * shaded, 1.0)


def spread_batch(image: Tensor, noise: NoiseBatch) -> Tensor:
    """Apply the point spread of the cameras."""
    shape = (image.shape[1], image.shape[2])
    core, tail = blur_transfer(shape, noise["psf_px"]), blur_transfer(shape, noise["tail_px"])
    return filter_batch(image, core + noise.image("tail_share") * (tail - core))


def count_batch(expected: Tensor, noise: NoiseBatch, rng: torch.Generator) -> Tensor:
    """Draw what the cameras write, in their units (n, ky, kx)."""
    size, device = expected.shape, expected.device
    electrons = torch.poisson(expected.clamp_min(0.0), generator=rng)
    light = (noise["is_counting"] == 0).nonzero()[:, 0]
    if len(light):
        electrons[light] = spread_batch(electrons[light], NoiseBatch({k: v[light] for k, v in noise.values.items()}))
    fate, kind, height = (torch.rand(size, generator=rng, device=device) for _ in range(3))
    height = -torch.log(height.clamp_min(1e-12))
    electrons = torch.where(fate < noise.image("pepper_share"), 0.0, electrons)
    salt = torch.ceil(noise.image("salt_electrons") * height)
    electrons = torch.where(fate >= 1.0 - noise.image("salt_share"), electrons + salt, electrons)
    blind = kind < noise.image("dead_share")
    hot = ~blind & (kind < noise.image("dead_share") + noise.image("hot_share"))
    electrons = torch.where(hot, electrons + noise.image("hot_electrons") * height, electrons)
    read, gain = (torch.randn(size, generator=rng, device=device) for _ in range(2))
    electrons = electrons + noise.image("read_noise_electrons") * read
    gain = noise.image("gain") * (1.0 + noise.image("gain_spread") * gain).clamp_min(0.0)
    units = torch.round(gain * electrons + noise.image("offset")).clamp_min(0.0)
    units = torch.minimum(units, torch.floor(noise.image("saturation")))
    return torch.where(blind | _gaps(noise, size), 0.0, units)


def electrons_of_batch(units: Tensor, noise: NoiseBatch) -> Tensor:
    """Turn what the cameras write back into electrons; what reads below the dark level counts as none."""
    return ((units - noise.image("offset")) / noise.image("gain")).clamp_min(0.0)


def noise_share_seen(noise: NoiseBatch, shape: tuple[int, int]) -> Tensor:
    """Share (n,) of the variance of white noise that the gain estimate sees after the point spread of the cameras.

    The mask of ``friedel.patterns.repair.estimate_gain`` has the transfer (2 - 2 cos wy) (2 - 2 cos wx), whose mean
    square is 36. Below a twentieth, no pattern would be taken for usable.
    """
    transfer = blur_transfer(shape, noise["psf_px"])
    tail = blur_transfer(shape, noise["tail_px"])
    transfer = transfer + noise.image("tail_share") * (tail - transfer)
    y, x = (2.0 - 2.0 * torch.cos(torch.pi / n * (torch.arange(n, device=tail.device) + 0.5)) for n in shape)
    mask = y.square()[:, None] * x.square()
    return ((mask * transfer.square()).mean(dim=(1, 2)) / mask.mean()).clamp_min(0.05)


def repair_batch(electrons: Tensor) -> Tensor:
    """Replace spikes (n, ky, kx) by the median of their neighbours, as is done to patterns before a network sees them.

    The twin of ``friedel.patterns.repair.remove_spikes`` for electrons.
    """
    ky, kx = electrons.shape[1:]
    padded = functional.pad(electrons[:, None], (1, 1, 1, 1), mode="reflect")[:, 0]
    first = torch.full_like(electrons, -torch.inf)
    second = first
    for dy, dx in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)):
        value = padded[:, dy : dy + ky, dx : dx + kx]
        second = torch.maximum(second, torch.minimum(first, value))
        first = torch.maximum(first, value)
    bad = electrons > _SPIKE_RATIO * second.clamp_min(0.0) + _SPIKE_ELECTRONS
    where = bad.nonzero()
    if not len(where):
        return electrons
    kept = functional.pad(torch.where(bad, torch.nan, electrons)[:, None], (2, 2, 2, 2), mode="reflect")[:, 0]
    steps = torch.arange(5, device=electrons.device)
    rows, columns = where[:, 1, None, None] + steps[:, None], where[:, 2, None, None] + steps
    around = kept[where[:, 0, None, None], rows, columns].flatten(1)
    out = electrons.clone()
    out[bad] = torch.nanquantile(around, 0.5, dim=1).nan_to_num(0.0)
    return out


def _gaps(noise: NoiseBatch, size: torch.Size) -> Tensor:
    half = 0.5 * noise.image("gap_px")
    y, x = (torch.arange(n, device=half.device) + 0.5 - n / 2 for n in size[1:])
    return (y[:, None].abs() < half) | (x.abs() < half)


def _names(kind: type) -> list[str]:
    """Names of the settings that are numbers."""
    return [f.name for f in fields(kind) if f.name not in ("detector", "tiles", "seed")]
