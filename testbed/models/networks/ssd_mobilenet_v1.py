"""SSD with MobileNet v1 over photos of 300x300, with random weights.

Huang et al. 2016, "Speed/accuracy trade-offs for modern convolutional object detectors", arXiv 1611.10012, section
3.1.3, with the heads of TensorFlow's ssd_mobilenet_v1_coco: 1x1 convolutions on six maps.
"""

from __future__ import annotations

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import detection, image, mobilenet_v1

SIZE = 300


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo, 300x300, to 100 boxes."""
    graph = Graph("ssd-mobilenet-v1")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION, SIZE)
    pairs = mobilenet_v1.features(graph, value)
    maps = [detection.Map(pairs[10], 512, 19, anchors=3), detection.Map(pairs[12], 1024, 10)]
    detection.heads(graph, maps, _further, _head)
    return graph.model()


def _further(graph: Graph, value: str, channels: tuple[int, int]) -> str:
    value = image.random_convolution(graph, value, (channels[0], channels[1] // 2), 1, "relu6")
    return image.random_convolution(graph, value, (channels[1] // 2, channels[1]), 3, "relu6", stride=2)


def _head(graph: Graph, value: str, channels: tuple[int, int]) -> str:
    return image.random_convolution(graph, value, channels, 1, "linear")
