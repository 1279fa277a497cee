from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import CannotLoad, Clock, Model, Session, Span, Target, TargetFailed
from testbed.agent.targets.onnxruntime_cpu import OnnxRuntimeCpu

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4) / 7


class _CountingClock:
    """Each look is a millisecond after the one before."""

    def __init__(self) -> None:
        self.looks = 0

    def now_ns(self) -> int:
        self.looks += 1
        return self.looks * 1_000_000

    def sleep_until(self, time_ns: int) -> None: ...


def _save(path: Path, nodes: list[onnx.NodeProto], weights: np.ndarray, *inputs: onnx.ValueInfoProto) -> Path:
    outputs = [helper.make_empty_tensor_value_info(name) for node in nodes for name in node.output if name[0] == "y"]
    graph = helper.make_graph(nodes, "g", list(inputs), outputs, [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), str(path))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """x @ w at two precisions, of which one rounds w; and a second output."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    product, double = helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Add", ["x", "x"], ["y2"])
    fp32 = _save(tmp_path / "fp32.onnx", [product, double], WEIGHTS, x)
    half = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "w"], ["p"]),
        helper.make_node("Cast", ["p"], ["y"], to=TensorProto.FLOAT),
        double,
    ]
    fp16 = _save(tmp_path / "fp16.onnx", half, WEIGHTS.astype(np.float16), x)
    return Model(
        "m", {"fp32": fp32, "fp16": fp16}, 24, {"fp32": 4, "fp16": 2}, [{"x": np.full((2, 3), 0.1, np.float32)}]
    )


def _load(model: Model, precision: str = "fp32", clock: Clock | None = None, threads: int = 1) -> Session:
    target: Target = OnnxRuntimeCpu(clock or MonotonicClock(), threads)
    return target.load(model, precision)


@pytest.mark.parametrize("threads", [1, 2])
def test_computes_what_the_file_of_the_precision_says(model: Model, threads: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3), np.float32)
    exact, half = (_load(model, p, threads=threads).run({"x": x}).outputs for p in ("fp32", "fp16"))
    assert set(exact) == {"y", "y2"}
    np.testing.assert_allclose(exact["y"], x @ WEIGHTS, rtol=1e-5)
    np.testing.assert_allclose(half["y"], x @ WEIGHTS, rtol=0.02)
    assert not np.array_equal(exact["y"], half["y"])


def test_times_are_those_of_the_clock_given_and_all_of_it_is_computing(model: Model) -> None:
    clock = _CountingClock()
    session = _load(model, clock=clock)
    result = session.run(model.inputs[0])
    assert (result.start_ns, result.end_ns) == (1_000_000, 2_000_000)
    assert result.spans == (Span("compute", 1_000_000, 2_000_000),)


def test_a_result_keeps_its_outputs_when_the_next_one_comes(model: Model) -> None:
    session = _load(model)
    session.warm(model.inputs)
    first = session.run({"x": np.ones((2, 3), np.float32)})
    session.run({"x": np.zeros((2, 3), np.float32)})
    np.testing.assert_array_equal(first.outputs["y"], np.ones((2, 3), np.float32) @ WEIGHTS)


def test_an_inference_the_runtime_gives_up_on_is_a_failed_target(tmp_path: Path) -> None:
    shape = helper.make_tensor_value_info("s", TensorProto.INT64, [2])
    path = _save(tmp_path / "r.onnx", [helper.make_node("Reshape", ["w", "s"], ["y"])], WEIGHTS, shape)
    session = _load(Model("r", {"fp32": path}, 0, {}, []))
    assert session.run({"s": np.array([4, 3])}).outputs["y"].shape == (4, 3)
    with pytest.raises(TargetFailed, match="no answer"):
        session.run({"s": np.array([5, 5])})
    assert session.run({"s": np.array([2, 6])}).outputs["y"].shape == (2, 6)


def test_inputs_that_do_not_fit_are_a_mistake_and_not_an_outcome(model: Model) -> None:
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        _load(model).run({"x": np.zeros((2, 4), np.float32)})


def test_without_onnx_runtime_the_cure_is_said(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CannotLoad, match="pip install onnxruntime"):
        _load(model)


def test_a_precision_without_a_file_is_refused_by_name(model: Model) -> None:
    with pytest.raises(CannotLoad, match="'m' has no file at int8, only at fp32, fp16"):
        _load(model, "int8")


def test_a_file_that_will_not_do_is_refused_by_name(model: Model) -> None:
    model.files["fp32"].write_bytes(b"\x08\x08 not a graph")
    with pytest.raises(CannotLoad, match=r"cannot load .*fp32\.onnx"):
        _load(model)


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="one thread at least, not 0"):
        OnnxRuntimeCpu(MonotonicClock(), 0)


def test_threads_that_wait_do_not_spin(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            opened.append(self)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    _load(model, threads=2)
    options = opened[0].get_session_options()
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_closes_twice(model: Model) -> None:
    session = _load(model)
    session.close()
    session.close()
