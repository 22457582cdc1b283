"""Training pairs made on the fly, a batch at a time: crystals drawn with numpy, physics and noise in torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from friedel.core.arrays import IntArray
from friedel.nets.scoring import FAINT, FAINT_SNR, SPOT_SHARE, SPOT_SNR, WANTED
from friedel.nets.training.kinematics import Bank, diffract_batch, orientations
from friedel.nets.training.noise import (
    NoiseBatch,
    Plane,
    beam_stop_batch,
    count_batch,
    dim_spots_batch,
    draw_many,
    draw_noise_batch,
    electrons_of_batch,
    expect_batch,
    noise_share_seen,
    repair_batch,
    spread_batch,
)
from friedel.nets.training.render import blobs, invert_about, render_spots, spread_disks
from friedel.simulate.patterns.detector import DetectorRanges
from friedel.simulate.patterns.noise import NoiseRanges
from friedel.simulate.ranges import Range

CRYSTAL, VACUUM, AMORPHOUS, NOISE = range(4)
#: Brightest spots of a pattern that are drawn, and room about it for disks that reach in from outside.
MAX_SPOTS, _MARGIN_PX = 128, 16
#: Width of a spot in the target of the spot map.
BLOB_PX = 1.0
_ANGLE, _STREAK_SHARE = Range(0.0, 2.0 * np.pi), Range(0.1, 0.8)


#: Gain from which a camera that integrates light resolves what one electron leaves in its neighbours.
_LEAST_INTEGRATING_GAIN = 20.0
#: Noise of the training patterns: that of ``friedel.simulate.patterns.noise`` over the doses of 4D-STEM, with fewer
#: stray hits, most of which are repaired before a network sees a pattern, and more cameras that count.
TRAINING_NOISE = NoiseRanges(
    dose_electrons=Range(30.0, 30000.0, is_log=True),
    salt_share=Range(1e-5, 1e-3, chance=0.3, is_log=True),
    pepper_share=Range(1e-4, 3e-3, chance=0.2, is_log=True),
    detector=DetectorRanges(counting_chance=0.8),
)


@dataclass(frozen=True, slots=True)
class PatternRanges:
    """What the training patterns are drawn from.

    Chances of the kinds: ``negatives`` are those of vacuum, amorphous film, and noise without a beam; the rest are
    crystals, of which ``more_crystals`` have two and three overlapping. ``scramble`` is the spread of the logarithm of
    the intensities that stands for many-beam diffraction. ``reach_inv_a`` is the distance from the middle to the edge
    of the detector; other lengths on it are in pixels of a pattern of ``shape``. ``gain_error`` is that of the gain as
    estimated; where light spreads in a camera, the estimate is also ``too_low`` by the smoothness of the noise, with
    this chance. ``centre_error_px`` is that of the centre that the network is told, and ``centre_outlier_px`` the same
    for one pattern in six.
    """

    shape: tuple[int, int] = (128, 128)
    negatives: tuple[float, float, float] = (0.06, 0.15, 0.06)
    more_crystals: tuple[float, float] = (0.25, 0.08)
    any_orientation: float = 0.2
    energy_kev: Range = field(default=Range(60.0, 300.0))
    reach_inv_a: Range = field(default=Range(0.5, 2.2, is_log=True))
    thickness_a: Range = field(default=Range(25.0, 800.0, is_log=True))
    tilt_mrad: Range = field(default=Range(0.0, 25.0))
    spot_sigma_px: Range = field(default=Range(0.45, 1.6, is_log=True))
    disk_radius_px: Range = field(default=Range(1.5, 9.0, chance=0.3))
    streak_px: Range = field(default=Range(1.0, 8.0, chance=0.08))
    scramble: Range = field(default=Range(0.2, 1.2, chance=0.6))
    flat_share: Range = field(default=Range(0.01, 0.3, chance=0.2, is_log=True))
    centre_px: Range = field(default=Range(-4.0, 4.0))
    gain_error: Range = field(default=Range(-0.3, 0.3, chance=0.4))
    too_low: float = 0.7
    centre_error_px: float = 0.3
    centre_outlier_px: float = 4.0
    noise: NoiseRanges = field(default=TRAINING_NOISE)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Patterns and what a network should make of them.

    Parameters
    ----------
    counts, expected
        Electrons as a camera gives them, and what they scatter about (n, ky, kx).
    told_centre_px
        Centre that is known at the time of use, (n, 2).
    spot_px, spot_electrons, spot_kind
        Positions (n, s, 2), expected electrons (n, s), and whether each is wanted, faint or no spot (``scoring``).
    spot_sigma_px
        Width of the spots (n,), the camera's blur included.
    dose, kind
        Electrons (n,), and which kind of pattern (n,).
    """

    counts: Tensor
    expected: Tensor
    told_centre_px: Tensor
    centre_px: Tensor
    spot_px: Tensor
    spot_electrons: Tensor
    spot_kind: Tensor
    spot_sigma_px: Tensor
    disk_radius_px: Tensor
    dose: Tensor
    kind: IntArray


