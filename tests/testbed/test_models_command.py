"""`testbed models` on small files of a user's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image

from testbed.cli import run_command_line
from testbed.errors import BenchError
from testbed.models import onnx_file, zoo
from testbed.models.counts import count
from testbed.models.graph import Graph
from testbed.models.networks import image
from testbed.models.registry import Registry

SIDE, CLASSES = 16, 5
Run = Callable[..., str]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def folders(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object, status: int = 0) -> str:
        assert run_command_line(["models", *map(str, arguments)]) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    return run


def _draw(seed: int = 0) -> onnx.ModelProto:
    graph = Graph("own", seed)
    value = graph.input("photo", np.float32, [1, 3, SIDE, SIDE])
    value = image.random_convolution(graph, value, (3, 8), 3, "relu", 2)
    value = image.averaged(graph, value)
    weights = graph.constant(graph.he([CLASSES, 8], 8))
    graph.output(graph.node("Gemm", value, weights, graph.floats(*[0.0] * CLASSES), transB=1), "scores", [1, CLASSES])
    return graph.model()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.onnx"
    onnx.save(_draw(), str(path))
    return path


def _answers(path: Path, photos: np.ndarray) -> list[int]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [int(np.argmax(session.run(None, {"photo": photo})[0])) for photo in photos]


def _photos(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 1, 3, SIDE, SIDE)).astype(np.float32)


def test_a_model_of_ones_own_can_be_named_once_it_is_added(own: Path, run: Run) -> None:
    assert "1 convolutions, 1 fully connected" in run("add", own, "--name", "mine")
    sent = own.read_bytes()
    own.unlink()
    model = zoo.prepare("mine", ["fp32", "int8"])
    assert model.files["fp32"].read_bytes() == sent
    assert model.accuracy["fp32"].value == 1
    assert model.accuracy["int8"].metric == "top-1 agreement with FP32"
    assert "crops of scikit-image" in model.accuracy["int8"].source


def test_a_name_serves_the_file_added_last(own: Path, run: Run, tmp_path: Path) -> None:
    run("add", own, "--name", "mine")
    other = tmp_path / "other.onnx"
    onnx.save(_draw(seed=1), str(other))
    first = zoo.prepare("mine", ["fp16"]).sha256["fp16"]
    run("add", other, "--name", "mine")
    assert zoo.prepare("mine", ["fp16"]).sha256["fp16"] != first


@pytest.mark.parametrize(
    ("name", "message"), [("resnet50", "is the name of a network that is there"), ("../x", "is no name for a model")]
)
def test_names_that_will_not_do_are_refused(own: Path, run: Run, name: str, message: str) -> None:
    assert message in run("add", own, "--name", name, status=1)


def test_prepare_makes_both_int8_files_and_only_what_is_asked_for(own: Path, run: Run) -> None:
    run("add", own, "--name", "mine")
    said = run("prepare", "mine", "--precision", "int8")
    assert "int8 " in said
    assert "int8-trt" in said
    assert "fp16" not in said
    made = zoo.prepare("mine", ["int8", "int8-trt"]).files
    zero_points = {
        form: {c.data_type for c in onnx.load(str(path)).graph.initializer if c.name.endswith("zero_point")}
        for form, path in made.items()
    }
    assert TensorProto.UINT8 in zero_points["int8"]
    assert zero_points["int8-trt"] == {TensorProto.INT8}


def test_int8_ranges_come_from_the_inputs_given_and_stay(own: Path, run: Run, tmp_path: Path) -> None:
    run("add", own, "--name", "mine")
    default = zoo.prepare("mine", ["int8"]).sha256["int8"]
    np.savez(tmp_path / "wide.npz", photo=_photos(4) * 50)
    run("prepare", "mine", "--precision", "int8", "--inputs", tmp_path / "wide.npz")
    (tmp_path / "wide.npz").unlink()
    assert zoo.prepare("mine", ["int8"]).sha256["int8"] != default


def test_a_folder_of_photos_serves_as_inputs(own: Path, run: Run, tmp_path: Path) -> None:
    run("add", own, "--name", "mine")
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((40, 30, 3), 80 * i, np.uint8)).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("not a photo")
    run("prepare", "mine", "--precision", "int8", "--inputs", folder)
    registry = Registry()
    kept = registry.find("mine")
    assert kept is not None
    with np.load(str(registry.calibration(kept))) as archive:
        photos = archive["photo"]
    assert photos.shape == (3, 1, 3, SIDE, SIDE)
    expected = [(80 * i - image.IMAGENET_MEAN[0]) / image.IMAGENET_DEVIATION[0] for i in range(3)]
    np.testing.assert_allclose(photos[:, 0, 0, 5, 5], expected, rtol=1e-5)


def test_labels_decide_where_they_are_given_and_suites_go_by_them(own: Path, run: Run, tmp_path: Path) -> None:
    run("add", own, "--name", "mine")
    photos = _photos(8)
    labels = _answers(own, photos)
    labels[0] = (labels[0] + 1) % CLASSES
    np.savez(tmp_path / "labelled.npz", photo=photos, labels=np.array(labels))
    read = json.loads(run("check", "mine", "--labelled", tmp_path / "labelled.npz", "--json"))
    assert read["accuracy"]["fp32"]["value"] == 7 / 8
    assert read["accuracy"]["fp32"]["metric"] == "top-1 on labelled inputs"
    assert "8 labelled inputs of labelled.npz" in read["accuracy"]["fp32"]["source"]
    assert zoo.prepare("mine", ["fp32"]).accuracy["fp32"].value == 7 / 8


def test_photos_in_folders_named_by_class_number_are_labelled(own: Path, run: Run, tmp_path: Path) -> None:
    for label in (0, 3):
        folder = tmp_path / "labelled" / str(label)
        folder.mkdir(parents=True)
        Image.fromarray(np.full((20, 20, 3), 60 * label, np.uint8)).save(folder / "a.png")
    read = json.loads(run("check", own, "--labelled", tmp_path / "labelled", "--json"))
    assert read["accuracy"]["fp32"]["value"] in (0, 0.5, 1)
    assert "2 labelled inputs" in read["accuracy"]["fp32"]["source"]


def test_check_of_a_file_counts_it_and_measures_agreement(own: Path, run: Run) -> None:
    said = run("check", own)
    counts = count(onnx_file.read(own))
    assert f"{counts.parameters / 1e6:.2f} M parameters" in said
    assert "takes 'photo': float32 [1, 3, 16, 16]" in said
    read = json.loads(run("check", own, "--json"))
    assert list(read["accuracy"]) == ["fp32", "fp16", "int8"]
    assert {each["metric"] for each in read["accuracy"].values()} == {"top-1 agreement with FP32"}


def test_a_file_of_lower_precision_is_checked_as_it_is_and_not_added(own: Path, run: Run) -> None:
    half = zoo.prepare_file(own, ["fp16"]).files["fp16"]
    assert list(json.loads(run("check", half, "--json"))["files"]) == ["fp16"]
    assert "is fp16 already" in run("add", half, "--name", "half", status=1)


def _npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"photos": _photos(2), "labels": np.zeros(2, int)}, "lacks 'photo'; it holds 'photos', 'labels'"),
        ({"photo": _photos(2)}, "lacks 'labels'"),
        ({"photo": _photos(2), "labels": np.zeros(3, int)}, "same number of examples"),
        ({"photo": _photos(2).astype(np.float64), "labels": np.zeros(2, int)}, "must be float32 ['N', 1, 3, 16, 16]"),
        ({"photo": _photos(2)[..., :4], "labels": np.zeros(2, int)}, "not float32 [2, 1, 3, 16, 4]"),
        ({"photo": _photos(2), "labels": np.zeros(2)}, "one class number for each example"),
        ({"photo": _photos(0), "labels": np.zeros(0, int)}, "one at least"),
    ],
)
def test_labelled_tensors_that_do_not_fit_are_refused(
    own: Path, run: Run, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    assert message in run("check", own, "--labelled", _npz(tmp_path / "l.npz", **arrays), status=1)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("absent.npz", None, "neither a folder nor a file"),
        ("noise.npz", b"noise", "neither a folder of photos nor an npz"),
        ("empty.npz", b"", "neither a folder of photos nor an npz"),
        ("cut.npz", b"PK\x03\x04", "neither a folder of photos nor an npz"),
        ("cats/a.png", b"", "its name is no class number"),
        ("1/a.png", b"noise", "cannot be read as a photo"),
        ("1/a.txt", b"", "there are no photos"),
    ],
)
def test_labelled_files_that_will_not_do_are_refused(
    own: Path, run: Run, tmp_path: Path, path: str, content: bytes | None, message: str
) -> None:
    labelled = tmp_path / "labelled"
    if content is not None:
        (labelled / path).parent.mkdir(parents=True)
        (labelled / path).write_bytes(content)
    source = labelled / path if path.endswith(".npz") else labelled
    assert message in run("check", own, "--labelled", source, status=1)


def test_photos_do_not_serve_a_model_that_takes_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    graph = Graph("g")
    product = graph.node("MatMul", graph.input("x", np.float32, [1, 4]), graph.constant(graph.he([4, 2], 4)))
    graph.output(product, "y", [1, 2])
    onnx.save(graph.model(), str(tmp_path / "g.onnx"))
    run("add", tmp_path / "g.onnx", "--name", "g")
    assert "the model takes 'x', float32 [1, 4]" in run("prepare", "g", "--inputs", tmp_path / "photos", status=1)
    assert "224 random inputs" in zoo.prepare("g", ["fp16"]).accuracy["fp16"].source


def _saved(path: Path, node: onnx.NodeProto, shape: list[int | str], opset: int = 17, domain: str = "") -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None if domain else shape)
    graph = helper.make_graph([node], "g", [x], [y])
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


def _dynamic(path: Path) -> Path:
    return _saved(path, helper.make_node("MatMul", ["x", "x"], ["y"]), ["n", "n"])


def _unknown_operator(path: Path) -> Path:
    return _saved(path, helper.make_node("Frobnicate", ["x"], ["y"], domain="acme"), [2, 2], domain="acme")


def _unrunnable(path: Path) -> Path:
    return _saved(path, helper.make_node("MatMul", ["x", "w"], ["y"]), [2, 2])


def _idle(path: Path) -> Path:
    return _saved(path, helper.make_node("Relu", ["x"], ["y"]), [2, 2])


def _noise(path: Path) -> Path:
    path.write_bytes(b"this is not a graph")
    return path


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_dynamic, "the shape of 'x' is not fixed ([n, n])"),
        (_unknown_operator, "not fixed"),
        (_unrunnable, "'w'"),
        (_idle, "multiplies nothing"),
        (_noise, "cannot be read as an ONNX model"),
        (_empty, "is no ONNX model, or was cut short"),
        (_folder, "is a folder"),
        (lambda path: path, "no model file"),
    ],
)
@pytest.mark.parametrize("command", ["add", "check"])
def test_files_that_will_not_do_are_refused_in_one_message(
    run: Run, tmp_path: Path, command: str, make: Callable[[Path], Path], message: str
) -> None:
    said = run(command, make(tmp_path / "bad.onnx"), *(["--name", "bad"] if command == "add" else []), status=1)
    assert message in said
    assert "bad.onnx" in said
    assert "Traceback" not in said
    assert Registry().names() == ()


@given(st.data())
def test_no_cut_and_no_flipped_byte_brings_anything_but_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = _draw().SerializeToString()
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(broken) - 1)), max_size=3)) if broken else ():
        broken[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("broken") / "broken.onnx"
    path.write_bytes(broken)
    with suppress(BenchError):
        count(onnx_file.read(path))


def test_inputs_are_not_for_networks_that_are_drawn_here(run: Run, tmp_path: Path) -> None:
    said = run("prepare", "mobilenet-v2", "--inputs", _npz(tmp_path / "i.npz", image=_photos(1)), status=1)
    assert "--inputs is for models that you added" in said


def test_unknown_names_are_refused_with_the_nearest_of_all(own: Path, run: Run) -> None:
    run("add", own, "--name", "my-own-net")
    assert "did you mean 'my-own-net'?" in run("prepare", "my-own-nut", status=1)
    assert "unknown network 'nothing'" in run("check", "nothing", status=1)
    assert "unknown precision 'int9'" in run("prepare", "my-own-net", "--precision", "int9", status=1)


def test_a_damaged_record_or_file_is_said(own: Path, run: Run, tmp_path: Path) -> None:
    run("add", own, "--name", "mine")
    folder = tmp_path / "data/testbed/models"
    [kept] = folder.glob("*.onnx")
    kept.write_bytes(b"")
    assert "is damaged: add the model again" in run("prepare", "mine", status=1)
    (folder / "mine.json").write_text("{")
    assert "mine.json is damaged: add the model again" in run("check", "mine", status=1)
