from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.agent.targets.tensorrt.cache import EngineCache, default_folder, key
from testbed.agent.targets.tensorrt.driver import Gpu
from testbed.agent.targets.tensorrt.order import Device, Order
from tests.testbed.tensorrt.material import SHAPE, photos, save

ORIN = Gpu("Orin", 87, 12060)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order("m", save(tmp_path / "m.onnx"), "fp16", Device(), {"x": SHAPE}, None)


def test_a_plan_is_found_again_by_what_it_was_built_from_and_for(tmp_path: Path, order: Order) -> None:
    cache, identity = EngineCache(tmp_path / "engines"), key("10.3.0", ORIN, order)
    assert cache.plan(identity) is None
    cache.put_plan(identity, b"plan")
    assert EngineCache(tmp_path / "engines").plan(key("10.3.0", ORIN, order)) == b"plan"


def test_whatever_a_plan_depends_on_makes_it_another(tmp_path: Path, order: Order) -> None:
    other = save(tmp_path / "other.onnx", "Sigmoid")
    keys = [
        key("10.3.0", ORIN, order),
        key("10.7.0", ORIN, order),
        key("10.3.0", replace(ORIN, name="Thor"), order),
        key("10.3.0", replace(ORIN, sm=110), order),
        *(
            key("10.3.0", ORIN, replace(order, **change))
            for change in (
                {"precision": "fp32"},
                {"device": Device(0)},
                {"device": Device(1)},
                {"path": other},
                {"shapes": {"x": (2, 3, 8, 8)}},
                {"calibration": photos(1)},
                {"calibration": photos(2)},
            )
        ),
    ]
    cache = EngineCache(tmp_path / "engines")
    for number, identity in enumerate(keys):
        cache.put_plan(identity, bytes([number]))
    assert [cache.plan(identity) for identity in keys] == [bytes([number]) for number in range(len(keys))]


def test_the_file_counts_by_its_content_and_not_by_its_name(tmp_path: Path, order: Order) -> None:
    moved = order.path.rename(tmp_path / "moved.onnx")
    before = key("10.3.0", ORIN, replace(order, path=moved))
    assert before == key("10.3.0", ORIN, replace(order, path=moved, model="another name"))


@pytest.mark.parametrize("kept", [0, 5, 34])
def test_a_plan_that_was_cut_short_is_none(
    tmp_path: Path, order: Order, caplog: pytest.LogCaptureFixture, kept: int
) -> None:
    cache, identity = EngineCache(tmp_path / "engines"), key("10.3.0", ORIN, order)
    cache.put_plan(identity, b"plan")
    (file,) = (tmp_path / "engines").glob("*.plan")
    file.write_bytes(file.read_bytes()[:kept])
    with caplog.at_level(logging.WARNING):
        assert cache.plan(identity) is None
    assert "is damaged and will be made again" in caplog.text


def test_timings_are_kept_by_version_and_device(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    assert cache.timing("10.3.0", ORIN, "gpu") == b""
    cache.put_timing("10.3.0", ORIN, "gpu", b"timings")
    assert cache.timing("10.3.0", ORIN, "gpu") == b"timings"
    assert cache.timing("10.3.0", ORIN, "dla0") == b""
    assert cache.timing("10.7.0", ORIN, "gpu") == b""


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, order: Order) -> None:
    cache, identity = EngineCache(tmp_path / "engines"), key("10.3.0", ORIN, order)
    with pytest.raises(TypeError):
        cache.put_plan(identity, None)  # type: ignore[arg-type]
    assert not list((tmp_path / "engines").iterdir())


def test_the_folder_is_where_xdg_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "testbed" / "engines"
