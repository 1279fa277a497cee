"""The engine itself, on small graphs: pnnx converts them, ncnn runs them, ONNX Runtime says what is right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from testbed.agent.affinity import Cores
from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import CannotLoad, Model, Session, Span, Tensors
from testbed.agent.targets import ncnn_file
from testbed.agent.targets.ncnn_cpu import NcnnCpu
from testbed.models.graph import Graph
from testbed.models.networks import image, mobilenet_v3

pytestmark = pytest.mark.skipif(
    find_spec("ncnn") is None or find_spec("pnnx") is None,
    reason="needs ncnn and pnnx: pip install ncnn; pip install --no-deps pnnx",
)

SIDE = 32


def _save(path: Path, graph: Graph) -> Path:
    onnx.save(graph.model(), str(path))
    return path


def _model(path: Path, inputs: Tensors, name: str = "m") -> Model:
    return Model(name, {"fp32": path}, 1, {"fp32": 4, "fp16": 2}, [inputs])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Every kind of layer of the zoo's image classifiers, on a small photo."""
    graph = Graph("small")
    value = image.photo(graph, image.IMAGENET_MEAN, image.IMAGENET_DEVIATION, SIDE)
    _, value = mobilenet_v3.features(graph, value, mobilenet_v3.BLOCKS[:5], 24)
    value = graph.node(
        "Concat", image.pool(graph, value, "MaxPool", 1), image.pool(graph, value, "AveragePool", 1), axis=1
    )
    value = image.random_convolution(graph, image.pool(graph, value, "MaxPool", 2), (48, 24), (1, 7), "relu6")
    image.random_classifier(graph, value, 24)
    photo = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), np.uint8)
    return _model(_save(tmp_path_factory.mktemp("small") / "small.onnx", graph), {"image": photo})


def _load(model: Model, precision: str = "fp32", threads: int = 1, cores: list[int] | None = None) -> Session:
    return NcnnCpu(MonotonicClock(), threads, Cores(cores)).load(model, precision)


def _expected(model: Model, inputs: Tensors) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(model.files["fp32"]), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 5e-3)])
@pytest.mark.parametrize("threads", [1, 2])
def test_answers_as_onnx_runtime_does(small: Model, precision: str, tolerance: float, threads: int) -> None:
    photo = {"image": np.random.default_rng(1).integers(0, 256, (1, 3, SIDE, SIDE), np.uint8)}
    expected = _expected(small, photo)["logits"]
    result = _load(small, precision, threads).run(photo)
    answer = result.outputs["logits"]
    assert (answer.shape, answer.dtype) == ((1, 1000), np.float32)
    off = np.abs(answer - expected).max() / np.abs(expected).max()
    assert off < tolerance
    assert result.spans == (Span("compute", result.start_ns, result.end_ns),)


def test_halves_round(small: Model) -> None:
    exact, half = (_load(small, precision).run(small.inputs[0]).outputs["logits"] for precision in ("fp32", "fp16"))
    assert not np.array_equal(exact, half)


def _product(graph: Graph) -> Tensors:
    x = graph.input("x", np.float32, [2, 3])
    weights = np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32)
    graph.output(graph.node("MatMul", x, graph.constant(weights)), "y", [2, 4])
    graph.output(graph.node("Add", x, x), "y2", [2, 3])
    return {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}


def _table(graph: Graph) -> Tensors:
    ids = graph.input("ids", np.int32, [1, 5])
    rows = np.arange(36, dtype=np.float32).reshape(9, 4)
    graph.output(graph.node("Gather", graph.constant(rows), ids), "y", [1, 5, 4])
    return {"ids": np.array([[8, 0, 3, 3, 1]], np.int32)}


@pytest.mark.parametrize("draw", [_product, _table])
def test_shapes_names_and_integers_are_those_of_the_onnx_file(draw: Callable[[Graph], Tensors], tmp_path: Path) -> None:
    graph = Graph("g")
    inputs = draw(graph)
    model = _model(_save(tmp_path / "g.onnx", graph), inputs)
    answers, expected = _load(model).run(inputs).outputs, _expected(model, inputs)
    assert list(answers) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(answers[name], values, rtol=1e-5, err_msg=name)


def test_a_result_keeps_its_outputs_when_the_next_one_comes(small: Model) -> None:
    session = _load(small)
    first = session.run(small.inputs[0]).outputs["logits"]
    kept = first.copy()
    session.run({"image": np.zeros((1, 3, SIDE, SIDE), np.uint8)})
    np.testing.assert_array_equal(first, kept)


