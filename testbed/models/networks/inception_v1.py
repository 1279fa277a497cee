"""Inception v1 (GoogLeNet) with random weights.

Szegedy et al. 2014, "Going Deeper with Convolutions", arXiv 1409.4842, table 1, without the auxiliary classifiers,
which only training uses, and without local response normalisation, which later forms left out.
"""

from __future__ import annotations

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import image

Module = tuple[int, int, int, int, int, int]
"""1x1; 3x3's reduction, 3x3; 5x5's reduction, 5x5; 1x1 behind the pool"""
STAGES: tuple[tuple[Module, ...], ...] = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""modules 3a to 5b; a pool halves the image before each stage"""


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo to 1000 logits."""
    graph = Graph("inception-v1")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION)
    value = image.random_convolution(graph, value, (3, 64), 7, "relu", stride=2)
    value = image.pool(graph, value, "MaxPool", 2)
    value = image.random_convolution(graph, value, (64, 64), 1, "relu")
    value = image.random_convolution(graph, value, (64, 192), 3, "relu")
    channels = 192
    for modules in STAGES:
        value = image.pool(graph, value, "MaxPool", 2)
        for module in modules:
            value = _module(graph, value, channels, module)
            channels = module[0] + module[2] + module[4] + module[5]
    image.random_classifier(graph, value, channels)
    return graph.model()


def _module(graph: Graph, value: str, channels: int, module: Module) -> str:
    one, reduced3, three, reduced5, five, pooled = module
    branch1 = image.random_convolution(graph, value, (channels, one), 1, "relu")
    branch3 = image.random_convolution(graph, value, (channels, reduced3), 1, "relu")
    branch3 = image.random_convolution(graph, branch3, (reduced3, three), 3, "relu")
    branch5 = image.random_convolution(graph, value, (channels, reduced5), 1, "relu")
    branch5 = image.random_convolution(graph, branch5, (reduced5, five), 5, "relu")
    branch_pool = image.pool(graph, value, "MaxPool", 1)
    branch_pool = image.random_convolution(graph, branch_pool, (channels, pooled), 1, "relu")
    return graph.node("Concat", branch1, branch3, branch5, branch_pool, axis=1)
