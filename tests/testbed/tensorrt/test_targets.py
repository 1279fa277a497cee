"""Loading, as far as it goes without a GPU; and what a board says of targets it does not have."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from testbed.agent.boards.linux import open_board
from testbed.agent.clock import MonotonicClock
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.targets import TensorRtTargets
from tests.testbed.tensorrt.conftest import OnCuda

LOAD = """
import json, logging, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore", DeprecationWarning)
import tensorrt_rtx_bindings
from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import CannotLoad, Model
from testbed.agent.targets.tensorrt.cache import EngineCache, key
from testbed.agent.targets.tensorrt.driver import probe
from testbed.agent.targets.tensorrt.library import Library
from testbed.agent.targets.tensorrt.order import Device, order
from testbed.agent.targets.tensorrt.target import TensorRtTarget
from tests.testbed.tensorrt.material import photos, save
told = []
class Handler(logging.Handler):
    def emit(self, record):
        told.append(record.getMessage())
logging.getLogger("testbed").addHandler(Handler())
logging.getLogger("testbed").setLevel(logging.INFO)
folder = Path(FOLDER)
library, cache = Library(tensorrt_rtx_bindings), EngineCache(folder)
model = Model("m", {"fp32": save(folder / "m.onnx")}, 1, {}, photos(2))
target = TensorRtTarget(library, Device(), MonotonicClock(), cache, graph=False)
if OLD_PLAN:
    cache.put_plan(key(library.version, probe(), order(library, model, "fp32", Device())), b"a plan of another version")
try:
    target.load(model, "fp32")
except CannotLoad as error:
    told.append(str(error))
print(json.dumps(told))
"""


def _load(on_cuda: OnCuda, folder: Path, *, old_plan: bool, **environment: str) -> list[str]:
    told: list[str] = on_cuda(f"FOLDER, OLD_PLAN = {str(folder)!r}, {old_plan}\n{LOAD}", **environment)
    return told


def test_a_model_is_built_and_an_engine_that_no_gpu_will_run_is_refused(
    on_cuda: OnCuda, rtx: Library, tmp_path: Path
) -> None:
    opened, building, built, refused = _load(on_cuda, tmp_path, old_plan=False)
    assert opened == "CUDA through CudaPython on Orin (emulated) (SM 87)"
    assert building.startswith("building m at fp32 on gpu")
    assert built.startswith("built m at fp32 on gpu")
    assert refused.startswith(f"m at fp32 on gpu: TensorRT {rtx.version} cannot read the engine: ")
    assert not list(tmp_path.glob("*.plan"))


def test_a_plan_of_another_version_is_built_again_and_that_is_said(
    on_cuda: OnCuda, rtx: Library, tmp_path: Path
) -> None:
    told = _load(on_cuda, tmp_path, old_plan=True)
    assert told[1].startswith(f"m at fp32 on gpu: TensorRT {rtx.version} cannot read the engine: ")
    assert told[1].endswith("; it is built again")
    assert told[2].startswith("building m at fp32 on gpu")


def test_no_driver_is_said_before_anything_is_built(on_cuda: OnCuda, rtx: Library, tmp_path: Path) -> None:
    (refused,) = _load(on_cuda, tmp_path, old_plan=False, EMULATED_CUDA_ERROR="100")
    assert "no CUDA device" in refused


def test_a_board_without_tensorrt_has_no_such_target_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    found = TensorRtTargets.discover(MonotonicClock())
    assert not found.processors
    assert not found.targets
    assert set(found.absent) == {"gpu", "dla0", "dla1"}
    assert all("has no TensorRT" in reason and "JetPack" in reason for reason in found.absent.values())


def test_a_linux_board_has_what_tensorrt_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with open_board({"cuda_graph": True}) as board:
        identity = board.identify()
        assert "gpu" not in identity.processors
        assert "has no TensorRT" in identity.absent["gpu"]
        with pytest.raises(ValueError, match="no target 'gpu'; it has: cpu, cpu_ncnn"):
            board.target("gpu")
