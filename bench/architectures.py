"""Which architecture finds the most spots for the same compute: a short training of each, judged on other crystals.

python bench/architectures.py [--minutes 5] [--out FOLDER] [--write]
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import platform
import time
from pathlib import Path

import torch

from friedel.crystal import Crystal
from friedel.nets.architecture import Architecture
from friedel.nets.training.loop import train
from friedel.nets.training.networks import Denoiser
from friedel.nets.training.recipe import DenoiserRecipe
from friedel.nets.training.validation import DOSES
from friedel.simulate.training.materials import load_materials

CANDIDATES = {
    "unet-16-s2": Architecture("unet", 16, 2, 4),
    "rdunet-16-s2": Architecture("rdunet", 16, 2, 4),
    "nafnet-16-s2": Architecture("nafnet", 16, 2, 4),
    "rdunet-8-s1": Architecture("rdunet", 8, 1, 4),
}
_RATE_STEPS = 20
DOCS = Path(__file__).parents[1] / "docs" / "bench" / "denoiser.md"
_BEGIN, _END = "<!-- architectures -->", "<!-- end of architectures -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="CPU minutes per architecture")
    parser.add_argument("--out", type=Path, default=Path("architectures"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the table into docs/bench/denoiser.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    materials = load_materials()
    crystals, others = ([m.crystal for m in materials if m.split == part] for part in ("train", "validation"))
    rows = []
    for name, architecture in CANDIDATES.items():
        trial = DenoiserRecipe(name=name, architecture=architecture, steps=_RATE_STEPS, learning_rate=1.5e-3,
                               validation_patterns=1)  # fmt: skip
        steps = max(int(60 * args.minutes / _seconds_a_step(trial, crystals, args.out)), 1)
        update = {"steps": steps, "warm_up": steps // 10, "validate_every": steps, "validation_patterns": 80}
        recipe = trial.model_copy(update=update)
        began = time.process_time()
        train(recipe, crystals, others, args.out / name, device="cpu")
        seconds = time.process_time() - began
        with (args.out / name / "validation.csv").open(encoding="utf-8") as file:
            scores = [row for row in csv.DictReader(file) if int(row["step"]) == steps]
        parameters = sum(p.numel() for p in Denoiser(architecture).parameters()) / 1e6
        error = sum(float(row["error_px"]) for row in scores) / len(scores)
        f1 = [f"{float(row['f1']):.2f}" for row in scores]
        rows.append((name, f"{parameters:.2f}", str(steps * recipe.batch), f"{seconds:.0f}", *f1, f"{error:.2f}"))
        print(" | ".join(rows[-1]), flush=True)
        if args.write:
            _write(rows, args.minutes)


def _write(rows: list[tuple[str, ...]], minutes: float) -> None:
    """Replace the table of the page."""
    head = ("family, width, packing", "million weights", "patterns seen", "CPU s",
            *(f"F1 at {dose}" for dose in DOSES), "position error, px")  # fmt: skip
    where = f"{dt.datetime.now(dt.UTC).date()}, {platform.machine()}, torch {torch.__version__}"
    about = f"F1 on validation crystals, at the best threshold for each dose, after {minutes:g} core-minutes; {where}."
    lines = [about, "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    text = "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
    page = DOCS.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    DOCS.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")


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
