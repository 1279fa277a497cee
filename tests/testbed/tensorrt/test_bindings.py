"""The backend against the real Python bindings of TensorRT 8.6 to 11, over a far end of its libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.tensorrt.material import lay_out_bindings
from tests.testbed.tensorrt.surface import VARIABLES, Use, uses

HERE = Path(__file__).parent
VERSIONS = ("8.6.1", "10.3.0", "10.13.3.9", "11.4.0.106")
ABSENT = {
    "8.6.1": {
        ("", "IProgressMonitor"),
        ("IBuilderConfig", "progress_monitor"),
        ("ParserError", "node_name"),
        ("ParserError", "node_operator"),
    },
    "10.3.0": set(),
    "10.13.3.9": set(),
    "11.4.0.106": {
        ("", "IInt8EntropyCalibrator2"),
        ("BuilderFlag", "FP16"),
        ("BuilderFlag", "INT8"),
        ("IBuilderConfig", "int8_calibrator"),
        ("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH"),
    },
}
"""what is asked for before it is used, by the versions that lack it"""


@pytest.fixture(scope="module", params=VERSIONS)
def bindings(request: pytest.FixtureRequest, library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    version: str = request.param
    folder = lay_out_bindings(version, library, tmp_path_factory.mktemp(version))
    child = [sys.executable, str(HERE / "bindings_child.py"), str(folder)]
    here = {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(HERE.parents[2])}
    done = subprocess.run(child, env=here, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _has(bindings: dict[str, Any], use: Use) -> bool:
    if not use.owner:
        return use.attribute in bindings["members"]
    if use.owner not in bindings["members"]:
        return True  # what it lacks is the class, which is used too
    return use.attribute in bindings["classes"][use.owner]


def test_a_version_has_what_is_used_of_it_but_for_what_is_asked_for_first(bindings: dict[str, Any]) -> None:
    assert {owner for owners in VARIABLES.values() for owner in owners.values()} <= set(bindings["members"])
    missing = {(use.owner, use.attribute) for use in uses() if not _has(bindings, use)}
    assert missing == ABSENT[bindings["version"]]


def test_calls_by_keyword_use_names_that_the_version_knows(bindings: dict[str, Any]) -> None:
    by_keyword = [use for use in uses() if use.keywords]
    assert by_keyword
    for use in by_keyword:
        signature = bindings["classes"][use.owner][use.attribute]
        assert all(f"{keyword}:" in signature for keyword in use.keywords), signature


def test_what_a_version_can_do_is_told_by_what_it_has(bindings: dict[str, Any]) -> None:
    eleven = bindings["release"][0] >= 11
    assert bindings["typed"] is eleven
    assert bindings["network_flags"] == (0 if eleven else 1)
    assert bindings["int8_of_dla"] == ("int8-trt" if eleven else "fp32")


def test_the_classes_that_derive_from_tensorrts_own_can_be_made(bindings: dict[str, Any]) -> None:
    major = bindings["release"][0]
    progress = ["IProgressMonitor"] if major > 8 else []
    calibrator = ["IInt8EntropyCalibrator2"] if major < 11 else []
    assert bindings["made"] == ["ILogger", *progress, *calibrator]


def test_the_source_is_read_for_real() -> None:
    found = {(use.owner, use.attribute) for use in uses()}
    assert {
        ("IExecutionContext", "execute_async_v3"),
        ("ICudaEngine", "get_tensor_mode"),
        ("MemoryPoolType", "WORKSPACE"),
        ("Severity", "INTERNAL_ERROR"),
        ("IInt8EntropyCalibrator2", "__init__"),
    } <= found
