"""Architectures of denoiser and segmenter: residual dense U-Net, U-Net and a gated network, each of any width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from friedel.nets.architecture import Architecture

#: Channels of the input: the pattern, and the pattern inverted about its centre.
IN_CHANNELS = 2
#: Channels of the output: the denoised pattern, and the logits of the spot map.
OUT_CHANNELS = 2
#: Channels that a segmenter sees, see ``half_plane.network_input``.
SPECTRUM_CHANNELS = 3
#: Log-odds of a spot at a pixel before anything is learnt.
_FIRST_LOGIT = -4.0


class Denoiser(nn.Module):
    """Network (n, 2, ky, kx) -> denoised (n, ky, kx) and logits of spots (n, ky, kx), both at full resolution."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.unpack, self.pack = nn.PixelUnshuffle(a.stem), nn.PixelShuffle(a.stem)
        self.stem = nn.Conv2d(IN_CHANNELS * a.stem**2, a.width, 3, padding=1)
        self.body = _Pyramid(a.width, a.levels, _BLOCKS[a.family])
        self.head = nn.Conv2d(a.width, OUT_CHANNELS * a.stem**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.bias[a.stem**2 :] = _FIRST_LOGIT

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the denoised pattern, as a correction of the noisy one, and the logits."""
        out = self.pack(self.head(self.body(self.stem(self.unpack(z))))).float()
        return z[:, 0] + out[:, 0], out[:, 1]


class Segmenter(nn.Module):
    """Network (n, 3, rows, columns) -> logits (n, rows, columns) of a spot at each pixel of a spectrum."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.stride = a.stride
        self.unpack, self.pack = nn.PixelUnshuffle(a.stem), nn.PixelShuffle(a.stem)
        self.stem = nn.Conv2d(SPECTRUM_CHANNELS * a.stem**2, a.width, 3, padding=1)
        self.body = _Pyramid(a.width, a.levels, _BLOCKS[a.family])
        self.head = nn.Conv2d(a.width, a.stem**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, _FIRST_LOGIT)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.pack(self.head(self.body(self.stem(self.unpack(x)))))
        return logits[:, 0].float()


class _Pyramid(nn.Module):
    """The U: blocks at each resolution on the way down and up, joined by skips."""

    def __init__(self, width: int, levels: int, block: Callable[[int], nn.Module]) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(levels)]
        self.down = nn.ModuleList(block(w) for w in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths[:-1])
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[:-1])
        self.join = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for w in widths[:-1])
        self.up = nn.ModuleList(block(w) for w in widths[:-1])

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block, shrink in zip(self.down, self.shrink, strict=False):
            x = block(x)
            skips.append(x)
            x = shrink(x)
        x = self.down[-1](x)
        for i in reversed(range(len(skips))):
            x = self.up[i](self.join[i](torch.cat([self.grow[i](x), skips[i]], dim=1)))
        return x


class _ResidualBlock(nn.Module):
    """Two convolutions, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


class _DenoisingBlock(nn.Module):
    """Four convolutions, each fed with the output of all before it, added to what came in (Gurrola-Ramos, fig. 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width + i * half, half if i < 3 else width, 3, padding=1), nn.PReLU())
            for i in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.layers:
            seen.append(layer(torch.cat(seen, dim=1)))
        return x + seen[-1]


class _GatedBlock(nn.Module):
    """Depthwise convolution, gate and channel attention, then a gated mixing of channels (Chen et al., fig. 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in range(2))
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.attend = nn.Conv2d(width, width, 1)
        self.mix = nn.Conv2d(width, width, 1)
        self.feed = nn.Conv2d(width, 2 * width, 1)
        self.back = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = _gate(self.depthwise(self.widen(self.norms[0](x))))
        x = x + self.mix(y * self.attend(y.mean(dim=(2, 3), keepdim=True)))
        return x + self.back(_gate(self.feed(self.norms[1](x))))


def _gate(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    return first * second


def _twice(block: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    return lambda width: nn.Sequential(block(width), block(width))


_BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "rdunet": _twice(_DenoisingBlock),
    "unet": _ResidualBlock,
    "nafnet": _twice(_GatedBlock),
}
