"""How right a network is at each precision, and how that is known.

Random weights know nothing, so for networks that carry them the accuracy is taken from publications on the trained
network of the same name. Where the weights are trained it is measured: how often the answer is the FP32 network's. It
is measured on the controller's CPU; one without half-precision arithmetic sees at fp16 the rounding of weights alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

from testbed.agent.contract import Tensors

Provenance = Literal["measured", "published", "assumed", "given"]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One accuracy with what it means and where it comes from."""

    value: float
    """in [0, 1]"""
    metric: str
    provenance: Provenance
    source: str


_TORCHVISION = "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models"
_TENSORRT_ZOO = "https://docs.nvidia.com/deeplearning/tensorrt/tensorflow-quantization-toolkit/docs/docs/model_zoo.html"
_OPENVINO = "https://docs.openvino.ai/2025/about-openvino/performance-benchmarks/model-accuracy-int8-fp32.html"
_MLPERF_MOBILE = "https://github.com/mlcommons/mobile_open/blob/main/language/bert/README.md"


def _top1(value: float, source: str) -> Accuracy:
    return Accuracy(value, "ImageNet top-1", "published", source)


def _f1(value: float, provenance: Provenance, source: str) -> Accuracy:
    return Accuracy(value, "SQuAD v1.1 F1", provenance, source)


PUBLISHED: Mapping[str, Mapping[str, Accuracy]] = {
    "resnet50": {
        "fp32": _top1(0.7613, f"IMAGENET1K_V1, {_TORCHVISION}.resnet50.html"),
        "fp16": _top1(0.7613 + 0.0001, f"FP32 and the difference found in {_OPENVINO}"),
        "int8": _top1(
            0.7592, f"IMAGENET1K_FBGEMM_V1, quantised after training, {_TORCHVISION}.quantization.resnet50.html"
        ),
    },
    "mobilenet-v2": {
        "fp32": _top1(0.7177, f"baseline, {_TENSORRT_ZOO}"),
        "fp16": _top1(0.7177 - 0.0003, f"FP32 and the difference found in {_OPENVINO}"),
        "int8": _top1(0.7087, f"quantised after training (PTQ), {_TENSORRT_ZOO}"),
    },
    "mobilebert": {
        "fp32": _f1(0.90, "published", _MLPERF_MOBILE),
        "fp16": _f1(0.90, "assumed", f"FP32's: no figure for FP16 was found; FP32's is in {_MLPERF_MOBILE}"),
        "int8": _f1(0.88, "published", f"quantisation-aware training, {_MLPERF_MOBILE}"),
    },
}
"""network -> precision -> accuracy of the trained network"""


def top1(path: Path, inputs: Sequence[Tensors]) -> list[int]:
    """The class with the highest score for each input, run on this host's CPU."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to others in between
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [int(np.argmax(session.run(None, tensors)[0])) for tensors in inputs]


def agreement(classes: Sequence[int], reference: Sequence[int], source: str) -> Accuracy:
    """How often two runs over the same inputs name the same class."""
    value = float(np.mean(np.equal(classes, reference)))
    return Accuracy(value, "top-1 agreement with FP32", "measured", source)
