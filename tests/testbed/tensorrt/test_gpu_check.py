"""`make gpu-check`, as far as it goes without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = "import sys; sys.modules['tensorrt'] = None; from bench.gpu_check import main; sys.exit(main(['--out', {!r}]))"
ROOT = Path(__file__).parents[3]


def _check(driver_folder: Path, out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "LD_LIBRARY_PATH": str(driver_folder), "EMULATED_CUDA_BYTES": "100000000", **environment}
    command = [sys.executable, "-c", CHECK.format(str(out))]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, cwd=ROOT)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"EMULATED_CUDA_ERROR": "100"}, "the GPU cannot be checked here: the NVIDIA driver refuses"),
        ({"EMULATED_CUDA_BYTES": "1000"}, "CUDA fails: CUDA_ERROR_OUT_OF_MEMORY"),
    ],
)
def test_what_cannot_be_checked_says_why_and_fails(
    driver_folder: Path, tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    done = _check(driver_folder, tmp_path / "out", **environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_with_cuda_alone_the_part_that_needs_no_tensorrt_is_checked(driver_folder: Path, tmp_path: Path) -> None:
    done = _check(driver_folder, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "only CUDA was checked: this board's Python has no TensorRT" in done.stderr
    record = json.loads((tmp_path / "gpu-check-orin-emulated.json").read_text())
    assert record["on"] == "Orin (emulated) (SM 87), CUDA 12.6 through CudaPython"
    assert [(figure["value"], figure["holds"]) for figure in record["figures"]] == [(0, True), (0, True)]
