from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from testbed.cli import run_command_line
from testbed.models.__main__ import layers_row
from testbed.models.counts import PAPER
from testbed.models.networks import detection, mobilebert, mobilenet_v2
from testbed.models.registry import Registry
from testbed.models.zoo import PreparedModel, describe, networks, prepare

DOCUMENT = Path(__file__).parents[2] / "docs/reference/models.md"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `XDG_CACHE_HOME` can name."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=networks())
def network(request: pytest.FixtureRequest, cache: Path) -> PreparedModel:
    model = describe(request.param, (), cache / "testbed/models")
    return replace(model, files=prepare(request.param, ["fp32"], cache / "testbed/models").files)


def test_each_is_as_large_as_published(network: PreparedModel) -> None:
    """In G multiply-accumulates and M parameters, which include those of batch normalisation, folded here: torchvision
    has ResNet50 with 4.09 and 25.56, MobileNet v2 0.30 and 3.50, SSDLite 0.583 and 3.44; Howard et al. MobileNet v1
    with 0.569 and 4.2, MobileNet v3 Large with 0.219 and 5.4; Open Model Zoo SSD-MobileNet v2 with 1.89 and 16.8."""
    layers, mmacs, million_parameters = {
        "efficientnet-lite0": ((49, 1, 0), 385, 4.63),
        "inception-v1": ((57, 1, 0), 1583, 7.00),
        "inception-v3": ((94, 1, 0), 5713, 23.82),
        "mobilebert": ((0, 362, 24), 2693, 24.39),
        "mobilenet-v1": ((27, 1, 0), 569, 4.22),
        "mobilenet-v2": ((52, 1, 0), 301, 3.49),
        "mobilenet-v3": ((62, 2, 0), 217, 5.47),
        "resnet50": ((53, 1, 0), 4089, 25.53),
        "ssd-mobilenet-v1": ((47, 0, 0), 1237, 6.81),
        "ssd-mobilenet-v2": ((76, 0, 0), 1875, 16.83),
        "ssd-mobilenet-v3": ((98, 0, 0), 583, 3.44),
    }[network.name]
    counts = network.counts
    assert (counts.conv_layers, counts.fc_layers, counts.rc_layers) == layers
    assert round(counts.macs / 1e6) == mmacs
    assert counts.parameters / 1e6 == pytest.approx(million_parameters, abs=0.006)


def test_each_gives_different_answers_to_different_inputs(network: PreparedModel) -> None:
    session = onnxruntime.InferenceSession(str(network.files["fp32"]), providers=["CPUExecutionProvider"])
    one, two = (session.run(None, dict(tensors))[0] for tensors in network.inputs(2))
    assert one.shape == network.output_specs[0].shape
    assert np.isfinite(one).all()
    assert np.abs(one - two).max() > 0.01 * np.abs(one).max()


def test_boxes_lie_about_the_photo_and_the_best_come_first(cache: Path) -> None:
    model = prepare("ssd-mobilenet-v3", ["fp32"], cache / "testbed/models")
    session = onnxruntime.InferenceSession(str(model.files["fp32"]), providers=["CPUExecutionProvider"])
    boxes, classes, scores = session.run(None, dict(model.inputs(1)[0]))
    top, left, bottom, right = boxes[0].T
    assert (top < bottom).all()
    assert (left < right).all()
    assert ((boxes > -2) & (boxes < 3)).all()
    assert (np.diff(scores[0]) <= 0).all()
    assert ((classes >= 1) & (classes < detection.CLASSES) & (classes == np.round(classes))).all()


def test_the_documented_table_is_up_to_date(network: PreparedModel) -> None:
    assert layers_row(network) in DOCUMENT.read_text("utf-8").splitlines()


def test_all_are_listed_with_their_sources_and_ones_own_too(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    Registry().add("my-own", prepare("mobilenet-v3", ["fp32"]).files["fp32"])
    assert run_command_line(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [*networks(), "my-own"]
    assert rows["my-own"]["macs"] == rows["mobilenet-v3"]["macs"]
    assert set(PAPER) <= set(rows)
    assert all(row["paper_layers"] == list(PAPER[name]) for name, row in rows.items() if name in PAPER)
    assert all(known["source"] for row in rows.values() for known in row["accuracy"].values())
    assert run_command_line(["models", "list"]) == 0
    shown = capsys.readouterr().out
    assert "my-own (yours)" in shown
    assert "0.6978*" in shown


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
