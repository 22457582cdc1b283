"""Which architecture finds the most spots for the same compute: a short training of each, judged on other crystals.

python bench/architectures.py [--minutes 5] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import torch

from friedel.crystal import Crystal
from friedel.nets.architecture import Architecture
from friedel.nets.training.loop import train
from friedel.nets.training.networks import Denoiser
from friedel.nets.training.recipe import DenoiserRecipe
from friedel.simulate.materials import load_materials

CANDIDATES = {
    "unet-16-s2": Architecture("unet", 16, 2, 4),
    "rdunet-16-s2": Architecture("rdunet", 16, 2, 4),
    "nafnet-16-s2": Architecture("nafnet", 16, 2, 4),
    "rdunet-8-s1": Architecture("rdunet", 8, 1, 4),
}
_RATE_STEPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="CPU minutes per architecture")
    parser.add_argument("--out", type=Path, default=Path("architectures"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    materials = load_materials()
    crystals, others = ([m.crystal for m in materials if m.split == part] for part in ("train", "validation"))
    for name, architecture in CANDIDATES.items():
        trial = DenoiserRecipe(name=name, architecture=architecture, steps=_RATE_STEPS, learning_rate=1.5e-3,
                               validation_patterns=1)  # fmt: skip
        steps = max(int(60 * args.minutes / _seconds_a_step(trial, crystals, args.out)), 1)
        recipe = trial.model_copy(update={"steps": steps, "validate_every": steps, "validation_patterns": 80})
        began = time.process_time()
        train(recipe, crystals, others, args.out / name, device="cpu")
        seconds = time.process_time() - began
        parameters = sum(p.numel() for p in Denoiser(architecture).parameters()) / 1e6
        print(f"{name}: {parameters:.2f} M parameters, {steps} steps, {seconds:.0f} CPU s", flush=True)
        with (args.out / name / "validation.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                print("   ", " ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def _seconds_a_step(recipe: DenoiserRecipe, crystals: list[Crystal], out: Path) -> float:
    """CPU seconds that a step takes, beyond what every training begins and ends with."""
    seconds = []
    for steps in (2, _RATE_STEPS + 2):
        began = time.process_time()
        some = recipe.model_copy(update={"steps": steps})
        train(some, crystals, crystals[:3], out / f"{recipe.name}-{steps}", device="cpu")
        seconds.append(time.process_time() - began)
    return (seconds[1] - seconds[0]) / _RATE_STEPS


if __name__ == "__main__":
    main()
