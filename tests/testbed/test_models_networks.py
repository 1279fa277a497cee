from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from testbed.models import inputs, onnx_file
from testbed.models.__main__ import layers_row
from testbed.models.counts import count
from testbed.models.networks import efficientnet_lite0, mobilebert, mobilenet_v2, resnet50
from testbed.models.zoo import from_files, networks

NETWORKS = {
    "efficientnet-lite0": efficientnet_lite0,
    "mobilebert": mobilebert,
    "mobilenet-v2": mobilenet_v2,
    "resnet50": resnet50,
}
DOCUMENT = Path(__file__).parents[2] / "docs/reference/models.md"


@pytest.fixture(scope="module", params=networks())
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    path = tmp_path_factory.mktemp("network") / f"{request.param}.onnx"
    onnx.save(NETWORKS[request.param].build(), str(path))
    return request.param, path


def test_each_is_as_large_as_published(network: tuple[str, Path]) -> None:
    """For torchvision ResNet50 has 4.09 G and 25.56 M, MobileNet v2 0.30 G and 3.50 M; its parameters include those of
    batch normalisation, which is folded here."""
    name, path = network
    counts = count(onnx_file.read(path))
    layers, mmacs, million_parameters = {
        "efficientnet-lite0": ((49, 1, 0), 385, 4.63),
        "mobilebert": ((0, 362, 24), 2693, 24.39),
        "mobilenet-v2": ((52, 1, 0), 301, 3.49),
        "resnet50": ((53, 1, 0), 4089, 25.53),
    }[name]
    assert (counts.conv_layers, counts.fc_layers, counts.rc_layers) == layers
    assert round(counts.macs / 1e6) == mmacs
    assert counts.parameters / 1e6 == pytest.approx(million_parameters, abs=0.005)


def test_each_gives_different_answers_to_different_inputs(network: tuple[str, Path]) -> None:
    file = onnx_file.read(network[1])
    session = onnxruntime.InferenceSession(str(network[1]), providers=["CPUExecutionProvider"])
    one, two = (session.run(None, dict(tensors))[0] for tensors in inputs.for_specs(file.inputs, 2))
    assert one.shape == file.outputs[0].shape
    assert np.isfinite(one).all()
    assert np.abs(one - two).max() > 0.01 * np.abs(one).max()


def test_the_documented_table_is_up_to_date(network: tuple[str, Path]) -> None:
    name, path = network
    row = layers_row(from_files(name, {"fp32": path}, {"fp32": 1.0}))
    assert row in DOCUMENT.read_text("utf-8").splitlines()


def test_random_weights_are_the_same_each_time() -> None:
    assert mobilenet_v2.build() == mobilenet_v2.build()


def test_masked_tokens_do_not_count() -> None:
    session = onnxruntime.InferenceSession(mobilebert.build().SerializeToString(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    ids = random.integers(0, mobilebert.VOCABULARY, (1, 128), np.int32)
    mask = np.int32(np.arange(128) < 100)[np.newaxis]
    seen = np.arange(128) <= 100  # the last token sees its neighbour through the embedding of three
    others = np.where(seen, ids, random.integers(0, mobilebert.VOCABULARY, (1, 128), np.int32))
    types = np.zeros((1, 128), np.int32)
    one, two, unmasked = (
        session.run(None, {"input_ids": i, "attention_mask": m, "token_type_ids": types})[0][0, :100]
        for i, m in ((ids, mask), (others, mask), (others, np.ones_like(mask)))
    )
    np.testing.assert_allclose(one, two, atol=1e-4)
    assert np.abs(one - unmasked).max() > 1e-3
