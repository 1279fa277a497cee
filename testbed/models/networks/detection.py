"""What the SSD detectors share: feature maps beyond the backbone's, heads on each, the best boxes at the end.

Liu et al. 2015, "SSD: Single Shot MultiBox Detector", arXiv 1512.02325. The graph ends with the 100 boxes of the
highest scores, decoded. Suppressing those that overlap is left to whoever asked: how many remain depends on the photo,
and a shape must not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testbed.models.graph import Graph
from testbed.models.networks import image

CLASSES = 91
"""of COCO, with the background, which is class 0"""
KEPT = 100
"""boxes in an answer"""
EXTRAS = (512, 256, 256, 128)
"""channels of the feature maps beyond the backbone's two, each half as wide as the one before"""
RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3, 1.0)
"""width / height of the anchors at a place (section 2.2); the last is larger"""
SMALLEST, LARGEST = 0.2, 0.95
"""anchors' sizes on the first and the last map, of the photo's side"""
CENTRE_GAIN, SIZE_GAIN = 0.1, 0.2
"""what a head's offsets are multiplied by ("variances")"""


@dataclass(frozen=True, slots=True)
class Map:
    """A feature map that has heads."""

    value: str
    channels: int
    side: int
    anchors: int = len(RATIOS)
    """at each place"""


Layer = Callable[[Graph, str, tuple[int, int]], str]
"""a head, or a map's way to the next: (graph, value, channels in and out)"""


def heads(graph: Graph, backbone: Sequence[Map], further: Layer, head: Layer) -> None:
    """Maps beyond the backbone's, made by `further`; boxes and scores by `head`; the outputs.

    "boxes" [1, 100, 4]: top, left, bottom, right as fractions of the photo; "classes" and "scores" [1, 100].
    """
    maps = list(backbone)
    for channels in EXTRAS:
        last = maps[-1]
        maps.append(Map(further(graph, last.value, (last.channels, channels)), channels, -(-last.side // 2)))
    offsets = graph.node("Concat", *(_predicted(graph, found, head, 4) for found in maps), axis=1)
    logits = graph.node("Concat", *(_predicted(graph, found, head, CLASSES) for found in maps), axis=1)
    _best(graph, offsets, logits, _anchors(maps))


def separable(graph: Graph, value: str, channels: tuple[int, int]) -> str:
    """The next map by a 1x1, a depthwise and a 1x1 convolution, half as wide between."""
    between = channels[1] // 2
    value = image.random_convolution(graph, value, (channels[0], between), 1, "relu6")
    value = image.random_depthwise(graph, value, between, 3, "relu6", 2)
    return image.random_convolution(graph, value, (between, channels[1]), 1, "relu6")


def _predicted(graph: Graph, found: Map, head: Layer, each: int) -> str:
    """`each` numbers for every anchor of a map, [1, anchors, each]."""
    predicted = head(graph, found.value, (found.channels, found.anchors * each))
    rows = found.side**2 * found.anchors
    return graph.node("Reshape", graph.node("Transpose", predicted, perm=[0, 2, 3, 1]), graph.ints(1, rows, each))


def _best(graph: Graph, offsets: str, logits: str, anchors: NDArray[np.float32]) -> None:
    things = graph.node("Slice", logits, graph.ints(1), graph.ints(CLASSES), graph.ints(2))
    scores = graph.node("ReduceMax", graph.node("Sigmoid", things), axes=[2], keepdims=0)
    kinds = graph.node("ArgMax", things, axis=2, keepdims=0)
    values, places = graph.nodes("TopK", 2, scores, graph.ints(KEPT), axis=1)
    kept = graph.node("Reshape", places, graph.ints(KEPT))
    chosen = graph.node("Gather", offsets, kept, axis=1)
    at = graph.node("Gather", graph.constant(anchors), kept, axis=1)
    boxes = _corners(graph, chosen, at)
    kind = graph.node("Cast", graph.node("Gather", kinds, kept, axis=1), to=1)
    graph.output(boxes, "boxes", [1, KEPT, 4])
    graph.output(graph.node("Add", kind, graph.floats(1)), "classes", [1, KEPT])
    graph.output(values, "scores", [1, KEPT])


def _corners(graph: Graph, offsets: str, anchors: str) -> str:
    """Boxes from offsets and anchors, both (centre y, centre x, height, width)."""
    shift, growth = graph.nodes("Split", 2, offsets, axis=2)
    centre, size = graph.nodes("Split", 2, anchors, axis=2)
    shift = graph.node("Mul", graph.node("Mul", shift, graph.floats(CENTRE_GAIN)), size)
    centre = graph.node("Add", centre, shift)
    grown = graph.node("Exp", graph.node("Mul", growth, graph.floats(SIZE_GAIN)))
    half = graph.node("Mul", graph.node("Mul", size, grown), graph.floats(0.5))
    return graph.node("Concat", graph.node("Sub", centre, half), graph.node("Add", centre, half), axis=2)


def _anchors(maps: Sequence[Map]) -> NDArray[np.float32]:
    """Every anchor of every map, [1, all, 4], in the heads' order: row, column, shape."""
    sizes = [*np.linspace(SMALLEST, LARGEST, len(maps)), 1.0]
    rows = []
    for found, size, larger in zip(maps, sizes, sizes[1:], strict=False):
        sides = [size] * (len(RATIOS) - 1) + [float(np.sqrt(size * larger))]
        shapes = [(s / r**0.5, s * r**0.5) for s, r in zip(sides, RATIOS, strict=True)][: found.anchors]
        places = (np.arange(found.side) + 0.5) / found.side
        rows += [(y, x, *shape) for y in places for x in places for shape in shapes]
    return np.array([rows], np.float32)
