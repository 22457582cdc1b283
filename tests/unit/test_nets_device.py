"""A network runs on a GPU where there is one that works, and says where it ran. The GPU is a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest

from friedel.core.errors import FriedelError
from friedel.nets.cards import DEFAULT_WEIGHTS
from friedel.nets.inference import device_of, load_network, open_session

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
COUNTS = np.random.default_rng(0).poisson(3.0, (1, 32, 32)).astype(np.float32)
CENTRE = np.array([[15.5, 15.5]])


@dataclass
class Machine:
    """A machine whose ONNX Runtime knows of a GPU, and what happens there."""

    opens: bool = True
    is_used: bool = True
    runs: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)

    def session(self, weights: bytes, options: Any, **asked: Any) -> Any:
        """Open a session, on the processor in truth."""
        self.asked.append(asked)
        wants_gpu = asked["providers"][0] != CPU
        if wants_gpu and not self.opens:
            raise RuntimeError("CUDA failure 35: driver too old")
        return Session(_InferenceSession(weights, options, providers=[CPU]), self, wants_gpu and self.is_used)


@dataclass
class Session:
    """A session that says to be on the GPU."""

    real: Any
    machine: Machine
    on_gpu: bool

    def get_providers(self) -> list[str]:
        """Name what it runs on."""
        return [CUDA, CPU] if self.on_gpu else [CPU]

    def run(self, names: Any, inputs: dict[str, Any]) -> Any:
        """Run, or fail as a GPU does."""
        if self.on_gpu and not self.machine.runs:
            raise RuntimeError("CUDA failure 2: out of memory")
        return self.real.run(names, inputs)


_InferenceSession = onnxruntime.InferenceSession


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine with a GPU that works unless told otherwise."""
    made = Machine()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", made.session)
    open_session.cache_clear()
    yield made
    open_session.cache_clear()


def test_a_gpu_is_used_where_there_is_one(machine: Machine) -> None:
    assert device_of(DEFAULT_WEIGHTS) == "cuda"
    (asked,) = machine.asked
    (name, options), last = asked["providers"]
    assert (name, last) == (CUDA, CPU)
    assert options["use_tf32"] == "0"
    assert asked["enable_fallback"] == 0  # it would print, and change bits half-way


def test_without_a_gpu_none_is_asked_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AzureExecutionProvider", CPU])
    assert device_of(DEFAULT_WEIGHTS) == "cpu"
    assert machine.asked == [{"providers": [CPU]}]


@pytest.mark.parametrize("trouble", ["opens", "is_used"])
def test_a_gpu_that_does_not_work_is_passed_over(machine: Machine, trouble: str) -> None:
    """Opening fails, or ONNX Runtime takes the processor without a word."""
    setattr(machine, trouble, False)
    assert device_of(DEFAULT_WEIGHTS) == "cpu"
    denoised, _ = load_network(DEFAULT_WEIGHTS).run(COUNTS, CENTRE)
    assert np.isfinite(denoised).all()


def test_a_gpu_that_fails_half_way_is_an_error_that_says_what_to_do(machine: Machine) -> None:
    machine.runs = False
    with pytest.raises(FriedelError, match=r"GPU failed .*out of memory.*CUDA_VISIBLE_DEVICES"):
        load_network(DEFAULT_WEIGHTS).run(COUNTS, CENTRE)
