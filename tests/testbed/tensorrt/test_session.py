"""Engines at work, from discovery to the last byte given back: the real bindings of TensorRT 10.3 and the real
cuda-python, against far ends of the libraries beneath them, whose one network doubles its input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.testbed.tensorrt.conftest import OnCuda

BOARD = """
import ctypes, json, os
from pathlib import Path
import numpy as np
from testbed.agent.boards.linux import open_board
from testbed.agent.contract import CannotLoad, Model, TargetFailed
from testbed.agent.targets.tensorrt.cache import EngineCache, default_folder, key
from testbed.agent.targets.tensorrt.driver import probe
from testbed.agent.targets.tensorrt.inspection import require_precision
from testbed.agent.targets.tensorrt.library import open_library
from testbed.agent.targets.tensorrt.order import Device, order
from testbed.agent.targets.tensorrt.session import WrongInputs
nvinfer, cuda = ctypes.CDLL("libnvinfer.so.10"), ctypes.CDLL("libcuda.so.1")
folder = default_folder()
folder.mkdir(parents=True)
file = folder / "m.onnx"
file.write_bytes(b"a network")
photos = [{"x": np.full((1, 3, 8, 8), value, np.float32)} for value in (1, 2, 3)]
model = Model("m", {"fp32": file, "fp16": file}, 1, {}, photos)
library = open_library()
def keep(device, plan):
    "As if an earlier run had built it."
    EngineCache(folder).put_plan(key(library.version, probe(), order(library, model, "fp16", device)), plan)
def left():
    return [nvinfer.emulated_live_objects(), cuda.emulated_live()]
def said(act, *kinds):
    try:
        act()
    except kinds as error:
        return f"{type(error).__name__}: {error}"
keep(Device(), b"emulated engine in FP16")
"""


@pytest.fixture
def on_board(on_jetson: OnCuda, tmp_path: Path) -> OnCuda:
    def run(script: str, **environment: str) -> Any:
        return on_jetson(BOARD + script, XDG_CACHE_HOME=str(tmp_path / "cache"), **environment)

    return run


@pytest.mark.parametrize("graph", [False, True])
def test_a_session_answers_is_timed_and_gives_everything_back(on_board: OnCuda, graph: bool) -> None:
    found = on_board(
        f"GRAPH = {graph}"
        + """
with open_board({"cuda_graph": GRAPH}) as board:
    processors = {name: list(precisions) for name, precisions in board.identify().processors.items()}
    session = board.target("gpu").load(model, "fp16")
    session.warm(photos)
    first, second = session.run(photos[0]), session.run(photos[1])
    values = [sorted({float(value) for value in result.outputs["y"].ravel()}) for result in (first, second)]
    shape = first.outputs["y"].shape
    spans = [[span.name, span.start_ns - first.start_ns, span.end_ns - first.start_ns] for span in first.spans]
    before = left()
    for run in range(2_000):
        session.run(photos[run % 3])
    after = left()
    session.close()
    session.close()
print(json.dumps([processors, values, shape, spans, before, after, left()]))
"""
    )
    processors, values, shape, spans, before, after, closed = found
    assert processors["gpu"] == ["fp32", "fp16", "int8"]
    assert values == [[2.0], [4.0]]  # the first result is still what it was when the second has come
    assert shape == [1, 3, 8, 8]
    (whole, begun, ended), (device, computing, computed) = spans
    assert (whole, device) == ("compute", "device")
    assert begun == 0 < computing < computed < ended
    assert before == after
    assert closed == [0, 0]


def test_an_engine_that_cannot_be_a_graph_says_so(on_board: OnCuda) -> None:
    found = on_board("""
with open_board({"cuda_graph": True}) as board:
    os.environ["EMULATED_TRT_FAILS"] = "enqueue"
    session = board.target("gpu").load(model, "fp16")
    told = said(lambda: session.warm(()), CannotLoad)
    session.close()
    print(json.dumps(told))
""")
    assert found.startswith("CannotLoad: m at fp16 on gpu cannot be a CUDA graph: ")
    assert found.endswith(": set cuda_graph: false")


def test_what_goes_wrong_in_an_inference_is_told_apart_and_the_session_goes_on(on_board: OnCuda) -> None:
    found = on_board("""
