"""Pictures of spots in torch, many patterns at once."""

from __future__ import annotations

import math
from functools import lru_cache

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


def blur_transfer(shape: tuple[int, int], sigma_px: Tensor) -> Tensor:
    """Transfer (b, ky, kx) of discrete Gaussians of widths (b,) in the cosine transform; see ``simulate.detector``."""
    y, x = (torch.cos(torch.pi / n * torch.arange(n, device=sigma_px.device)) - 1.0 for n in shape)
    return _exp(sigma_px.square()[:, None, None] * (y[:, None] + x))


def filter_batch(image: Tensor, transfer: Tensor) -> Tensor:
    """Multiply the cosine transform of pictures (b, ky, kx) with a transfer: a blur mirrored at the edges."""
    rows, columns = (_cosines(n, str(image.device)) for n in image.shape[-2:])
    spectrum = rows @ image @ columns.T
    return (rows.T @ (spectrum * transfer) @ columns).clamp_min(0.0)


@lru_cache(maxsize=8)
def _cosines(n: int, device: str) -> Tensor:
    """Orthonormal cosine transform of n values, (n, n)."""
    place = torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(torch.pi / n * place[:, None] * (place + 0.5)) * math.sqrt(2.0 / n)
    matrix[0] /= math.sqrt(2.0)
    return matrix.float().to(device)


def _gaussian(x: Tensor) -> Tensor:
    return _exp(-0.5 * x.square())


def _exp(x: Tensor) -> Tensor:
    # Cut off where it would underflow: denormal numbers are slow.
    return torch.exp(x.clamp_min(-80.0))


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
