"""A residual dense U-Net trained on stored pairs, as Lo and Su train theirs: one picture in, one picture out.

The network is that of Gurrola-Ramos, Dalmau and Alarcon (IEEE Access 9, 31742, 2021) with fewer channels and pixels
packed 2 x 2. Loss (mean absolute error), optimiser (AdamW), weight decay, patches of 64 x 64 px, 16 in a batch, flips
and quarter turns are as in their program (github.com/JavierGurrola/RDUNet, config.yaml and main_train.py). The learning
rate is higher and falls by half a cosine, since the training is short.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import zarr
from paths import ROOT
from safetensors.torch import load_file, save_file

from friedel.core.arrays import AnyArray, Float32Array
from friedel.nets.architecture import Architecture
from friedel.nets.inference import stabilise, unstabilise
from friedel.nets.training.networks import Denoiser
from friedel.nets.training.recipe import DenoiserRecipe, load_training_recipe
from friedel.nets.training.steps import begin, put_average, run_steps
from friedel.simulate.training.store import read_manifest

#: What the network is shown: a picture from 0 to 1, or counts with noise of one width.
Scale = Literal["picture", "stabilised"]
PATCH_PX = 64
#: Channels at the finest level, and pixels packed into channels before the first convolution: in minutes of one core,
#: packing gains more than it loses (docs/bench/denoiser.md, architectures).
WIDTH, PACKING = 8, 2
_WEIGHTS = "network.safetensors"


def recipe_of(scale: Scale, steps: int) -> DenoiserRecipe:
    """Settings of a training of so many steps."""
    return DenoiserRecipe(
        name=f"rdunet-{scale}", architecture=Architecture("rdunet", WIDTH, PACKING, 4), steps=steps, batch=16,
        learning_rate=1e-3, warm_up=100, cool_down=0.5, weight_decay=1e-5, average=0.99,
        precision="fp32", validate_every=steps, checkpoint_every=50,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class StoredPairs:
    """Pairs of one split of a finished set."""

    folder: Path
    facts: list[dict[str, Any]]

    @staticmethod
    def of(folder: Path, split: str) -> StoredPairs:
        """Open the pairs of a split."""
        return StoredPairs(folder, [f for f in read_manifest(folder) if f["split"] == split])

    def __len__(self) -> int:
        return len(self.facts)

    def electrons(self, i: int) -> tuple[Float32Array, Float32Array]:
        """Noisy pattern in electrons as the camera gives them, and the clean one as electrons of the same dose."""
        facts = self.facts[i]
        noise = facts["noise"]
        units, share = (pictures[facts["index"]] for pictures in _shard(str(self.folder), facts["shard"]))
        noisy = (units.astype(np.float32) - noise["detector"]["offset"]) / noise["detector"]["gain"]
        clean = share * noise["dose_electrons"]
        return np.maximum(noisy, 0.0).astype(np.float32), clean.astype(np.float32)


@lru_cache(maxsize=600)
def _shard(folder: str, name: str) -> tuple[AnyArray, AnyArray]:
    """Noisy and clean patterns of one crystal; whole crystals are kept, as reading single patterns takes longer."""
    group = zarr.open_group(Path(folder) / "shards" / f"{name}.zarr", mode="r")
    return np.asarray(group["noisy"][:]), np.asarray(group["clean"][:])


def to_scale(electrons: AnyArray, scale: Scale) -> Float32Array:
    """Show electrons (ky, kx) as the network sees them: over their largest value, or stabilised (Anscombe)."""
    if scale == "stabilised":
        return stabilise(electrons)
    return np.asarray(electrons / max(float(electrons.max()), 1e-12), dtype=np.float32)


def patches(pairs: StoredPairs, scale: Scale, step: int, batch: int, seed: int) -> tuple[Float32Array, Float32Array]:
    """Noisy and clean patches (batch, 64, 64) of one step; pairs are taken in a new order in each epoch."""
    noisy: list[AnyArray] = []
    clean: list[AnyArray] = []
    for number in range(step * batch, (step + 1) * batch):
        epoch, place = divmod(number, len(pairs))
        rng = np.random.default_rng([seed, 1, number])
        both = [to_scale(e, scale) for e in pairs.electrons(int(_order(len(pairs), epoch, seed)[place]))]
        y, x = (int(rng.integers(n - PATCH_PX + 1)) for n in both[0].shape)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        for out, picture in zip((noisy, clean), both, strict=True):
            turned = np.rot90(picture[y : y + PATCH_PX, x : x + PATCH_PX], turns)
            out.append(turned[::-1] if flip else turned)
    return np.stack(noisy), np.stack(clean)


@lru_cache(maxsize=2)
def _order(n: int, epoch: int, seed: int) -> AnyArray:
    return np.random.default_rng([seed, 0, epoch]).permutation(n)


def train_on_pairs(
    recipe: DenoiserRecipe, pairs: StoredPairs, scale: Scale, out: Path,
    progress: Callable[[int, int, str], None] = lambda step, steps, text: None,
) -> tuple[Denoiser, float]:  # fmt: skip
    """Train, or go on where an interrupted training stopped; return the network and its core seconds."""
    torch.manual_seed(recipe.seed)
    network = Denoiser(recipe.architecture).to(memory_format=torch.channels_last)
    about = (pairs.folder / "dataset.json").read_bytes()
    key = {"recipe": recipe.digest_of_start, "pairs": f"{hashlib.sha256(about).hexdigest()} {len(pairs)} {scale}"}

    def losses(step: int) -> dict[str, torch.Tensor]:
        noisy, clean = (torch.from_numpy(p) for p in patches(pairs, scale, step, recipe.batch, recipe.seed))
        loss = (_apply(network, noisy) - clean).abs().mean()
        return {"loss": loss, "absolute_error": loss}

    state = begin(recipe, network, out, key)
    state = run_steps(recipe, state, out, key, losses, list, (progress, lambda step, rows: None))
    put_average(network, state.average)
    save_file({name: weight.contiguous() for name, weight in network.state_dict().items()}, out / _WEIGHTS)
    return network.eval(), state.core_seconds


def trained_folder(scale: Scale) -> Path:
    """Folder in which a training is kept unless another is named."""
    return ROOT / "build" / "studies" / f"rdunet-{scale}"


def load_trained(folder: Path) -> Denoiser:
    """Load a trained network; ``python studies/rdunet.py`` makes it."""
    network = Denoiser(load_training_recipe(folder / "recipe.toml").architecture)
    network.load_state_dict(load_file(folder / _WEIGHTS))
    network.to(memory_format=torch.channels_last).eval()
    return network


def _apply(network: Denoiser, pictures: torch.Tensor) -> torch.Tensor:
    """Denoise pictures (n, ky, kx); the channel for the inverted pattern stays empty, the spot map is not used."""
    pair = torch.stack([pictures, torch.zeros_like(pictures)], dim=1)
    denoised: torch.Tensor = network(pair.contiguous(memory_format=torch.channels_last))[0]
    return denoised


def denoise_electrons(network: Denoiser, electrons: AnyArray, scale: Scale) -> Float32Array:
    """Denoise one pattern (ky, kx) in electrons; sides must be multiples of 16."""
    with torch.no_grad():
        found = _apply(network, torch.from_numpy(to_scale(electrons, scale))[None])[0].numpy()
    if scale == "stabilised":
        return unstabilise(found)
    return np.asarray(np.maximum(found, 0.0) * float(electrons.max()), dtype=np.float32)
