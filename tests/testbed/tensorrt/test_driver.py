"""The driver probed, and CUDA's primary context, memory, stream, events and graphs, against a far end of libcuda."""

from __future__ import annotations

import pytest

from testbed.agent.targets.tensorrt import driver
from testbed.agent.targets.tensorrt.driver import NoGpu, probe
from tests.testbed.tensorrt.conftest import OnCuda

PROBE = """
import json
from dataclasses import asdict
from testbed.agent.contract import CannotLoad
from testbed.agent.targets.tensorrt.driver import probe
try:
    print(json.dumps(asdict(probe())))
except CannotLoad as error:
    print(json.dumps(str(error)))
"""
OPEN = """
import ctypes, json
import numpy as np
from testbed.agent.targets.tensorrt.cuda import CudaError, OutOfDeviceMemory
from testbed.agent.targets.tensorrt.graph import Graph
from testbed.agent.targets.tensorrt.with_cuda_python import CudaPython
driver = ctypes.CDLL("libcuda.so.1")
cuda = CudaPython()
"""


def test_without_a_driver_the_cure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LIBRARY", "libcuda-that-is-not-there.so.1")
    with pytest.raises(NoGpu, match="no NVIDIA driver is installed here .*JetPack"):
        probe()


def test_the_first_device_is_known_by_name_and_sm(on_cuda: OnCuda) -> None:
    assert on_cuda(PROBE) == {"name": "Orin (emulated)", "sm": 87, "cuda_version": 12060}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"EMULATED_CUDA_NO_DEVICE": "1"}, "no CUDA device: see that nvidia-smi"),
        ({"EMULATED_CUDA_ERROR": "100"}, "no CUDA device: see that nvidia-smi"),
        ({"EMULATED_CUDA_ERROR": "34"}, "a stub of the driver: take CUDA's stubs folder out of LD_LIBRARY_PATH"),
        ({"EMULATED_CUDA_ERROR": "803"}, "reboot after the update"),
        ({"EMULATED_CUDA_ERROR": "7"}, "(cuInit returned CUDA error 7): see cuda.h"),
    ],
)
def test_a_driver_that_refuses_says_why(on_cuda: OnCuda, environment: dict[str, str], said: str) -> None:
    assert said in on_cuda(PROBE, **environment)


def test_what_is_copied_there_and_back_is_timed_and_given_back(on_cuda: OnCuda) -> None:
    found = on_cuda(
        OPEN
        + """
with cuda.current():
    before = cuda.free_bytes()
    made = [cuda.pinned(8), cuda.pinned(8), cuda.allocate(8), cuda.stream(), cuda.event(), cuda.event()]
    (there, back, address, stream, begun, ended), gives = zip(*made)
    taken, live = before - cuda.free_bytes(), driver.emulated_live()
    there[:] = range(8)
    cuda.record(begun, stream)
    cuda.upload(address, there, stream)
    cuda.download(back, address, stream)
    cuda.record(ended, stream)
    cuda.wait(ended)
    got, elapsed_s = back.tolist(), cuda.elapsed_s(begun, ended)
    del there, back
    for give in gives:
        give()
    left = before - cuda.free_bytes()
retained = driver.emulated_retained()
cuda.close()
print(json.dumps([got, elapsed_s, taken, live, left, driver.emulated_live(), retained, driver.emulated_retained()]))
"""
    )
    got, elapsed_s, taken, live, left, live_after, retained, retained_after = found
    assert got == list(range(8))
    assert 0.0 <= elapsed_s < 10.0
    assert (taken, live) == (8, 6)
    assert (left, live_after) == (0, 0)
    assert (retained, retained_after) == (1, 0)


def test_a_graph_does_again_what_was_queued_once_and_is_given_back(on_cuda: OnCuda) -> None:
    found = on_cuda(
        OPEN
        + """
with cuda.current():
    (there, back, address, stream), gives = zip(cuda.pinned(1), cuda.pinned(1), cuda.allocate(1), cuda.stream())
    def queue():
        cuda.upload(address, there, stream)
        cuda.download(back, address, stream)
    back[:] = 0
    there[:] = 1
    graph = Graph(stream, queue)
    seen = [int(back[0])]
    for value in (2, 3):
        there[:] = value
        graph.launch()
        seen.append(int(back[0]))
    graph.close()
    def stumble():
        queue()
        raise CudaError("midway")
    try:
        Graph(stream, stumble)
    except CudaError as error:
        said = str(error)
    queue()
    seen.append(int(back[0]))
    del there, back
    for give in gives:
        give()
print(json.dumps([seen, said, driver.emulated_live()]))
"""
    )
    assert found == [[0, 2, 3, 3], "midway", 0]


def test_memory_that_runs_out_is_told_from_other_failures(on_cuda: OnCuda) -> None:
    found = on_cuda(
        OPEN
        + """
said = []
with cuda.current():
    for size in (2048, 0):
        try:
            cuda.allocate(size)
        except CudaError as error:
            said.append([type(error).__name__, str(error)])
try:
    cuda.allocate(1)
except CudaError as error:
    said.append([type(error).__name__, str(error)])
print(json.dumps(said))
""",
        EMULATED_CUDA_BYTES="1024",
    )
    assert found == [
        ["OutOfDeviceMemory", "CUDA_ERROR_OUT_OF_MEMORY (2)"],
        ["CudaError", "CUDA_ERROR_INVALID_VALUE (1)"],
        ["CudaError", "CUDA_ERROR_INVALID_CONTEXT (201)"],
    ]
