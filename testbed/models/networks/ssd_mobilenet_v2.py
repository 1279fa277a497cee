"""SSD with MobileNet v2 over photos of 300x300, with random weights.

Sandler et al. 2018, arXiv 1801.04381, section 6.2, with the heads of TensorFlow's ssd_mobilenet_v2_coco, which are
plain 3x3 convolutions: Open Model Zoo counts 1.89 G multiply-accumulates and 16.8 M parameters in it.
"""

from __future__ import annotations

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import detection, image, mobilenet_v2

SIZE = 300


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo, 300x300, to 100 boxes."""
    graph = Graph("ssd-mobilenet-v2")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION, SIZE)
    sixteenth, last = mobilenet_v2.features(graph, value)
    maps = [
        detection.Map(sixteenth, mobilenet_v2.SIXTEENTH, 19, anchors=3),
        detection.Map(last, mobilenet_v2.HEAD, 10),
    ]
    detection.heads(graph, maps, detection.separable, _head)
    return graph.model()


def _head(graph: Graph, value: str, channels: tuple[int, int]) -> str:
    return image.random_convolution(graph, value, channels, 3, "linear")
