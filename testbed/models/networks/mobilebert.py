"""MobileBERT for question answering over 128 tokens, with random weights.

Sun et al. 2020, "MobileBERT: a Compact Task-Agnostic BERT for Resource-Limited Devices", arXiv 2004.02984, table 1 (the
25 M parameter model) and sections 3.1 to 3.4: 24 bottleneck blocks, stacked feed-forward networks, `NoNorm` for layer
normalisation, ReLU, embeddings of three neighbouring tokens.
"""

from __future__ import annotations

import numpy as np
import onnx

from testbed.models.graph import Graph

TOKENS = 128
VOCABULARY = 30522
EMBEDDING = 128
HIDDEN = 512
"""width between blocks"""
BOTTLENECK = 128
"""width within a block"""
FEED_FORWARD = 512
BLOCKS = 24
HEADS = 4
FEED_FORWARDS = 4
"""feed-forward networks in a block"""
MASKED = -1e4
"""added to the attention scores of absent tokens; a number that FP16 can hold"""
HALF_POWER = float(np.sqrt(0.5))
"""gain after the sum of two parts of equal power, so that activations do not grow through the depth"""
ATTENTION_POWER = 1 / 16
"""of attention's part in its residual sum: with more, random weights make all tokens alike within 24 blocks"""

QUANTISED = ("MatMul", "Gather")
"""operators that become integers at int8: products and tables; sums and softmax stay float, which is faster on CPUs"""


def build() -> onnx.ModelProto:
    """The FP32 graph: int32 `input_ids`, `attention_mask` and `token_type_ids` [1, 128] to `logits` [1, 128, 2].

    The logits are those of the answer's start and end. 1,536 bytes go in, 1,024 come out.
    """
    graph = Graph("mobilebert")
    ids, mask, types = (
        graph.input(name, np.int32, [1, TOKENS]) for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    hidden = _embeddings(graph, ids, types)
    absent = graph.node("Sub", graph.floats(1), graph.node("Cast", mask, to=1))
    scores = graph.node("Mul", graph.node("Unsqueeze", absent, graph.ints(1, 2)), graph.floats(MASKED))
    for _ in range(BLOCKS):
        hidden = _block(graph, hidden, scores)
    graph.output(_linear(graph, hidden, HIDDEN, 2), "logits", [1, TOKENS, 2])
    return graph.model()


def _embeddings(graph: Graph, ids: str, types: str) -> str:
    words = graph.node("Gather", graph.constant(graph.normal([VOCABULARY, EMBEDDING], 1)), ids)
    padded = graph.node("Pad", words, graph.ints(0, 1, 0, 0, 1, 0))
    before, after = (
        graph.node("Slice", padded, graph.ints(start), graph.ints(start + TOKENS), graph.ints(1)) for start in (0, 2)
    )
    trigrams = graph.node("Concat", after, words, before, axis=2)
    hidden = _linear(graph, trigrams, 3 * EMBEDDING, HIDDEN)
    positions = graph.constant(graph.normal([1, TOKENS, HIDDEN], 0.1))
    kinds = graph.node("Gather", graph.constant(graph.normal([2, HIDDEN], 0.1)), types)
    hidden = graph.node("Add", graph.node("Add", hidden, positions), kinds)
    return _no_norm(graph, hidden, HIDDEN, HALF_POWER)


def _block(graph: Graph, hidden: str, mask: str) -> str:
    narrow = _no_norm(graph, _linear(graph, hidden, HIDDEN, BOTTLENECK), BOTTLENECK)
    shared = _no_norm(graph, _linear(graph, hidden, HIDDEN, BOTTLENECK), BOTTLENECK)
    value = graph.node("Add", _attention(graph, shared, hidden, mask), narrow)
    value = _no_norm(graph, value, BOTTLENECK)
    for _ in range(FEED_FORWARDS):
        wide = graph.node("Relu", _linear(graph, value, BOTTLENECK, FEED_FORWARD))
        result = _linear(graph, wide, FEED_FORWARD, BOTTLENECK, power=2)
        value = _no_norm(graph, graph.node("Add", result, value), BOTTLENECK, HALF_POWER)
    result = _linear(graph, value, BOTTLENECK, HIDDEN)
    return _no_norm(graph, graph.node("Add", result, hidden), HIDDEN, HALF_POWER)


def _attention(graph: Graph, shared: str, hidden: str, mask: str) -> str:
    queries = _heads(graph, _linear(graph, shared, BOTTLENECK, BOTTLENECK), [0, 2, 1, 3])
    keys = _heads(graph, _linear(graph, shared, BOTTLENECK, BOTTLENECK), [0, 2, 3, 1])
    values = _heads(graph, _linear(graph, hidden, HIDDEN, BOTTLENECK), [0, 2, 1, 3])
    scale = graph.floats(float(np.sqrt(BOTTLENECK // HEADS)))
    scores = graph.node("Add", graph.node("Div", graph.node("MatMul", queries, keys), scale), mask)
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), values)
    joined = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(1, TOKENS, BOTTLENECK))
    return _linear(graph, joined, BOTTLENECK, BOTTLENECK, ATTENTION_POWER)


def _heads(graph: Graph, value: str, order: list[int]) -> str:
    split = graph.node("Reshape", value, graph.ints(1, TOKENS, HEADS, BOTTLENECK // HEADS))
    return graph.node("Transpose", split, perm=order)


def _linear(graph: Graph, value: str, width_in: int, width_out: int, power: float = 1) -> str:
    """The result has `power` times the power of `value`."""
    weights = graph.normal([width_in, width_out], (power / width_in) ** 0.5)
    product = graph.node("MatMul", value, graph.constant(weights))
    return graph.node("Add", product, graph.constant(graph.normal([width_out], 0.01)))


def _no_norm(graph: Graph, value: str, width: int, gain: float = 1) -> str:
    """Section 3.3 of the paper: layer normalisation without the statistics, a gain and a bias for each channel."""
    scaled = graph.node("Mul", value, graph.constant(np.full(width, gain, np.float32)))
    return graph.node("Add", scaled, graph.constant(graph.normal([width], 0.01)))
