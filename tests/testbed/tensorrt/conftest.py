"""What stands in for a GPU: NVIDIA's own builder that needs none, and a far end for the driver's library."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.agent.targets.tensorrt.library import Library
from tests.testbed.tensorrt.material import lay_out_bindings, shared_library

HERE = Path(__file__).parent
OnCuda = Callable[..., Any]


@pytest.fixture(scope="session")
def rtx() -> Library:
    """TensorRT-RTX: the strongly typed API of TensorRT 11, and a builder that works without a GPU."""
    try:
        import tensorrt_rtx_bindings
    except ImportError as error:
        pytest.skip(f"TensorRT-RTX has wheels for x86-64 Linux alone: {error} on {platform.machine()}")
    return Library(tensorrt_rtx_bindings)


@pytest.fixture(scope="session")
def driver_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the far end of the driver lies, built from libcuda.c."""
    return shared_library(HERE / "libcuda.c", tmp_path_factory.mktemp("driver") / "libcuda.so.1").parent


@pytest.fixture
def on_cuda(driver_folder: Path) -> OnCuda:
    """Runs Python in a process that finds the far end as its driver; returns what it prints, read as JSON."""

    return _runner([driver_folder])


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that serves for each of TensorRT's, built from libtensorrt.c."""
    return shared_library(HERE / "libtensorrt.c", tmp_path_factory.mktemp("library") / "libdummy.so")


@pytest.fixture(scope="session")
def jetson_folder(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bindings of JetPack 6.1 and 6.2, over the far end."""
    return lay_out_bindings("10.3.0", library, tmp_path_factory.mktemp("jetson"))


@pytest.fixture
def on_jetson(driver_folder: Path, jetson_folder: Path) -> OnCuda:
    """As `on_cuda`, in a process that has TensorRT 10.3 besides."""
    return _runner([jetson_folder, driver_folder])


def _runner(folders: list[Path]) -> OnCuda:
    libraries = os.pathsep.join(map(str, folders))
    here = {"LD_LIBRARY_PATH": libraries, "PYTHONPATH": os.pathsep.join([libraries, str(HERE.parents[2])])}

    def run(script: str, **environment: str) -> Any:
        command = [sys.executable, "-W", "error", "-c", script]
        variables = {**os.environ, **here, **environment}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