def test_it_is_converted_once(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _load(small).run(small.inputs[0]).outputs["logits"]
    monkeypatch.setattr(ncnn_file.subprocess, "run", None)
    np.testing.assert_array_equal(_load(small).run(small.inputs[0]).outputs["logits"], first)
    assert not list(small.files["fp32"].parent.glob(".pnnx-*"))


def test_a_conversion_that_answers_otherwise_is_refused_and_not_kept(tmp_path: Path) -> None:
    """pnnx drops the padding of such a pool."""
    graph = Graph("pool")
    x = graph.input("x", np.float32, [1, 3, 8, 8])
    pooled = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    graph.output(pooled, "y", [1, 3, 4, 4])
    photo = np.random.default_rng(3).standard_normal((1, 3, 8, 8)).astype(np.float32)
    model = _model(_save(tmp_path / "pool.onnx", graph), {"x": photo}, "pooled")
    with pytest.raises(CannotLoad, match="converts 'pooled' for ncnn"):
        _load(model)
    assert [path.name for path in tmp_path.iterdir()] == ["pool.onnx"]


def _unsupported(graph: Graph) -> Tensors:
    x = graph.input("x", np.float32, [1, 2, 2])
    graph.output(graph.node("Det", x), "y", [1])
    return {"x": np.eye(2, dtype=np.float32)[np.newaxis]}


def test_an_operator_it_lacks_is_refused_by_model(tmp_path: Path) -> None:
    graph = Graph("det")
    inputs = _unsupported(graph)
    with pytest.raises(CannotLoad, match="cannot run 'odd', an operator of which it lacks .*: leave cpu_ncnn out"):
        _load(_model(_save(tmp_path / "det.onnx", graph), inputs, "odd"))


def test_a_truncated_file_is_refused_by_name(tmp_path: Path, small: Model) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(small.files["fp32"].read_bytes()[:1000])
    with pytest.raises(CannotLoad, match=r"cannot load .*cut\.onnx"):
        _load(_model(path, small.inputs[0]))


def test_a_pnnx_that_fails_is_said_with_its_last_words(
    small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pnnx" / "pnnx"
    program.parent.mkdir()
    (program.parent / "__init__.py").touch()
    program.write_text("#!/bin/sh\necho what a pity; exit 3\n")
    program.chmod(0o755)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "other.onnx"
    path.write_bytes(small.files["fp32"].read_bytes())
    with pytest.raises(CannotLoad, match=r"cannot convert .*other\.onnx for ncnn \(status 3: what a pity\)"):
        _load(_model(path, small.inputs[0]))


@pytest.mark.parametrize("photo", [np.zeros((1, 3, SIDE, 8), np.uint8), np.zeros((1, 3, SIDE, SIDE), np.float32)])
def test_inputs_that_do_not_fit_never_reach_it(small: Model, photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"'image' must be uint8 \[1, 3, 32, 32\], not"):
        _load(small).run({"image": photo})


@pytest.mark.parametrize(
    ("package", "cure"), [("ncnn", "pip install ncnn"), ("onnxruntime", "pip install onnxruntime")]
)
def test_what_is_not_installed_is_said_with_the_cure(
    small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, cure: str
) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(small.files["fp32"].read_bytes())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CannotLoad, match=cure):
        _load(_model(path, small.inputs[0]))


def test_without_pnnx_the_cure_is_said(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ncnn_file, "find_spec", lambda _: None)
    with pytest.raises(CannotLoad, match="pip install --no-deps pnnx"):
        _load(small)


def test_precisions_and_files_it_lacks_are_refused(small: Model) -> None:
    with pytest.raises(CannotLoad, match="runs fp32 and fp16, not int8"):
        _load(small, "int8")
    with pytest.raises(CannotLoad, match="starts from a model's fp32 file, and 'm' has none"):
        _load(Model("m", {"fp16": small.files["fp32"]}, 1, {}, small.inputs), "fp16")


def test_its_threads_inherit_the_cores_and_the_caller_gets_its_own_back(small: Model) -> None:
    before, core = os.sched_getaffinity(0), max(os.sched_getaffinity(0))

    def run() -> tuple[list[str], set[int]]:
        threads = {path.name for path in Path("/proc/self/task").iterdir()}
        _load(small, threads=3, cores=[core]).warm(small.inputs)
        started = [path for path in Path("/proc/self/task").iterdir() if path.name not in threads]
        return [(path / "status").read_text() for path in started], os.sched_getaffinity(0)

    with ThreadPoolExecutor(1) as caller:  # each caller has threads of its own
        started, after = caller.submit(run).result()
    assert len(started) == 2
    assert all(f"Cpus_allowed_list:\t{core}\n" in status for status in started)
    assert after == before


def test_closes_twice(small: Model) -> None:
    session = _load(small)
    session.close()
    session.close()
