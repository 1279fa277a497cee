"""Parse, configure and build for real, on TensorRT-RTX's builder, which needs no GPU."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from testbed.agent.contract import CannotLoad
from testbed.agent.targets.tensorrt import reporting
from testbed.agent.targets.tensorrt.builder import build
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.order import Device, Order
from testbed.models import convert
from testbed.models.maker import SYMMETRIC_OPERATORS
from tests.testbed.tensorrt.material import SHAPE, photos, save

# TensorRT-RTX keeps no timings, and says so; TensorRT does.
pytestmark = pytest.mark.filterwarnings("ignore:.*Timing cache operations are no-ops:DeprecationWarning")


def _order(path: Path, precision: str = "fp32", device: Device | None = None) -> Order:
    return Order("m", path, precision, device or Device(), {"x": SHAPE}, None)


@pytest.fixture
def fp32(tmp_path: Path) -> Path:
    return save(tmp_path / "fp32.onnx")


def test_a_file_of_each_precision_becomes_an_engine_of_its_own(rtx: Library, fp32: Path) -> None:
    fp16, int8 = fp32.with_name("fp16.onnx"), fp32.with_name("int8.onnx")
    convert.to_fp16(fp32, fp16)
    convert.to_int8_symmetric(fp32, int8, SYMMETRIC_OPERATORS, photos(4))
    files = {"fp32": fp32, "fp16": fp16, "int8": int8}
    plans = [build(rtx, _order(path, precision), b"").plan for precision, path in files.items()]
    assert all(plans)
    assert len(set(plans)) == 3


def test_the_timings_of_a_build_serve_the_next(rtx: Library, fp32: Path) -> None:
    first = build(rtx, _order(fp32), b"")
    assert first.timing
    assert build(rtx, _order(fp32), first.timing).timing


def test_a_build_tells_how_far_it_is(
    rtx: Library, fp32: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "PROGRESS_S", 0.0)
    with caplog.at_level(logging.INFO):
        build(rtx, _order(fp32), b"")
    begun, *steps, ended = caplog.messages
    assert begun.startswith("building m at fp32 on gpu with TensorRT")
    assert ended.startswith("built m at fp32 on gpu: ")
    assert steps
    assert all(", step " in step for step in steps)


def test_an_input_of_no_fixed_shape_is_refused_with_the_way_to_fix_it(rtx: Library, tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match=r"shape of 'x' is not fixed \(\?x3x8x8\).*make_dynamic_shape_fixed"):
        build(rtx, _order(save(tmp_path / "m.onnx", batch="N")), b"")


def test_an_operator_it_lacks_is_named(rtx: Library, tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", "Frobnicate")
    with pytest.raises(CannotLoad, match=r"node 1 \(Frobnicate 'behind'\): .*operators that this TensorRT has"):
        build(rtx, _order(path), b"")


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_truncated_file_is_to_be_sent_again(rtx: Library, fp32: Path, kept: int) -> None:
    fp32.write_bytes(fp32.read_bytes()[:kept])
    with pytest.raises(CannotLoad, match=r"fp32\.onnx"):
        build(rtx, _order(fp32), b"")


def test_a_missing_file_is_named(rtx: Library, tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match=r"none\.onnx.*export the file again"):
        build(rtx, _order(tmp_path / "none.onnx"), b"")


def test_onnx_runtimes_own_int8_file_is_refused_as_such(rtx: Library, fp32: Path) -> None:
    path = fp32.with_name("int8.onnx")
    convert.to_int8(fp32, path, SYMMETRIC_OPERATORS, photos(4))
    with pytest.raises(CannotLoad, match="Non-zero zero point"):
        build(rtx, _order(path, "int8"), b"")


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_would_run_in_fp32_without_a_word_is_refused(rtx: Library, fp32: Path, precision: str) -> None:
    with pytest.raises(CannotLoad, match=f"has no {precision} in it.*would run in FP32"):
        build(rtx, _order(fp32, precision), b"")


def test_inputs_of_the_workload_that_the_file_does_not_have_are_named(rtx: Library, fp32: Path) -> None:
    with pytest.raises(CannotLoad, match="the inputs x; it and the workload differ in x, z"):
        build(rtx, Order("m", fp32, "fp32", Device(), {"z": SHAPE}, None), b"")
    with pytest.raises(CannotLoad, match=r"input 'x' is 1x3x8x8, the workload's is 1x3x9x9"):
        build(rtx, Order("m", fp32, "fp32", Device(), {"x": (1, 3, 9, 9)}, None), b"")


def test_a_network_that_cannot_be_built_says_what_tensorrt_said(rtx: Library, tmp_path: Path) -> None:
    # A reshape to fewer elements parses, and fails only when the network is put together.
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(SHAPE))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [7])
    shape = helper.make_tensor("s", TensorProto.INT64, [1], [7])
    graph = helper.make_graph([helper.make_node("Reshape", ["x", "s"], ["y"])], "g", [x], [y], [shape])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    with pytest.raises(CannotLoad, match="cannot (parse|build) .*(?i:reshape)"):
        build(rtx, _order(path), b"")


def test_a_dla_that_the_board_lacks_is_refused(rtx: Library, fp32: Path) -> None:
    fp16 = fp32.with_name("fp16.onnx")
    convert.to_fp16(fp32, fp16)
    with pytest.raises(CannotLoad, match="this board has no DLA.*leave dla1 out"):
        build(rtx, _order(fp16, "fp16", Device(1)), b"")