def stabilise(electrons: Tensor) -> Tensor:
    """Transform Poisson counts to unit variance, 0 at 0: 2 sqrt(n + 3/8) - 2 sqrt(3/8) (Anscombe 1948)."""
    return 2.0 * torch.sqrt(electrons.clamp_min(0.0) + 0.375) - 1.224744871391589


def network_input(counts: Tensor, centre_px: Tensor) -> Tensor:
    """Stack what a network sees (n, 2, ky, kx): the pattern, and the pattern inverted about its centre."""
    z = stabilise(counts)
    return torch.stack([z, invert_about(z, centre_px)], dim=1)


def targets(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Clean pattern, spot map, and the weight of each pixel of the map; all (n, ky, kx)."""
    shape = (batch.counts.shape[1], batch.counts.shape[2])
    heat = blobs(batch.spot_px, (batch.spot_kind == WANTED).float(), BLOB_PX, shape)
    faint = blobs(batch.spot_px, (batch.spot_kind == FAINT).float(), 1.5 * BLOB_PX, shape)
    rows = torch.arange(shape[0], device=heat.device)[:, None] - batch.centre_px[:, 0, None, None]
    columns = torch.arange(shape[1], device=heat.device) - batch.centre_px[:, 1, None, None]
    beam = torch.hypot(rows, columns) < (2.5 * batch.spot_sigma_px + batch.disk_radius_px)[:, None, None]
    weight = torch.where(beam, 0.0, torch.where(heat > 0.1, 1.0, 1.0 - faint))
    return stabilise(batch.expected), heat, weight


def generate(bank: Bank, ranges: PatternRanges, n: int, seed: Iterable[int], *, device: str = "cpu") -> Batch:
    """Make a batch of n patterns; the seed alone decides which."""
    rng = np.random.default_rng(list(seed))
    torch_rng = torch.Generator(device=device)
    torch_rng.manual_seed(int(rng.integers(2**62)))

    def draw(limits: Range) -> Tensor:
        return torch.as_tensor(draw_many(limits, n, rng), dtype=torch.float32, device=device)

    kind = rng.choice(4, size=n, p=[1.0 - sum(ranges.negatives), *ranges.negatives])
    noise = _noise_of(kind, draw_noise_batch(ranges.noise, n, rng, device))
    k, share, direct = _crystals(bank, ranges, kind, draw(ranges.energy_kev), rng, device)
    share = share * torch.exp(
        draw(ranges.scramble)[:, None] * torch.randn(share.shape, generator=torch_rng, device=device)
    )
    total = direct + share.sum(dim=1)
    share, direct = dim_spots_batch(share / total[:, None], direct / total, noise, torch_rng)
    middle = torch.tensor([(s - 1) / 2 for s in ranges.shape], device=device)
    middle = middle + torch.stack([draw(ranges.centre_px), draw(ranges.centre_px)], dim=1)
    plane = Plane.of(ranges.shape, draw(ranges.reach_inv_a) / (0.5 * min(ranges.shape)), middle, noise)
    px = plane.px_of(k)
    sigma, radius = draw(ranges.spot_sigma_px), draw(ranges.disk_radius_px)
    beam = torch.as_tensor(kind != NOISE, device=device)
    light = torch.cat([direct[:, None], share], dim=1) * beam[:, None]
    streaks = draw(ranges.streak_px), draw(_ANGLE), draw(_STREAK_SHARE)
    sharp = _sharp(torch.cat([plane.centre_px[:, None], px], dim=1), light, sigma, radius, streaks, ranges.shape)
    flat = torch.where(beam, draw(ranges.flat_share), 1.0)[:, None, None]
    arriving = expect_batch(sharp + flat * (1.0 / sharp[0].numel() - sharp), noise, plane)
    units = count_batch(arriving, noise, torch_rng)
    is_smooth = (noise["is_counting"] == 0) & torch.as_tensor(rng.random(n) < ranges.too_low, device=device)
    smooth = torch.where(is_smooth, noise_share_seen(noise, ranges.shape), 1.0)
    gain = ((1.0 + draw(ranges.gain_error)) / smooth)[:, None, None]
    expected = torch.where(noise.image("is_counting") > 0, arriving, spread_batch(arriving, noise))
    expected = torch.minimum(expected, electrons_of_batch(noise.image("saturation"), noise))
    kept = (1.0 - flat[:, 0]) * (1.0 - noise["halo_share"][:, None]) * (1.0 - noise["amorphous_share"][:, None])
    electrons = share * kept * noise["dose_electrons"][:, None] * sample(beam_stop_batch(noise, plane), px)
    width = torch.sqrt(sigma**2 + noise["blur_px"] ** 2 + noise["psf_px"] ** 2)
    spot_kind = _judge(px, electrons, expected, noise["dose_electrons"], width, radius)
    told = plane.centre_px + _centre_error(ranges, n, rng, device)
    counts = repair_batch(gain * electrons_of_batch(units, noise))
    return Batch(counts, gain * expected, told, plane.centre_px, px, electrons, spot_kind,
                 width, radius, noise["dose_electrons"], kind)  # fmt: skip


def _noise_of(kind: IntArray, noise: NoiseBatch) -> NoiseBatch:
    """Leave film and halo out of vacuum and noise, make sure of the film in amorphous patterns, and mend the gain."""
    device = noise["halo_share"].device
    is_vacuum, is_film, is_noise = (torch.as_tensor(kind == k, device=device) for k in (VACUUM, AMORPHOUS, NOISE))
    nothing = is_vacuum | is_noise
    halo = torch.where(nothing, 0.0, noise["halo_share"])
    film = torch.where(is_film, noise["amorphous_share"].clamp_min(0.05), noise["amorphous_share"])
    film = torch.where(nothing, 0.0, film)
    gain = torch.where(noise["is_counting"] > 0, noise["gain"], noise["gain"].clamp_min(_LEAST_INTEGRATING_GAIN))
    return NoiseBatch(noise.values | {"halo_share": halo, "amorphous_share": film, "gain": gain})


def _centre_error(ranges: PatternRanges, n: int, rng: np.random.Generator, device: str) -> Tensor:
    """Draw how far the told centre is off, (n, 2) px."""
    width = np.where(rng.random((n, 1)) < 1 / 6, ranges.centre_outlier_px, ranges.centre_error_px)
    return torch.as_tensor(width * rng.standard_normal((n, 2)), dtype=torch.float32, device=device)


def _crystals(
    bank: Bank, ranges: PatternRanges, kind: IntArray, energy_kev: Tensor, rng: np.random.Generator, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Brightest spots of each pattern: k (n, S, 2) in 1/Å, share of the sharp electrons (n, S), and direct (n,)."""
    n = len(kind)
    two, three = ranges.more_crystals
    layers = rng.choice([1, 2, 3], size=n, p=[1.0 - two - three, two, three]) * (kind == CRYSTAL)
    owner = np.repeat(np.arange(n), layers)
    slot = np.arange(len(owner)) - np.repeat(np.cumsum(layers) - layers, layers)
    m = len(owner)
    which = rng.integers(len(bank.names), size=m)
    zone = bank.zones[which, rng.integers(2**31, size=m) % np.maximum(bank.n_zones[which], 1)]
    anywhere = rng.standard_normal((m, 3))
    anywhere /= np.linalg.norm(anywhere, axis=1, keepdims=True)
    direction = np.where(rng.random((m, 1)) < ranges.any_orientation, anywhere, zone)
    angles = rng.uniform(0.0, 2.0 * np.pi, (2, m))
    frames = orientations(direction, angles[0], draw_many(ranges.tilt_mrad, m, rng), angles[1])
    thickness = draw_many(ranges.thickness_a, m, rng) / layers[owner]
    row = torch.as_tensor(which, device=device)
    turned = bank.g_inv_a[row] @ torch.as_tensor(frames, device=device).transpose(1, 2)
    energy = energy_kev[torch.as_tensor(owner, device=device)].double()
    k, share, direct = diffract_batch(
        turned, bank.strength[row], energy, torch.as_tensor(thickness, device=device), MAX_SPOTS
    )
    all_k = torch.zeros((n, 3, MAX_SPOTS, 2), device=device)
    all_share = torch.zeros((n, 3, MAX_SPOTS), device=device)
    through = torch.ones((n, 3), device=device)
    all_k[owner, slot], all_share[owner, slot], through[owner, slot] = k.float(), share.float(), direct.float()
    best, index = all_share.flatten(1).topk(MAX_SPOTS, dim=1)
    at = torch.gather(all_k.flatten(1, 2), 1, index[..., None].expand(-1, -1, 2))
    return at, best, through.prod(dim=1)


def _sharp(
    px: Tensor, light: Tensor, sigma: Tensor, radius: Tensor, streaks: tuple[Tensor, Tensor, Tensor],
    shape: tuple[int, int],
) -> Tensor:  # fmt: skip
    """Beam and spots (n, ky, kx) as Gaussians or disks, some with streaks (length, direction, share)."""
    wide = (shape[0] + 2 * _MARGIN_PX, shape[1] + 2 * _MARGIN_PX)
    image = render_spots(px + _MARGIN_PX, light, sigma, wide)
    length, angle, share = streaks
    rows = ((radius > 0) | (length > 0)).nonzero()[:, 0]
    if len(rows):
        image[rows] = spread_disks(image[rows], radius[rows], length[rows], angle[rows], share[rows])
    return image[:, _MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]


def sample(image: Tensor, px: Tensor) -> Tensor:
    """Values of pictures (n, ky, kx) at the pixels nearest to positions (n, s, 2); 0 outside."""
    at = px.round().long()
    size = torch.as_tensor(image.shape[1:], device=px.device)
    inside = ((at >= 0) & (at < size)).all(dim=-1)
    at = at.clamp_min(0).minimum(size - 1)
    row = torch.arange(len(image), device=px.device)[:, None]
    return image[row, at[..., 0], at[..., 1]] * inside


def _judge(px: Tensor, electrons: Tensor, expected: Tensor, dose: Tensor, width: Tensor, radius: Tensor) -> Tensor:
    """Say of each spot whether it is wanted, faint or no spot, (n, s): the twin of ``scoring.judge_spots``."""
    area = 4.0 * torch.pi * width**2 + torch.pi * radius**2
    background = (sample(expected, px) - electrons / area[:, None] * 2.0).clamp_min(0.0)
    snr = electrons / torch.sqrt(area[:, None] * background + electrons + 1.0)
    inside = sample(torch.ones_like(expected), px) > 0
    kind = torch.where(snr > FAINT_SNR, FAINT, 0)
    kind = torch.where((electrons > SPOT_SHARE * dose[:, None]) | (snr > SPOT_SNR), WANTED, kind)
    kind = torch.where(inside & (electrons > 0), kind, 0)
    apart = (px[:, :, None] - px[:, None]).square().sum(-1)
    closest = (torch.maximum(1.6 * width, 0.8 * radius).clamp_min(2.0) ** 2)[:, None, None]
    brighter = electrons[:, None, :] > electrons[:, :, None]
    crowded = ((apart < closest) & brighter & (kind[:, None, :] == WANTED)).any(dim=2)
    return torch.where(crowded & (kind == WANTED), FAINT, kind)
