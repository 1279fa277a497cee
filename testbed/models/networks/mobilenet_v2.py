"""MobileNet v2 with random weights.

Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, table 2.
"""

from __future__ import annotations

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import image

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""expansion, channels, number of blocks, stride of the first"""
STEM = 32
HEAD = 1280
SIXTEENTH = 576
"""channels within the last block that halves the image"""


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo to 1000 logits."""
    graph = Graph("mobilenet-v2")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION)
    _, value = features(graph, value)
    image.random_classifier(graph, value, HEAD)
    return graph.model()


def features(graph: Graph, value: str) -> tuple[str, str]:
    """The last feature map at a sixteenth of a normalised photo, which has `SIXTEENTH` channels, and the head's."""
    value = image.random_convolution(graph, value, (3, STEM), 3, "relu6", stride=2)
    channels, shrinks = STEM, ""
    for expansion, out, blocks, stride in STAGES:
        for block in range(blocks):
            stride_here = 1 if block else stride
            wide, value = _inverted_residual(graph, value, (channels, out), expansion, stride_here)
            if stride_here == 2:
                shrinks = wide
            channels = out
    return shrinks, image.random_convolution(graph, value, (channels, HEAD), 1, "relu6")


def _inverted_residual(
    graph: Graph, value: str, channels: tuple[int, int], expansion: int, stride: int
) -> tuple[str, str]:
    """The expanded feature map, and the block's result."""
    out = channels[0] * expansion
    wide = image.random_convolution(graph, value, (channels[0], out), 1, "relu6") if expansion != 1 else value
    branch = image.random_depthwise(graph, wide, out, 3, "relu6", stride)
    branch = image.random_convolution(graph, branch, (out, channels[1]), 1, "linear")
    return wide, graph.node("Add", branch, value) if stride == 1 and channels[0] == channels[1] else branch
