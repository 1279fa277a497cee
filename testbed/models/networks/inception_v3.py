"""Inception v3 with random weights.

Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision", arXiv 1512.00567, table 1 and figures
5 to 7, 10; widths as in the form all frameworks ship, without the auxiliary classifier, which only training uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from testbed.models.graph import Graph
from testbed.models.networks import image

SIZE = 299


@dataclass(frozen=True, slots=True)
class Conv:
    """One convolution of a branch."""

    out: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    padding: image.Padding = "SAME_UPPER"


Branch = Sequence[Conv]

WIDE, TALL = (1, 7), (7, 1)
STEM = (Conv(32, 3, 2, "VALID"), Conv(32, 3, 1, "VALID"), Conv(64, 3))
STEM_2 = (Conv(80), Conv(192, 3, 1, "VALID"))


def build() -> onnx.ModelProto:
    """The FP32 graph: uint8 photo, 299x299, to 1000 logits."""
    graph = Graph("inception-v3")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION, SIZE)
    value, channels = _branch(graph, value, 3, STEM)
    value, channels = _branch(graph, _shrunk(graph, value), channels, STEM_2)
    value = _shrunk(graph, value)
    for pooled in (32, 64, 64):
        branches = [
            [Conv(64)],
            [Conv(48), Conv(64, 5)],
            [Conv(64), Conv(96, 3), Conv(96, 3)],
        ]
        value, channels = _module(graph, value, channels, branches, pooled)
    reductions: list[Branch] = [[Conv(384, 3, 2, "VALID")], [Conv(64), Conv(96, 3), Conv(96, 3, 2, "VALID")]]
    value, channels = _reduction(graph, value, channels, reductions)
    for width in (128, 160, 160, 192):
        branches = [
            [Conv(192)],
            [Conv(width), Conv(width, WIDE), Conv(192, TALL)],
            [Conv(width), Conv(width, TALL), Conv(width, WIDE), Conv(width, TALL), Conv(192, WIDE)],
        ]
        value, channels = _module(graph, value, channels, branches, 192)
    reductions = [
        [Conv(192), Conv(320, 3, 2, "VALID")],
        [Conv(192), Conv(192, WIDE), Conv(192, TALL), Conv(192, 3, 2, "VALID")],
    ]
    value, channels = _reduction(graph, value, channels, reductions)
    for _ in range(2):
        value, channels = _forked(graph, value, channels)
    image.random_classifier(graph, value, channels)
    return graph.model()


def _module(graph: Graph, value: str, channels: int, branches: Sequence[Branch], pooled: int) -> tuple[str, int]:
    """Branches side by side, and one behind an average."""
    made = [_branch(graph, value, channels, branch) for branch in branches]
    return _joined(graph, [*made, _branch(graph, image.pool(graph, value, "AveragePool", 1), channels, [Conv(pooled)])])


def _reduction(graph: Graph, value: str, channels: int, branches: Sequence[Branch]) -> tuple[str, int]:
    """Branches that halve the image, and a pool that does."""
    made = [_branch(graph, value, channels, branch) for branch in branches]
    return _joined(graph, [*made, (_shrunk(graph, value), channels)])


def _forked(graph: Graph, value: str, channels: int) -> tuple[str, int]:
    """The widest module: two of its branches end in a row and a column side by side."""
    straight = _branch(graph, value, channels, [Conv(320)])
    forks = []
    for stem in ([Conv(384)], [Conv(448), Conv(384, 3)]):
        stemmed, width = _branch(graph, value, channels, stem)
        forks += [_branch(graph, stemmed, width, [Conv(384, kernel)]) for kernel in ((1, 3), (3, 1))]
    pooled = _branch(graph, image.pool(graph, value, "AveragePool", 1), channels, [Conv(192)])
    return _joined(graph, [straight, *forks, pooled])


def _branch(graph: Graph, value: str, channels: int, branch: Branch) -> tuple[str, int]:
    for conv in branch:
        value = image.random_convolution(
            graph, value, (channels, conv.out), conv.kernel, "relu", conv.stride, conv.padding
        )
        channels = conv.out
    return value, channels


def _joined(graph: Graph, parts: Sequence[tuple[str, int]]) -> tuple[str, int]:
    return graph.node("Concat", *(value for value, _ in parts), axis=1), sum(channels for _, channels in parts)


def _shrunk(graph: Graph, value: str) -> str:
    return graph.node("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2])
