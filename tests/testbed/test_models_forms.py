from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from testbed.models import zoo
from testbed.models.forms import form
from testbed.models.maker import SYMMETRIC_OPERATORS
from tests.testbed.tensorrt.material import save


def _given(folder: Path, *precisions: str) -> zoo.PreparedModel:
    """A user's own model: the same file at each precision."""
    files = {precision: save(folder / f"{precision}.onnx") for precision in precisions}
    return zoo.from_files("own", files, dict.fromkeys(precisions, 1.0))


def test_int8_for_tensorrt_is_made_from_fp32_once(tmp_path: Path) -> None:
    model, told = _given(tmp_path, "fp32", "int8"), list[str]()
    first = form(model, "int8-trt", told.append, tmp_path / "cache")
    again = form(model, "int8-trt", told.append, tmp_path / "cache")
    assert first is not None
    assert first == again
    assert told == ["fp32: drawing the network", "fp32: quantising to int8-trt"]
    graph = onnx.load(str(first.path)).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type in SYMMETRIC_OPERATORS:
            assert {made_by[name] for name in node.input[:2]} == {"DequantizeLinear"}
        if node.op_type == "QuantizeLinear":  # none between an operator and its activation
            assert made_by.get(node.input[0]) not in SYMMETRIC_OPERATORS


def test_a_file_that_is_there_is_taken(tmp_path: Path) -> None:
    model = _given(tmp_path, "fp32")
    found = form(model, "fp32", print, tmp_path / "cache")
    assert found is not None
    assert (found.path, found.sha256) == (model.files["fp32"], model.sha256["fp32"])


@pytest.mark.parametrize("name", ["int8-trt", "fp32"])
def test_a_users_files_without_fp32_give_no_form(tmp_path: Path, name: str) -> None:
    assert form(_given(tmp_path, "int8"), name, print, tmp_path / "cache") is None


def test_a_network_of_the_zoo_has_its_fp32_made(tmp_path: Path) -> None:
    model = zoo.prepare("mobilenet-v2", ["fp16"], tmp_path)
    found = form(model, "fp32", print, tmp_path)
    assert found == form(zoo.prepare("mobilenet-v2", ["fp32"], tmp_path), "fp32", print, tmp_path)
