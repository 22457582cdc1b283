"""How fast a network runs here, beside what the processor can do and what torch makes of a residual dense U-Net."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from friedel.nets.architecture import Architecture
from friedel.nets.inference import Network

_SIZES = (128, 256)


def seconds(work: Callable[[], object], least_s: float = 1.0) -> float:
    """Shortest CPU time of one run."""
    work()
    times: list[float] = []
    while sum(times) < least_s or len(times) < 3:
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def speeds(network: Network) -> list[tuple[str, ...]]:
    """Rows of (what, patterns a second at 128, at 256, GFLOP) on one core; CPU seconds, which others do not disturb."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from friedel.nets.training.networks import Denoiser

    torch.set_num_threads(1)
    rows = []
    rng = np.random.default_rng(0)
    counts = {n: rng.poisson(0.3, (1, n, n)).astype(np.float32) for n in _SIZES}
    shape = network.card.architecture
    used = [f"{1 / seconds(partial(network.run, counts[n], np.full((1, 2), n / 2))):.0f}" for n in _SIZES]
    peers = {
        f"the same, {shape.family} {shape.width}, in torch": shape,
        f"RDUNet of the paper, width {shape.width}, in torch": Architecture("rdunet", shape.width, 1, 4),
        f"RDUNet {shape.width} with packed pixels, in torch": Architecture("rdunet", shape.width, 2, 4),
    }
    gflop = {}
    for name, architecture in peers.items():
        model = Denoiser(architecture).to(memory_format=torch.channels_last).eval()
        rate = []
        with torch.no_grad():
            for n in _SIZES:
                z = torch.rand((1, 2, n, n)).contiguous(memory_format=torch.channels_last)
                rate.append(f"{1 / seconds(partial(model, z)):.1f}")
            with FlopCounterMode(display=False) as counter:
                model(torch.rand((1, 2, 128, 128)))
        gflop[name] = counter.get_total_flops() / 1e9
        rows.append((name, *rate, f"{gflop[name]:.2f}"))
    rows.insert(0, (f"shipped: {shape.family} {shape.width}, ONNX Runtime", *used, f"{next(iter(gflop.values())):.2f}"))
    a = rng.random((2048, 2048), dtype=np.float32)
    peak = 2 * 2048**3 / seconds(lambda: torch.mm(torch.from_numpy(a), torch.from_numpy(a))) / 1e9
    rows.append((f"this core multiplies matrices at {peak:.0f} GFLOP/s", "", "", ""))
    return rows
