"""From a trained network to a file of weights and its card."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from friedel.crystal import Crystal
from friedel.nets.training.networks import IN_CHANNELS, Denoiser

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


def export_onnx(network: Denoiser, path: Path) -> str:
    """Write a network as ONNX with weights in half precision, and return the sha256 of the file.

    The weights are widened to single precision when they are loaded; all arithmetic is in single precision.
    """
    module = _Exported(network.cpu().eval())
    example = torch.zeros((1, IN_CHANNELS, 128, 128))
    sizes = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, (example,), input_names=["z"], output_names=["denoised", "probability"],
            dynamic_shapes={"z": sizes}, dynamo=True, verbose=False,
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
