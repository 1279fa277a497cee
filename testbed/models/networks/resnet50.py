"""ResNet50 with random weights.

He et al. 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385, in the form all frameworks ship
("v1.5"): the stride sits on the 3x3 convolution.
"""

from __future__ import annotations

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import image

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""width of the bottleneck, number of blocks"""
EXPANSION = 4


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo to 1000 logits."""
    graph = Graph("resnet50")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION)
    value = image.random_convolution(graph, value, (3, 64), 7, "relu", stride=2)
    value = image.pool(graph, value, "MaxPool", 2)
    channels = 64
    for stage, (width, blocks) in enumerate(STAGES):
        for block in range(blocks):
            value = _bottleneck(graph, value, channels, width, stride=2 if stage and not block else 1)
            channels = width * EXPANSION
    image.random_classifier(graph, value, channels)
    return graph.model()


def _bottleneck(graph: Graph, value: str, channels: int, width: int, stride: int) -> str:
    out = width * EXPANSION
    branch = image.random_convolution(graph, value, (channels, width), 1, "relu")
    branch = image.random_convolution(graph, branch, (width, width), 3, "relu", stride)
    branch = image.random_convolution(graph, branch, (width, out), 1, "linear")
    if channels != out:
        value = image.random_convolution(graph, value, (channels, out), 1, "linear", stride)
    return graph.node("Relu", graph.node("Add", branch, value))
