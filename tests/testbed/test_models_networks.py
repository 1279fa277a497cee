from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from testbed.models import inputs, onnx_file
from testbed.models.counts import Counts, count
from testbed.models.networks import efficientnet_lite0, mobilebert, mobilenet_v2, resnet50

NETWORKS = [efficientnet_lite0, mobilebert, mobilenet_v2, resnet50]


@pytest.mark.parametrize(
    ("network", "layers", "mmacs", "million_parameters"),
    [
        # torchvision publishes 4.09 G and 25.56 M for ResNet50, 0.30 G and 3.50 M for MobileNet v2; its parameters
        # include those of batch normalisation, which is folded here
        (resnet50, (53, 1, 0), 4089, 25.53),
        (mobilenet_v2, (52, 1, 0), 301, 3.49),
        (efficientnet_lite0, (49, 1, 0), 385, 4.63),
        (mobilebert, (0, 362, 24), 2693, 24.39),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_network_is_what_its_paper_says_and_answers(
    tmp_path: Path, network: object, layers: tuple[int, int, int], mmacs: int, million_parameters: float
) -> None:
    path = tmp_path / "network.onnx"
    onnx.save(network.build(), str(path))  # type: ignore[attr-defined]
    file = onnx_file.read(path)
    counts: Counts = count(file)
    assert (counts.conv_layers, counts.fc_layers, counts.rc_layers) == layers
    assert round(counts.macs / 1e6) == mmacs
    assert counts.parameters / 1e6 == pytest.approx(million_parameters, abs=0.005)

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    one, two = (session.run(None, dict(tensors))[0] for tensors in inputs.for_specs(file.inputs, 2))
    assert one.shape == file.outputs[0].shape
    assert np.isfinite(one).all()
    assert np.abs(one - two).max() > 0.01 * np.abs(one).max()


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
