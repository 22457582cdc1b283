"""Pictures of spots in torch, many patterns at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def profiles(px: Tensor, sigma_px: Tensor, n: int) -> Tensor:
    """Gaussians sampled at n pixels along one axis: positions (b, s), widths (b,) -> (b, s, n).

    Scaled so that all pixels, also beyond the n, add up to 1: the sum of a sampled Gaussian is that of Poisson's
    summation formula, s sqrt(2 pi) (1 + 2 exp(-2 pi^2 s^2) cos(2 pi px) + ...).
    """
    pixel = torch.arange(n, device=px.device, dtype=px.dtype)
    shape = _gaussian((pixel - px[..., None]) / sigma_px[:, None, None])
    ripple = 1.0 + sum(
        2.0 * torch.exp(-2.0 * (math.pi * j * sigma_px[:, None]) ** 2) * torch.cos(2.0 * math.pi * j * px)
        for j in (1, 2, 3)
    )
    return shape / (math.sqrt(2.0 * math.pi) * sigma_px[:, None] * ripple)[..., None]


def render_spots(px: Tensor, electrons: Tensor, sigma_px: Tensor, shape: tuple[int, int]) -> Tensor:
    """Draw Gaussian spots (b, ky, kx); no light is lost by sampling.

    Parameters
    ----------
    px
        Positions (b, s, 2) in order (ky, kx).
    electrons
        In each spot (b, s).
    sigma_px
        Width of the spots (b,).
    """
    y = profiles(px[..., 0], sigma_px, shape[0]) * electrons[..., None]
    return y.transpose(1, 2) @ profiles(px[..., 1], sigma_px, shape[1])


def blobs(px: Tensor, height: Tensor, sigma_px: float, shape: tuple[int, int]) -> Tensor:
    """Gaussians of the heights (b, s) at positions (b, s, 2), at most 1 where they meet: (b, ky, kx)."""
    y, x = (_gaussian((torch.arange(n, device=px.device) - px[..., i, None]) / sigma_px) for i, n in enumerate(shape))
    return ((y * height[..., None]).transpose(1, 2) @ x).clamp(max=1.0)


def spread_disks(image: Tensor, radius_px: Tensor, streak_px: Tensor, streak_rad: Tensor, share: Tensor) -> Tensor:
    """Spread point spots into disks of a radius (b,), and a share (b,) of their light along a line.

    The transform of a disk of radius R is 2 J1(2 pi R q) / (2 pi R q); the line is a Gaussian of standard deviation
    ``streak_px``. Radius 0 and share 0 leave a picture as it is. Pictures wrap around at their edges.
    """
    ky, kx = image.shape[-2:]
    qy = torch.fft.fftfreq(ky, device=image.device)[:, None]
    qx = torch.fft.rfftfreq(kx, device=image.device)
    argument = 2.0 * math.pi * radius_px[:, None, None] * torch.hypot(qy, qx)
    safe = argument.clamp_min(1e-3)
    disk = torch.where(argument < 1e-3, torch.ones_like(safe), 2.0 * torch.special.bessel_j1(safe) / safe)
    along = qy * torch.sin(streak_rad)[:, None, None] + qx * torch.cos(streak_rad)[:, None, None]
    line = torch.exp(-2.0 * (math.pi * streak_px[:, None, None] * along) ** 2)
    transfer = disk * (1.0 - share[:, None, None] * (1.0 - line))
    return torch.fft.irfft2(torch.fft.rfft2(image) * transfer, s=(ky, kx)).clamp_min(0.0)


def _gaussian(x: Tensor) -> Tensor:
    # Cut off where it would underflow: denormal numbers are slow.
    return torch.exp((-0.5 * x.square()).clamp_min(-80.0))


def blur_matrices(n: int, sigma_px: Tensor) -> Tensor:
    """Convolution of n pixels with Gaussians of widths (b,), mirrored at both ends: (b, n, n); width 0 is the identity.

    The same as ``friedel.simulate.detector.blur`` for spots that lie further than six sigmas inside.
    """
    place = torch.arange(n, device=sigma_px.device, dtype=sigma_px.dtype)
    out = torch.zeros((len(sigma_px), n, n), device=sigma_px.device, dtype=sigma_px.dtype)
    width = sigma_px.clamp_min(1e-3)[:, None, None]
    for image in (place, -1.0 - place, 2.0 * n - 1.0 - place):
        out += _gaussian((place[:, None] - image) / width)
    return out / out.sum(dim=2, keepdim=True)


def blur_batch(image: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur pictures (b, ky, kx) with Gaussians of widths (b,)."""
    ky, kx = image.shape[-2:]
    return blur_matrices(ky, sigma_px) @ image @ blur_matrices(kx, sigma_px)


def invert_about(image: Tensor, centre_px: Tensor) -> Tensor:
    """Invert pictures (b, ky, kx) about centres (b, 2), rounded to half pixels; 0 where the partner is outside."""
    index, inside = [], []
    for axis, n in enumerate(image.shape[-2:]):
        partner = torch.round(2.0 * centre_px[:, axis]).long()[:, None] - torch.arange(n, device=image.device)
        inside.append((partner >= 0) & (partner < n))
        index.append(partner.clamp(0, n - 1))
    batch = torch.arange(len(image), device=image.device)[:, None, None]
    turned = image[batch, index[0][:, :, None], index[1][:, None, :]]
    return turned * (inside[0][:, :, None] & inside[1][:, None, :])
