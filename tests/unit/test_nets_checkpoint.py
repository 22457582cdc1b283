"""A checkpoint of which a byte changed, or the end is missing, is never gone on from."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from friedel.core.errors import CorruptFileError  # noqa: E402
from friedel.nets.training.recipe import DenoiserRecipe  # noqa: E402
from friedel.nets.training.steps import State, begin, run_steps  # noqa: E402

RECIPE = DenoiserRecipe(steps=2, warm_up=1, checkpoint_every=2, validate_every=2)
KEY = {"data": "ab" * 32}
FLIPS, CUTS = 500, 20


def start(folder: Path) -> State:
    """Begin, or go on with, a training of one small layer."""
    torch.manual_seed(0)
    return begin(RECIPE, torch.nn.Conv2d(2, 3, 3), folder, KEY)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint after two steps."""
    state = start(tmp_path)
    tell = (lambda done, total, words: None, lambda done, rows: None)

    def step(number: int) -> dict[str, torch.Tensor]:
        return {"loss": sum((p**2).sum() for p in state.network.parameters())}

    run_steps(RECIPE, state, tmp_path, KEY, step, list, tell)
    return tmp_path / "checkpoint.safetensors"


def test_a_sound_checkpoint_is_gone_on_from(checkpoint: Path) -> None:
    state = start(checkpoint.parent)
    assert state.step == 2
    assert all(float(moments["step"]) == 2 for moments in state.optimiser.state.values())


def test_a_damaged_checkpoint_is_refused(checkpoint: Path) -> None:
    sound, rng = checkpoint.read_bytes(), random.Random(0)
    copies = [sound[: i * len(sound) // CUTS] for i in range(CUTS)]
    for _ in range(FLIPS):
        at = rng.randrange(len(sound))
        copies.append(sound[:at] + bytes([sound[at] ^ rng.randrange(1, 256)]) + sound[at + 1 :])
    for copy in copies:
        checkpoint.write_bytes(copy)
        with pytest.raises(CorruptFileError, match=r"checkpoint\.safetensors.*Remove it"):
            start(checkpoint.parent)
