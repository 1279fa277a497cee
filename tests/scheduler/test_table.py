from __future__ import annotations

import re
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.contract import Action
from scheduler.features import Bins
from scheduler.files import LearntFileError
from scheduler.table import LARGEST, Table, decode, encode, load_table, require, save_table

ACTIONS = (Action("cpu", "fp32", 1e9), Action("cpu", "fp32", 1.5e9), Action("dla0", "int8"))
BINS = Bins(conv_layers=(), macs=(), co_cpu=(), co_memory=())


@given(st.floats(-1e5, 1e5))
def test_a_value_survives_in_half_precision(value: float) -> None:
    clipped = min(max(value, -LARGEST), LARGEST)
    assert decode(encode(value)) == np.float16(clipped)


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_codes_sort_like_values(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert encode(low) <= encode(high)


@given(st.floats(-1e6, 1e6))
def test_codes_fit_16_bits(value: float) -> None:
    assert -32768 <= encode(value) <= 32767


def test_zero_and_minus_zero_are_one() -> None:
    assert encode(-0.0) == encode(0.0) == 0


def _table() -> Table:
    codes = np.arange(BINS.rows * len(ACTIONS), dtype=np.int16).reshape(BINS.rows, -1)
    return Table(ACTIONS, BINS, "published", codes)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "trained"
    save_table(path, _table())
    return path


@pytest.fixture(scope="module")
def saved_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("table") / "trained"
    save_table(path, _table())
    return path.read_bytes()


def test_round_trip(saved: Path) -> None:
    table = load_table(saved)
    assert (table.actions, table.bins, table.reward) == (ACTIONS, BINS, "published")
    np.testing.assert_array_equal(table.codes, _table().codes)
    assert list(saved.parent.iterdir()) == [saved]


@given(data=st.data())
def test_any_damage_is_noticed(
    saved_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("tables") / "trained"
    content = bytearray(saved_bytes)
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(LearntFileError, match=re.escape(str(path))):
        load_table(path)


def test_another_version_is_refused(saved: Path) -> None:
    content = saved.read_bytes()[:-4].replace(b'"version": 1', b'"version": 2')
    saved.write_bytes(content + crc32(content).to_bytes(4, "little"))
    with pytest.raises(LearntFileError, match=r"version 2 .* reads 1"):
        load_table(saved)


def test_another_kind_of_file_is_refused(saved: Path) -> None:
    saved.write_text("something else")
    with pytest.raises(LearntFileError, match="no autoscale-table file"):
        load_table(saved)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LearntFileError, match="no such file"):
        load_table(tmp_path / "none")


def test_a_table_is_for_its_own_actions_and_reward() -> None:
    require(_table(), ACTIONS, "published")
    with pytest.raises(LearntFileError, match=r"cpu/fp32@1000MHz that are not on offer and lacks cloud/fp32"):
        require(_table(), (*ACTIONS[1:], Action("cloud", "fp32")), "published")
    with pytest.raises(LearntFileError, match="another order"):
        require(_table(), ACTIONS[::-1], "published")
    with pytest.raises(LearntFileError, match="learnt under the reward 'published'"):
        require(_table(), ACTIONS, "qos-penalty")
