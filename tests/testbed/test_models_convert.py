from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from testbed.models import convert
from testbed.models.graph import Graph
from testbed.models.networks import image

SIDE = 16


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions, a residual sum and a classifier."""
    graph = Graph("small")
    photo = graph.input("image", np.float32, [1, 3, SIDE, SIDE])
    value = image.random_convolution(graph, photo, (3, 8), 3, "relu6", 2)
    value = graph.node("Add", image.random_convolution(graph, value, (8, 8), 3, "linear"), value)
    image.random_classifier(graph, value, 8)
    path = tmp_path_factory.mktemp("small") / "fp32.onnx"
    onnx.save(graph.model(), str(path))
    return path


def _inputs(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    return [{"image": random.standard_normal((1, 3, SIDE, SIDE), np.float32)} for _ in range(count)]


@pytest.fixture(scope="module")
def symmetric(small: Path) -> Path:
    path = small.with_name("symmetric.onnx")
    convert.to_int8_symmetric(small, path, image.QUANTISED, _inputs(8, 1))
    return path


def _scores(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, tensors)[0] for tensors in _inputs(8, 2)])


def test_the_symmetric_form_answers_much_like_fp32(small: Path, symmetric: Path) -> None:
    assert np.corrcoef(_scores(small).ravel(), _scores(symmetric).ravel())[0, 1] > 0.99


def test_every_zero_point_of_the_symmetric_form_is_0_and_int8(symmetric: Path) -> None:
    graph = onnx.load(str(symmetric)).graph
    constants = {c.name: c for c in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert pairs
    for node in pairs:
        zero_point = constants[node.input[2]]
        assert zero_point.data_type == TensorProto.INT8
        assert not numpy_helper.to_array(zero_point).any()


def test_weights_of_the_symmetric_form_are_floats_with_a_pair_of_their_own_by_channel(symmetric: Path) -> None:
    graph = onnx.load(str(symmetric)).graph
    constants = {c.name: c for c in graph.initializer}
    sources = {node.output[0]: node for node in graph.node}
    layers = [node for node in graph.node if node.op_type in {"Conv", "Gemm"}]
    assert len(layers) == 3
    for layer in layers:
        back = sources[layer.input[1]]
        assert back.op_type == "DequantizeLinear"
        there = sources[back.input[0]]
        assert there.op_type == "QuantizeLinear"
        weights = constants[there.input[0]]
        assert weights.data_type == TensorProto.FLOAT
        assert list(constants[there.input[1]].dims) == [weights.dims[0]]
        assert constants[layer.input[2]].data_type == TensorProto.FLOAT
