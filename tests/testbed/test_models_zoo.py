from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from PIL import Image
from skimage import data

from testbed.errors import BenchError
from testbed.models.networks import image
from testbed.models.published import PUBLISHED
from testbed.models.zoo import PreparedModel, from_files, networks, prepare

PRECISIONS = ["fp32", "fp16", "int8"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def efficientnet(cache: Path) -> PreparedModel:
    return prepare("efficientnet-lite0", PRECISIONS, cache)


def _scores(path: Path, photo: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": photo})[0][0]


def _photo(name: str) -> np.ndarray:
    """The middle of a photo of scikit-image, as the network takes it."""
    photo = Image.fromarray(getattr(data, name)() if name != "camera" else np.stack([data.camera()] * 3, axis=2))
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    square = photo.resize((image.SIZE, image.SIZE), box=(left, top, left + side, top + side))
    return np.asarray(square).transpose(2, 0, 1)[np.newaxis]


def test_the_files_are_sound_and_take_a_photo_in_bytes(efficientnet: PreparedModel) -> None:
    for path in efficientnet.files.values():
        onnx.checker.check_model(str(path), full_check=True)
    assert [(s.name, s.dtype, s.shape) for s in efficientnet.input_specs] == [("image", "uint8", (1, 3, 224, 224))]
    assert efficientnet.input_bytes == 150_528
    assert efficientnet.output_bytes == 4_000


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_precision_answers_much_like_fp32(efficientnet: PreparedModel, precision: str) -> None:
    photo = efficientnet.inputs(1)[0]["image"]
    exact, scores = (_scores(efficientnet.files[p], photo) for p in ("fp32", precision))
    assert scores.dtype == np.float32
    assert np.corrcoef(exact, scores)[0, 1] > {"fp32": 1 - 1e-6, "fp16": 0.999, "int8": 0.9}[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("photo", "classes"),
    [
        ("chelsea", {281, 282, 285}),  # a cat: tabby, tiger cat, Egyptian cat
        ("coffee", {967, 968}),  # espresso, cup
        ("camera", {872}),  # tripod
        ("rocket", {657, 744}),  # missile, projectile
    ],
)
def test_trained_weights_know_what_a_photo_shows(
    efficientnet: PreparedModel, precision: str, photo: str, classes: set[int]
) -> None:
    assert int(np.argmax(_scores(efficientnet.files[precision], _photo(photo)))) in classes


def test_fp16_weights_are_half_floats(efficientnet: PreparedModel) -> None:
    constants = onnx.load(str(efficientnet.files["fp16"])).graph.initializer
    assert {c.data_type for c in constants} == {TensorProto.FLOAT16}


def _weights(path: Path) -> dict[str, onnx.TensorProto]:
    """What each convolution dequantises as its weights -> the integers; fails where one holds floats."""
    graph = onnx.load(str(path)).graph
    constants = {c.name: c for c in graph.initializer}
    sources = {node.output[0]: node for node in graph.node}
    found = {}
    for node in graph.node:
        if node.op_type == "Conv":
            source = sources[node.input[1]]
            assert source.op_type == "DequantizeLinear"
            while source.input[0] not in constants:
                source = sources[source.input[0]]
            found[node.name] = constants[source.input[0]]
            assert len(onnx.numpy_helper.to_array(constants[source.input[1]])) == found[node.name].dims[0]
    return found


def test_int8_is_truly_quantised_by_channel(efficientnet: PreparedModel) -> None:
    path = efficientnet.files["int8"]
    weights = _weights(path)
    assert len(weights) == efficientnet.counts.conv_layers
    assert {w.data_type for w in weights.values()} == {TensorProto.INT8}
    assert path.stat().st_size < 0.3 * efficientnet.files["fp32"].stat().st_size


def test_quantising_is_quiet_and_leaves_logging_alone(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    before = list(root.handlers), list(root.filters)
    prepare("mobilenet-v2", ["int8"], cache)
    assert caplog.records == []
    assert (root.handlers, root.filters) == before


def test_accuracy_is_measured_where_weights_are_trained(efficientnet: PreparedModel) -> None:
    accuracy = efficientnet.accuracy
    assert {a.provenance for a in accuracy.values()} == {"measured"}
    assert {a.metric for a in accuracy.values()} == {"top-1 agreement with FP32"}
    assert accuracy["fp32"].value == 1
    assert 0.97 < accuracy["fp16"].value <= 1
    assert 0.6 < accuracy["int8"].value < accuracy["fp16"].value
    assert "224 crops" in accuracy["int8"].source


def test_bytes_moved_follow_the_precision(efficientnet: PreparedModel) -> None:
    moved = efficientnet.bytes_moved
    assert moved["fp32"] == 2 * moved["fp16"] == 4 * moved["int8"]
    assert moved["int8"] > efficientnet.counts.parameters


def test_a_second_time_nothing_is_made(efficientnet: PreparedModel, cache: Path) -> None:
    steps: list[str] = []
    assert prepare("efficientnet-lite0", PRECISIONS, cache, steps.append) == efficientnet
    assert steps == []


def test_a_damaged_file_is_made_again_and_nothing_else(efficientnet: PreparedModel, cache: Path) -> None:
    path = efficientnet.files["fp16"]
    path.write_bytes(path.read_bytes()[:-1])
    steps: list[str] = []
    assert prepare("efficientnet-lite0", PRECISIONS, cache, steps.append) == efficientnet
    assert steps == ["efficientnet-lite0: converting to fp16"]


def test_only_what_is_asked_for_is_made(tmp_path: Path) -> None:
    steps: list[str] = []
    model = prepare("mobilenet-v2", ["fp32"], tmp_path, steps.append)
    assert steps == ["mobilenet-v2: drawing the network"]
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".json", ".onnx", ".txt"]
    assert model.accuracy["fp32"] == PUBLISHED["mobilenet-v2"]["fp32"]


def test_every_published_accuracy_has_a_source() -> None:
    for by_precision in PUBLISHED.values():
        assert list(by_precision) == PRECISIONS
        assert all("https://" in a.source and 0 < a.value < 1 for a in by_precision.values())
        assert len({a.metric for a in by_precision.values()}) == 1


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(BenchError, match="did you mean 'resnet50'"):
        prepare("resnet-50", ["fp32"])
    with pytest.raises(BenchError, match="did you mean 'int8'"):
        prepare("resnet50", ["int9"])
    with pytest.raises(BenchError, match=f"there are {', '.join(networks())}"):
        prepare("zzz", ["fp32"])


def test_a_users_own_files_are_counted_and_keep_the_accuracies_given(efficientnet: PreparedModel) -> None:
    files = {p: efficientnet.files[p] for p in ("int8", "fp32")}
    model = from_files("mine", files, {"fp32": 0.75, "int8": 0.74})
    assert model.name == "mine"
    assert model.counts == efficientnet.counts
    assert model.sha256["int8"] == efficientnet.sha256["int8"]
    assert model.input_specs == efficientnet.input_specs
    assert (model.accuracy["int8"].value, model.accuracy["int8"].provenance) == (0.74, "given")


def test_what_is_wrong_with_a_users_files_is_said(efficientnet: PreparedModel, cache: Path, tmp_path: Path) -> None:
    fp32 = efficientnet.files["fp32"]
    with pytest.raises(BenchError, match=r"no model file .*absent\.onnx"):
        from_files("mine", {"fp32": tmp_path / "absent.onnx"}, {"fp32": 0.9})
    with pytest.raises(BenchError, match="give the accuracy at fp32"):
        from_files("mine", {"fp32": fp32}, {})
    with pytest.raises(BenchError, match="unknown precision 'bf16'"):
        from_files("mine", {"bf16": fp32}, {"bf16": 0.9})
    other = from_files("other", {"fp32": _renamed(fp32, tmp_path)}, {"fp32": 0.9})
    assert other.input_specs[0].name == "photo"
    with pytest.raises(BenchError, match="different tensors"):
        from_files("mine", {"fp32": fp32, "int8": other.files["fp32"]}, {"fp32": 0.9, "int8": 0.9})


def _renamed(source: Path, folder: Path) -> Path:
    model = onnx.load(str(source))
    for node in model.graph.node:
        node.input[:] = ["photo" if name == "image" else name for name in node.input]
    model.graph.input[0].name = "photo"
    onnx.save(model, str(folder / "renamed.onnx"))
    return folder / "renamed.onnx"


def test_accuracy_is_published_where_weights_are_random() -> None:
    assert set(networks()) - set(PUBLISHED) == {"efficientnet-lite0"}
