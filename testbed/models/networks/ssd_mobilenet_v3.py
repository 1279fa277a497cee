"""SSDLite with MobileNet v3 Large over photos of 320x320, with random weights.

Howard et al. 2019, arXiv 1905.02244, section 6.3, in the form of torchvision's ssdlite320_mobilenet_v3_large: the
backbone's tail is half as wide, heads are separable convolutions.
"""

from __future__ import annotations

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import detection, image, mobilenet_v3

SIZE = 320


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo, 320x320, to 100 boxes."""
    graph = Graph("ssd-mobilenet-v3")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION, SIZE)
    last_channels = mobilenet_v3.LAST // 2
    sixteenth, last = mobilenet_v3.features(graph, value, mobilenet_v3.half_tail(), last_channels)
    maps = [detection.Map(sixteenth, mobilenet_v3.SIXTEENTH, 20), detection.Map(last, last_channels, 10)]
    detection.heads(graph, maps, detection.separable, _head)
    return graph.model()


def _head(graph: Graph, value: str, channels: tuple[int, int]) -> str:
    value = image.random_depthwise(graph, value, channels[0], 3, "relu6")
    return image.random_convolution(graph, value, channels, 1, "linear")
