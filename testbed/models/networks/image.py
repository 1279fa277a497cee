"""What the image classifiers share: a photo on the wire, convolutions, the classifier at the end.

The graphs take the photo as a camera gives it, uint8 and RGB, and normalise it inside. A request to a remote target
then carries 150,528 bytes; a float32 tensor would carry four times that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from testbed.models.graph import Graph

SIZE = 224
CLASSES = 1000
QUANTISED = ("Conv", "Gemm", "Add", "GlobalAveragePool", "MaxPool", "Clip", "Relu")
"""operators that become integers at int8: all but the normalisation of the photo"""
LINEAR_GAIN = np.float32(0.5)
Activation = Literal["relu", "relu6", "linear"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)
"""per channel, of photos in 0..255: the figures of torchvision's transforms (0.485 * 255 and so on)"""


def photo(graph: Graph, mean: Sequence[float], deviation: Sequence[float]) -> str:
    """The input "image", uint8 [1, 3, 224, 224], normalised channel by channel."""
    image = graph.input("image", np.uint8, [1, 3, SIZE, SIZE])
    centred = graph.node("Sub", graph.node("Cast", image, to=1), _channels(graph, mean))
    return graph.node("Div", centred, _channels(graph, deviation))


def convolution(
    graph: Graph,
    value: str,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    activation: Activation,
    stride: int = 1,
) -> str:
    """Convolve with `weights` [out, in / groups, k, k]; a second axis of 1 makes it depthwise.

    Padding is TensorFlow's "SAME": the output is ceil(input / stride) wide. Batch normalisation is folded into weights
    and bias, as every inference runtime does on loading.
    """
    out, depth, kernel, _ = weights.shape
    value = graph.node(
        "Conv",
        value,
        graph.constant(weights),
        graph.constant(bias),
        kernel_shape=[kernel, kernel],
        strides=[stride, stride],
        auto_pad="SAME_UPPER",
        group=out if depth == 1 else 1,
    )
    if activation == "relu":
        return graph.node("Relu", value)
    if activation == "relu6":
        return graph.node("Clip", value, graph.floats(0), graph.floats(6))
    return value


def random_convolution(
    graph: Graph, value: str, channels: tuple[int, int], kernel: int, activation: Activation, stride: int = 1
) -> str:
    """A convolution from channels[0] to channels[1] with random weights.

    Those of a linear one are smaller: it feeds a residual sum, and activations shall not grow through the depth.
    """
    weights = graph.he([channels[1], channels[0], kernel, kernel], channels[0] * kernel**2)
    if activation == "linear":
        weights *= LINEAR_GAIN
    return convolution(graph, value, weights, graph.normal([channels[1]], 0.01), activation, stride)


def random_depthwise(graph: Graph, value: str, channels: int, kernel: int, activation: Activation, stride: int) -> str:
    """A depthwise convolution with random weights."""
    weights = graph.he([channels, 1, kernel, kernel], kernel**2)
    return convolution(graph, value, weights, graph.normal([channels], 0.01), activation, stride)


def classifier(graph: Graph, value: str, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Average over the image, then the class scores: output "logits", float32 [1, classes], before any softmax."""
    features = graph.node("Flatten", graph.node("GlobalAveragePool", value))
    scores = graph.node("Gemm", features, graph.constant(weights), graph.constant(bias), transB=1)
    graph.output(scores, "logits", [1, len(bias)])


def random_classifier(graph: Graph, value: str, channels: int) -> None:
    """A classifier of `channels` features into 1000 classes with random weights."""
    classifier(graph, value, graph.he([CLASSES, channels], channels), graph.normal([CLASSES], 0.01))


def _channels(graph: Graph, values: Sequence[float]) -> str:
    return graph.constant(np.array(values, np.float32).reshape(1, -1, 1, 1))