with open_board({}) as board:
    session = board.target("gpu").load(model, "fp16")
    wrong = [{"z": photos[0]["x"]}, {"x": np.zeros((1, 3, 8, 9), np.float32)}, {"x": np.zeros((1, 3, 8, 8))}]
    refused = [said(lambda: session.run(inputs), WrongInputs) for inputs in wrong]
    os.environ["EMULATED_TRT_FAILS"] = "enqueue"
    failed = said(lambda: session.run(photos[0]), TargetFailed)
    del os.environ["EMULATED_TRT_FAILS"]
    answer = float(session.run(photos[2]).outputs["y"].max())
    session.close()
print(json.dumps([refused, failed, answer, left()]))
""")
    refused, failed, answer, closed = found
    assert refused == [
        "WrongInputs: m at fp16 on gpu takes x, not z",
        "WrongInputs: m at fp16 on gpu: 'x' is float32 [1, 3, 8, 8], not float32 [1, 3, 8, 9]",
        "WrongInputs: m at fp16 on gpu: 'x' is float32 [1, 3, 8, 8], not float64 [1, 3, 8, 8]",
    ]
    assert failed.startswith("TargetFailed: m at fp16 on gpu: the device gave no answer")
    assert answer == 6.0
    assert closed == [0, 0]


def test_a_load_that_fails_says_why_and_leaves_nothing(on_board: OnCuda) -> None:
    found = on_board("""
told = []
with open_board({}) as board:
    for name, value in (("TRT_FAILS", "context"), ("TRT_FAILS", "address"), ("CUDA_BYTES", "1000")):
        os.environ[f"EMULATED_{name}"] = value
        told.append([said(lambda: board.target("gpu").load(model, "fp16"), CannotLoad), left()])
        del os.environ[f"EMULATED_{name}"]
    board.target("gpu").load(model, "fp16").close()
    file.unlink()
    told.append([said(lambda: board.target("gpu").load(model, "fp16"), CannotLoad), left()])
print(json.dumps(told))
""")
    reasons = [
        "no memory is left on the device for what happens between layers",
        "TensorRT refuses the address of 'x'",
        "the device's memory is used up (CUDA_ERROR_OUT_OF_MEMORY (2)): close what",
        "[Errno 2] No such file or directory: ",
    ]
    for (told, left), reason in zip(found, reasons, strict=True):
        assert told.startswith(f"CannotLoad: m at fp16 on gpu: {reason}")
        assert left == [0, 0]


def test_a_dla_core_is_the_one_asked_for_and_one_too_many_says_so(on_board: OnCuda) -> None:
    found = on_board(
        """
keep(Device(0), b"emulated engine in FP16")
with open_board({}) as board:
    identity = board.identify()
    board.target("dla0").load(model, "fp16").close()
    print(json.dumps([list(identity.processors), identity.forms, identity.absent, nvinfer.emulated_dla_core(), left()]))
""",
        EMULATED_TRT_CORES="1",
    )
    processors, forms, absent, core, closed = found
    assert processors == ["cpu", "cpu_ncnn", "gpu", "dla0"]
    assert (forms["gpu"], forms["dla0"]) == ({"int8": "int8-trt"}, {"int8": "fp32"})
    assert absent == {"dla1": "this board has one DLA, dla0, says TensorRT 10.3.0: leave dla1 out"}
    assert (core, closed) == (0, [0, 0])


def test_a_tensorrt_that_does_not_start_is_no_target(on_board: OnCuda) -> None:
    script = """
with open_board({}) as board:
    print(json.dumps([list(board.identify().processors), board.identify().absent]))
"""
    processors, absent = on_board(script, EMULATED_TRT_FAILS="start")
    assert processors == ["cpu", "cpu_ncnn"]
    assert absent["gpu"].startswith("TensorRT 10.3.0 does not start on this device")


def test_an_engine_that_computes_in_fp32_instead_is_refused(on_board: OnCuda) -> None:
    found = on_board("""
import tensorrt
from testbed.agent.targets.tensorrt import reporting
wanted = order(library, model, "fp16", Device())
told = []
for plan in (b"emulated engine in FP16", b"emulated engine in FP32"):
    runtime = tensorrt.Runtime(reporting.logger(library, reporting.Complaints()))
    told.append(said(lambda: require_precision(library, wanted, runtime.deserialize_cuda_engine(plan)), CannotLoad))
print(json.dumps(told))
""")
    assert found[0] is None
    assert found[1].startswith("CannotLoad: m at fp16 on gpu: TensorRT computes no layer in fp16 (layers: 1 in fp32)")
