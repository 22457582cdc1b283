"""The ways of Raghavendran et al. (2025) to mark spots, made again: their U-Net, a small CNN, and k-means.

All see the picture that the paper makes of an FFT: its logarithm, with their contrast, under their Gaussian filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from friedel.core.arrays import AnyArray, Float32Array
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern
from friedel.nets.half_plane import half_of, whole_of
from friedel.nets.training.spectra import load_spectrum, turned
from friedel.patterns.contrast import paper_contrast

PAPER_WIDTH, WIDTH, CNN_WIDTH = 128, 8, 16
BATCH, CROP_PX, RATE = 4, 256, 1e-3
_STRIDE, _SEED = 16, 5
_ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU}


@dataclass(frozen=True, slots=True)
class UnetOptions:
    """What the paper's tuning varies of its U-Net: sides of kernels, activation, and the dropout of its three parts."""

    kernel_px: int = 3
    transposed_px: int = 2
    activation: Literal["relu", "elu", "gelu"] = "relu"
    dropout: tuple[float, float, float] = (0.0, 0.0, 0.0)


class PlainUnet(nn.Module):  # type: ignore[misc]
    """The published network at any width: four levels of two convolutions and pooling, a bottleneck, and back."""

    def __init__(self, width: int, options: UnetOptions = UnetOptions()) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(5)]
        side, down, bottom, up = options.transposed_px, *options.dropout
        drops = [*(4 * [down]), bottom]
        self.down = nn.ModuleList(
            _twice(i, o, options, drop) for i, o, drop in zip([1, *widths[:-1]], widths, drops, strict=True)
        )
        # A side of 3 px needs a pixel cut at one end, so that the size doubles.
        cut = side - 2
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, side, stride=2, padding=cut, output_padding=cut) for w in widths[:-1]
        )
        self.up = nn.ModuleList(_twice(2 * w, w, options, up) for w in widths[:-1])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn pictures (n, 1, rows, columns) into logits (n, rows, columns)."""
        skips = []
        for block in self.down[:-1]:
            skips.append(block(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.down[-1](x)
        for i in reversed(range(len(skips))):
            x = self.up[i](torch.cat([skips[i], self.grow[i](x)], dim=1))
        logits: Tensor = self.head(x)
        return logits[:, 0].float()


class SmallCnn(nn.Module):  # type: ignore[misc]
    """Three convolutions without pooling."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_twice(1, width), nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn pictures (n, 1, rows, columns) into logits (n, rows, columns)."""
        logits: Tensor = self.head(self.body(x))
        return logits[:, 0].float()


def _twice(before: int, after: int, options: UnetOptions = UnetOptions(), drop: float = 0.0) -> nn.Module:
    kernel, act = options.kernel_px, _ACTIVATIONS[options.activation]
    layers = [nn.Conv2d(before, after, kernel, padding="same"), act(), nn.Conv2d(after, after, kernel, padding="same")]
    return nn.Sequential(*layers, act(), *([nn.Dropout2d(drop)] if drop else []))


def gflop(network: nn.Module, channels: int, shape: tuple[int, int] = (1024, 512)) -> float:
    """Billions of floating-point operations for one half spectrum of this shape."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to("meta")(torch.empty(1, channels, *shape, device="meta"))
    return float(counter.get_total_flops()) / 1e9


def picture_of(half: AnyArray, width: int) -> Float32Array:
    """Make the paper's picture of the half plane from the power over its noise floor."""
    whole = whole_of(half, width).astype(np.float32)
    grid = ReciprocalGrid(step_inv_a=(1.0, 1.0), centre_px=(whole.shape[0] // 2, whole.shape[1] // 2))
    return np.asarray(half_of(paper_contrast(Pattern(whole, grid, origin="fft"))))


def trained(make: Callable[[], nn.Module], name: str, paths: Sequence[Path], steps: int, folder: Path) -> nn.Module:
    """Train on spectra that lie on disk, with the paper's cross entropy, or load what was trained before."""
    path = folder / f"{name}-{steps}.safetensors"
    torch.manual_seed(_SEED)
    network = make()
    if path.exists():
        network.load_state_dict(load_file(path))
        return network.eval()
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for step in range(steps):
        rng = np.random.default_rng([_SEED, step])
        pieces = [_piece(paths[int(rng.integers(len(paths)))], rng) for _ in range(BATCH)]
        seen, mask, counts = (torch.as_tensor(np.stack(part)) for part in zip(*pieces, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(seen[:, None].contiguous(memory_format=torch.channels_last))
        loss = (functional.binary_cross_entropy_with_logits(logits, mask, reduction="none") * counts).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"{name}: step {step} of {steps}, loss {float(loss.detach()):.4f}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return network.eval()


def _piece(path: Path, rng: np.random.Generator) -> tuple[Float32Array, Float32Array, Float32Array]:
    spectrum = turned(load_spectrum(path), int(rng.integers(4)))
    planes = np.stack([picture_of(spectrum.half, spectrum.width), spectrum.mask, spectrum.counts]).astype(np.float32)
    planes = np.pad(planes, [(0, 0), *((0, max(CROP_PX - n, 0)) for n in planes.shape[1:])])
    y, x = (int(rng.integers(n - CROP_PX + 1)) for n in planes.shape[1:])
    picture, mask, counts = planes[:, y : y + CROP_PX, x : x + CROP_PX]
    return picture, mask, counts


def probability_of(network: nn.Module, picture: AnyArray) -> Float32Array:
    """Probability of a spot at each pixel of a picture."""
    padding = [(0, -n % _STRIDE) for n in picture.shape]
    seen = torch.as_tensor(np.pad(picture, padding))[None, None]
    with torch.no_grad():
        found = torch.sigmoid(network(seen))[0].numpy()
    return np.asarray(found[: picture.shape[0], : picture.shape[1]], dtype=np.float32)


def brightest_cluster(picture: AnyArray, clusters: int, rounds: int = 30) -> Float32Array:
    """Mark (1.0) the brightest of the clusters into which k-means sorts the grey values (Lloyd 1982)."""
    values = picture.ravel()
    centres = np.linspace(float(values.min()), float(values.max()), clusters)
    for _ in range(rounds):
        edges = 0.5 * (centres[1:] + centres[:-1])
        group = np.searchsorted(edges, values)
        sums, counts = np.bincount(group, values, clusters), np.bincount(group, minlength=clusters)
        centres = np.sort(np.where(counts > 0, sums / np.maximum(counts, 1), centres))
    return np.asarray(picture > 0.5 * (centres[-1] + centres[-2]), dtype=np.float32)
