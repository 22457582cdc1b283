"""From a trained network to a file of weights and its card."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from friedel.crystal import Crystal
from friedel.nets.training.networks import IN_CHANNELS, SPECTRUM_CHANNELS, Denoiser, Segmenter

#: Smaller tensors than this stay in single precision.
_MIN_HALF = 16


class _Exported(nn.Module):
    """A denoiser whose second answer is a probability."""

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        denoised, logits = self.network(z)
        return denoised, torch.sigmoid(logits)


class _ExportedSegmenter(nn.Module):
    """A segmenter that answers with a probability."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.network(x))


def export_onnx(network: Denoiser, path: Path) -> str:
    """Write a denoiser as ONNX with weights in half precision, and return the sha256 of the file.

    The weights are widened to single precision when they are loaded; all arithmetic is in single precision.
    """
    return _write(_Exported(network.cpu().eval()), ("z", IN_CHANNELS), ["denoised", "probability"], path)


def export_segmenter(network: Segmenter, path: Path) -> str:
    """Write a segmenter as ``export_onnx`` does a denoiser."""
    return _write(_ExportedSegmenter(network.cpu().eval()), ("x", SPECTRUM_CHANNELS), ["probability"], path)


def read_segmenter(network: Segmenter, path: Path) -> None:
    """Put the weights of an exported segmenter into a network of the same architecture."""
    stored = {t.name: numpy_helper.to_array(t).astype(np.float32) for t in onnx.load(str(path)).graph.initializer}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            full = f"network.{name}"
            parameter.copy_(torch.as_tensor(stored[f"{full}.half" if f"{full}.half" in stored else full]))


def _write(module: nn.Module, given: tuple[str, int], answers: list[str], path: Path) -> str:
    """Export a module for pictures of any size, with a name and a number of channels, and return the file's sha256."""
    name, channels = given
    example = torch.zeros((1, channels, 128, 128))
    sizes = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, (example,), input_names=[name], output_names=answers, dynamic_shapes={name: sizes}, dynamo=True,
            verbose=False,
        )  # fmt: skip
    model = program.model_proto
    _halve(model)
    for entry in (model, model.graph):
        entry.ClearField("doc_string")
    for node in model.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    model.graph.ClearField("value_info")
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _halve(model: onnx.ModelProto) -> None:
    """Store the weights in half precision, each with a cast that widens it."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _MIN_HALF:
            continue
        name = tensor.name
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half")
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def hash_crystals(crystals: Sequence[Crystal]) -> str:
    """Hash of the structures that a network was trained on."""
    text = "\n".join(repr((c.name, c.cell, c.sites)) for c in crystals)
    return hashlib.sha256(text.encode()).hexdigest()
