"""MobileNet v3 Large with random weights.

Howard et al. 2019, "Searching for MobileNetV3", arXiv 1905.02244, table 1; the squeeze of a block is a quarter of its
expansion, rounded to a multiple of 8, as in section 5.3 and in every published form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import image


@dataclass(frozen=True, slots=True)
class Block:
    """A row of the table."""

    kernel: int
    expansion: int
    """channels, not a factor"""
    out: int
    squeeze: bool
    activation: image.Activation
    stride: int


STEM = 16
BLOCKS = (
    Block(3, 16, 16, False, "relu", 1),
    Block(3, 64, 24, False, "relu", 2),
    Block(3, 72, 24, False, "relu", 1),
    Block(5, 72, 40, True, "relu", 2),
    Block(5, 120, 40, True, "relu", 1),
    Block(5, 120, 40, True, "relu", 1),
    Block(3, 240, 80, False, "hard-swish", 2),
    Block(3, 200, 80, False, "hard-swish", 1),
    Block(3, 184, 80, False, "hard-swish", 1),
    Block(3, 184, 80, False, "hard-swish", 1),
    Block(3, 480, 112, True, "hard-swish", 1),
    Block(3, 672, 112, True, "hard-swish", 1),
    Block(5, 672, 160, True, "hard-swish", 2),
    Block(5, 960, 160, True, "hard-swish", 1),
    Block(5, 960, 160, True, "hard-swish", 1),
)
LAST, HIDDEN = 960, 1280
"""channels of the last convolution, width of the first of two fully connected layers"""
TAIL = 12
"""the block that halves the image last"""
SIXTEENTH = BLOCKS[TAIL].expansion


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo to 1000 logits."""
    graph = Graph("mobilenet-v3")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION)
    _, value = features(graph, value, BLOCKS, LAST)
    pooled = image.averaged(graph, value)
    weights, bias = graph.he([HIDDEN, LAST], LAST), graph.normal([HIDDEN], 0.01)
    hidden = graph.node("Gemm", pooled, graph.constant(weights), graph.constant(bias), transB=1)
    hidden = graph.node("Mul", hidden, image.hard_sigmoid(graph, hidden))
    image.random_scores(graph, hidden, HIDDEN)
    return graph.model()


def half_tail() -> tuple[Block, ...]:
    """The table with the last stage half as wide, as detectors use it (section 6.3)."""
    narrow = [
        replace(block, out=block.out // 2, expansion=block.expansion if i == TAIL else block.expansion // 2)
        for i, block in enumerate(BLOCKS)
        if i >= TAIL
    ]
    return (*BLOCKS[:TAIL], *narrow)


def features(graph: Graph, value: str, blocks: tuple[Block, ...], last: int) -> tuple[str, str]:
    """The last feature map at a sixteenth of a normalised photo, `SIXTEENTH` channels, and the last convolution's."""
    value = image.random_convolution(graph, value, (3, STEM), 3, "hard-swish", stride=2)
    channels, shrinks = STEM, ""
    for block in blocks:
        wide, result = _block(graph, value, channels, block)
        if block.stride == 2:
            shrinks = wide
        residual = block.stride == 1 and channels == block.out
        value, channels = graph.node("Add", result, value) if residual else result, block.out
    return shrinks, image.random_convolution(graph, value, (channels, last), 1, "hard-swish")


def _block(graph: Graph, value: str, channels: int, block: Block) -> tuple[str, str]:
    """The expanded feature map, and the block's result."""
    wide = value
    if block.expansion != channels:
        wide = image.random_convolution(graph, value, (channels, block.expansion), 1, block.activation)
    value = image.random_depthwise(graph, wide, block.expansion, block.kernel, block.activation, block.stride)
    if block.squeeze:
        value = graph.node("Mul", value, _excitation(graph, value, block.expansion))
    return wide, image.random_convolution(graph, value, (block.expansion, block.out), 1, "linear")


def _excitation(graph: Graph, value: str, channels: int) -> str:
    """A gain for each channel, from the averages of all."""
    squeezed = _eights(channels / 4)
    value = graph.node("GlobalAveragePool", value)
    value = image.random_convolution(graph, value, (channels, squeezed), 1, "relu")
    return image.hard_sigmoid(graph, image.random_convolution(graph, value, (squeezed, channels), 1, "linear"))


def _eights(channels: float) -> int:
    """The nearest multiple of 8 that is not below nine tenths."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
