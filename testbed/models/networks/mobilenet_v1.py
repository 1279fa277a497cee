"""MobileNet v1 with random weights.

Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", arXiv
1704.04861, table 1.
"""

from __future__ import annotations

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import image

STEM = 32
PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""channels and stride of each depthwise and 1x1 pair"""


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo to 1000 logits."""
    graph = Graph("mobilenet-v1")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION)
    image.random_classifier(graph, features(graph, value)[-1], PAIRS[-1][0])
    return graph.model()


def features(graph: Graph, value: str) -> list[str]:
    """What comes out of each pair, of a normalised photo."""
    value = image.random_convolution(graph, value, (3, STEM), 3, "relu6", stride=2)
    channels, found = STEM, []
    for out, stride in PAIRS:
        value = image.random_depthwise(graph, value, channels, 3, "relu6", stride)
        value = image.random_convolution(graph, value, (channels, out), 1, "relu6")
        channels = out
        found.append(value)
    return found
