"""Where networks run: on a GPU where ONNX Runtime can use one, otherwise on one thread of the processor."""

from __future__ import annotations

import os
from typing import Any, Literal

#: "cuda" is a GPU by NVIDIA.
Device = Literal["cpu", "cuda"]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
#: TF32 rounds factors to 10 bits; algorithms that are found by trial differ from run to run.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def start_session(weights: bytes) -> Any:
    """Make a network of ONNX weights ready to run; what ONNX Runtime raises has no base of its own.

    A GPU that cannot be used, for want of its driver or of memory, is passed over; one that fails later is an error,
    since ONNX Runtime's own fallback would go on with other bits. Without the setting ORT_DISABLE_TELEMETRY, ONNX
    Runtime 1.31 reports its use to its maker over the network.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    if _CUDA in onnxruntime.get_available_providers():
        options = _options(onnxruntime)
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            return onnxruntime.InferenceSession(
                weights, options, providers=[(_CUDA, _CUDA_OPTIONS), _CPU], enable_fallback=0
            )
        except Exception:  # noqa: BLE001 - what is wrong with the weights shows again below
            pass
    return onnxruntime.InferenceSession(weights, _options(onnxruntime), providers=[_CPU])


def device_of_session(session: Any) -> Device:
    """Tell where a session runs."""
    return "cuda" if session.get_providers()[0] == _CUDA else "cpu"


def _options(onnxruntime: Any) -> Any:
    """One thread, and no words but those of errors."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options
