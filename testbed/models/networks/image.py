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
QUANTISED = ("Conv", "Gemm", "Add", "GlobalAveragePool", "AveragePool", "MaxPool", "Concat", "Clip", "Relu")
"""operators that become integers at int8: all but the normalisation of the photo"""
LINEAR_GAIN = np.float32(0.5)
Activation = Literal["relu", "relu6", "hard-swish", "linear"]
Padding = Literal["SAME_UPPER", "VALID"]
"""how wide the output is: ceil(input / stride), TensorFlow's "SAME"; or only where the kernel lies within the input"""

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)
"""per channel, of photos in 0..255: the figures of torchvision's transforms (0.485 * 255 and so on)"""


def photo(graph: Graph, mean: Sequence[float], deviation: Sequence[float], size: int = SIZE) -> str:
    """The input "image", uint8 [1, 3, size, size], normalised channel by channel."""
    image = graph.input("image", np.uint8, [1, 3, size, size])
    centred = graph.node("Sub", graph.node("Cast", image, to=1), _channels(graph, mean))
    return graph.node("Div", centred, _channels(graph, deviation))


def convolution(
    graph: Graph,
    value: str,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    activation: Activation,
    stride: int = 1,
    padding: Padding = "SAME_UPPER",
) -> str:
    """Convolve with `weights` [out, in / groups, height, width]; a second axis of 1 makes it depthwise.

    Batch normalisation is folded into weights and bias, as every inference runtime does on loading.
    """
    out, depth, *kernel = weights.shape
    value = graph.node(
        "Conv",
        value,
        graph.constant(weights),
        graph.constant(bias),
        kernel_shape=kernel,
        strides=[stride, stride],
        auto_pad=padding,
        group=out if depth == 1 else 1,
    )
    return _activated(graph, value, activation)


def _activated(graph: Graph, value: str, activation: Activation) -> str:
    if activation == "relu":
        return graph.node("Relu", value)
    if activation == "relu6":
        return graph.node("Clip", value, graph.floats(0), graph.floats(6))
    if activation == "hard-swish":
        return graph.node("Mul", value, hard_sigmoid(graph, value))
    return value


def hard_sigmoid(graph: Graph, value: str) -> str:
    """min(max(x / 6 + 1/2, 0), 1), of MobileNet v3 (arXiv 1905.02244, section 5.2)."""
    return graph.node("HardSigmoid", value, alpha=1 / 6, beta=0.5)


def random_convolution(
    graph: Graph,
    value: str,
    channels: tuple[int, int],
    kernel: int | tuple[int, int],
    activation: Activation,
    stride: int = 1,
    padding: Padding = "SAME_UPPER",
) -> str:
    """A convolution from channels[0] to channels[1] with random weights.

    `kernel` is its side, or its height and width. Weights of a linear one are smaller: it feeds a residual sum, and
    activations shall not grow through the depth.
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    weights = graph.he([channels[1], channels[0], height, width], channels[0] * height * width)
    if activation == "linear":
        weights *= LINEAR_GAIN
    bias = graph.normal([channels[1]], 0.01)
    return convolution(graph, value, weights, bias, activation, stride, padding)


def random_depthwise(
    graph: Graph, value: str, channels: int, kernel: int, activation: Activation, stride: int = 1
) -> str:
    """A depthwise convolution with random weights."""
    weights = graph.he([channels, 1, kernel, kernel], kernel**2)
    return convolution(graph, value, weights, graph.normal([channels], 0.01), activation, stride)


def pool(graph: Graph, value: str, op: Literal["MaxPool", "AveragePool"], stride: Literal[1, 2]) -> str:
    """The largest or the average of 3x3, ceil(side / stride) wide; at stride 2 the side must be even.

    The padding is TensorFlow's "SAME", written out: pnnx drops that of a pool with `auto_pad`. Averages skip it.
    """
    pads = [1, 1, 1, 1] if stride == 1 else [0, 0, 1, 1]
    return graph.node(op, value, kernel_shape=[3, 3], strides=[stride, stride], pads=pads)


def classifier(graph: Graph, value: str, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Average over the image, then the class scores: output "logits", float32 [1, classes], before any softmax."""
    _scores(graph, averaged(graph, value), weights, bias)


def random_classifier(graph: Graph, value: str, channels: int) -> None:
    """A classifier of `channels` feature maps into 1000 classes with random weights."""
    random_scores(graph, averaged(graph, value), channels)


def averaged(graph: Graph, value: str) -> str:
    """The average of each feature map over the image, [1, channels]."""
    return graph.node("Flatten", graph.node("GlobalAveragePool", value))


def random_scores(graph: Graph, features: str, width: int) -> None:
    """Scores of 1000 classes from `width` features, with random weights: output "logits", before any softmax."""
    _scores(graph, features, graph.he([CLASSES, width], width), graph.normal([CLASSES], 0.01))


def _scores(graph: Graph, features: str, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    scores = graph.node("Gemm", features, graph.constant(weights), graph.constant(bias), transB=1)
    graph.output(scores, "logits", [1, len(bias)])


def _channels(graph: Graph, values: Sequence[float]) -> str:
    return graph.constant(np.array(values, np.float32).reshape(1, -1, 1, 1))
