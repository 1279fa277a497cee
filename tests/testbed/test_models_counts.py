from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from testbed.errors import BenchError
from testbed.models import onnx_file
from testbed.models.counts import Counts, count

FLOAT = TensorProto.FLOAT


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    constants: dict[str, np.ndarray] | None = None,
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _count(model: onnx.ModelProto, folder: Path) -> Counts:
    path = folder / "m.onnx"
    onnx.save(model, str(path))
    return count(onnx_file.read(path))


def _ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    groups=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    transposed=st.booleans(),
)
def test_convolutions(
    tmp_path_factory: pytest.TempPathFactory,
    size: tuple[int, int],
    channels: tuple[int, int],
    groups: int,
    kernel: tuple[int, int],
    stride: int,
    pad: int,
    transposed: bool,
) -> None:
    """Every weight of a channel meets a position of the output (of the input where transposed) once: padding counts."""
    inputs, outputs = channels[0] * groups, channels[1] * groups
    weights = _ones(inputs, channels[1], *kernel) if transposed else _ones(outputs, channels[0], *kernel)
    pads = min(pad, min(kernel) - 1)
    op = "ConvTranspose" if transposed else "Conv"
    node = helper.make_node(op, ["x", "w"], ["y"], group=groups, strides=[stride] * 2, pads=[pads] * 4)
    model = _model([node], {"x": [1, inputs, *size]}, {"w": weights})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": _ones(1, inputs, *size)})
    positions = size[0] * size[1] if transposed else result.shape[2] * result.shape[3]
    counts = _count(model, tmp_path_factory.mktemp("conv"))
    assert counts == Counts(
        conv_layers=1,
        fc_layers=0,
        rc_layers=0,
        macs=positions * weights.size,
        parameters=weights.size,
        elements_moved=inputs * size[0] * size[1] + weights.size + result.size,
    )


@pytest.mark.parametrize("transpose", [0, 1])
def test_gemm(tmp_path: Path, transpose: int) -> None:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transA=transpose)
    model = _model([node], {"x": [5, 3] if transpose else [3, 5]}, {"w": _ones(5, 7), "b": _ones(7)})
    assert _count(model, tmp_path) == Counts(0, 1, 0, 3 * 5 * 7, 42, 15 + 35 + 7 + 21)


def test_a_product_with_weights_is_a_layer_and_two_of_activations_are_attention(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["q"]),
        helper.make_node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"]),
        helper.make_node("MatMul", ["p", "x"], ["y"]),
    ]
    counts = _count(_model(nodes, {"x": [2, 4, 8]}, {"w": _ones(8, 8)}), tmp_path)
    assert (counts.conv_layers, counts.fc_layers, counts.rc_layers) == (0, 1, 1)
    assert counts.macs == 2 * (4 * 8 * 8 + 4 * 4 * 8 + 4 * 4 * 8)


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_layers(tmp_path: Path, op: str, gates: int) -> None:
    node = helper.make_node(op, ["x", "w", "r"], ["y"], hidden_size=6, direction="bidirectional")
    weights = {"w": _ones(2, gates * 6, 5), "r": _ones(2, gates * 6, 6)}
    counts = _count(_model([node], {"x": [7, 1, 5]}, weights), tmp_path)
    assert (counts.conv_layers, counts.fc_layers, counts.rc_layers) == (0, 0, 1)
    assert counts.macs == 7 * 2 * gates * 6 * (5 + 6)
    assert counts.elements_moved == 7 * 5 + 2 * gates * 6 * 11 + 7 * 2 * 6


def test_weights_are_known_behind_quantisation(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["y"]),
    ]
    constants = {"w": np.ones((4, 3), np.int8), "s": np.array(0.5, np.float32), "z": np.array(0, np.int8)}
    assert _count(_model(nodes, {"x": [2, 4]}, constants), tmp_path) == Counts(0, 1, 0, 24, 12, 8 + 12 + 6)


def test_bytes_follow_the_precision() -> None:
    counts = Counts(0, 1, 0, 24, 12, 100)
    assert [counts.bytes_moved(p) for p in ("fp32", "fp16", "int8")] == [400, 200, 100]


def test_a_dynamic_input_is_refused_by_name_with_the_cure(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(BenchError, match=r"'x' is not fixed \(\[batch, 3\]\).*make_dynamic_shape_fixed"):
        _count(_model([node], {"x": ["batch", 3]}), tmp_path)


def test_a_shape_that_depends_on_data_is_refused_by_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["indices"]),
        helper.make_node("Cast", ["indices"], ["found"], to=FLOAT),
        helper.make_node("MatMul", ["w", "found"], ["product"], name="late"),
        helper.make_node("ReduceSum", ["product"], ["y"]),
    ]
    with pytest.raises(BenchError, match=r"'(found|product)' at MatMul 'late'"):
        _count(_model(nodes, {"x": [3, 3]}, {"w": _ones(4, 2)}), tmp_path)


def test_an_operator_that_hides_layers_is_refused_by_name(tmp_path: Path) -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik", name="sum")
    with pytest.raises(BenchError, match=r"Einsum \('sum'\) cannot be counted"):
        _count(_model([node], {"x": [2, 3]}, {"w": _ones(3, 4)}), tmp_path)


def test_a_missing_file_and_a_file_of_another_kind_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no model file .*absent\.onnx"):
        onnx_file.read(tmp_path / "absent.onnx")
    other = tmp_path / "other.onnx"
    other.write_text("not a model at all")
    with pytest.raises(BenchError, match=r"other\.onnx cannot be read as an ONNX model"):
        onnx_file.read(other)


def test_a_file_whose_weights_lie_elsewhere_is_refused(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], [weights]))
    path = tmp_path / "mine.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="mine.data", size_threshold=0)
    with pytest.raises(BenchError, match=r"mine\.onnx keeps its weights in another file"):
        onnx_file.read(path)
