from __future__ import annotations

import io
import os
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from testbed.models import torch_file


def _rebuild_tensor_v2(*_: object) -> None: ...


class FloatStorage: ...


class LongStorage: ...


class _Stored:
    """A tensor as PyTorch's legacy format refers to it."""

    def __init__(self, key: str, storage: type, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self._state = (("storage", storage, key, "cpu", 0, None), offset, shape, strides, False, OrderedDict())

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_tensor_v2, (_Reference(self._state[0]), *self._state[1:])


class _Reference:
    def __init__(self, state: object) -> None:
        self.state = state


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return obj.state if isinstance(obj, _Reference) else None


def _legacy_file(path: Path, tensors: dict[str, _Stored], storages: dict[str, NDArray[np.generic]]) -> Path:
    """Write as `torch.save(..., _use_new_zipfile_serialization=False)` does."""
    torch = types.ModuleType("torch")
    utils = types.ModuleType("torch._utils")
    for module, member in ((torch, FloatStorage), (torch, LongStorage), (utils, _rebuild_tensor_v2)):
        setattr(module, member.__name__, member)
        member.__module__ = module.__name__
    with path.open("wb") as file, pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utils)
        for value in (torch_file.MAGIC, 1001, {"little_endian": True}, OrderedDict(tensors), list(storages)):
            _Pickler(file, protocol=2).dump(value)
        for elements in storages.values():
            file.write(len(elements).to_bytes(8, "little") + elements.tobytes())
    return path


@given(
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=4),
    offset=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
    longs=st.booleans(),
)
def test_reads_tensors_of_any_shape_and_stride(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], offset: int, order: object, longs: bool
) -> None:
    axes = list(range(len(shape)))
    order.shuffle(axes)  # type: ignore[attr-defined]
    size = int(np.prod(shape, dtype=int))
    elements = np.arange(offset + size, dtype="<i8" if longs else "<f4")
    expected = elements[offset:].reshape([shape[a] for a in axes]).transpose(np.argsort(axes))
    strides = tuple(s // elements.itemsize for s in expected.strides)
    stored = _Stored("7", LongStorage if longs else FloatStorage, offset, expected.shape, strides)
    path = _legacy_file(tmp_path_factory.mktemp("torch") / "w.pth", {"w": stored}, {"7": elements})
    read = torch_file.read(path)["w"]
    assert read.dtype == elements.dtype
    np.testing.assert_array_equal(read, expected)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    stored = _Stored("0", FloatStorage, 1, (2, 2), (2, 1))
    path = _legacy_file(tmp_path / "w.pth", {"w": stored}, {"0": np.zeros(4, "<f4")})
    with pytest.raises(ValueError, match="beyond its storage"):
        torch_file.read(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    stored = _Stored("0", FloatStorage, 0, (4,), (1,))
    path = _legacy_file(tmp_path / "w.pth", {"w": stored}, {"0": np.zeros(4, "<f4")})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="cut short"):
        torch_file.read(path)


class _Harm:
    def __init__(self, function: object, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> object:
        return self._call


@pytest.mark.parametrize("harm", [_Harm(os.mkdir, "harm"), _Harm(eval, "1"), _Harm(getattr, (), "x")])
@pytest.mark.parametrize("place", range(5))
def test_anything_but_tensors_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: _Harm, place: int
) -> None:
    monkeypatch.chdir(tmp_path)
    values: list[object] = [torch_file.MAGIC, 1001, {}, {}, []]
    values[place] = harm
    content = io.BytesIO()
    for value in values:
        pickle.dump(value, content, protocol=2)
    path = tmp_path / "w.pth"
    path.write_bytes(content.getvalue())
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        torch_file.read(path)
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth"]


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(5))
    with pytest.raises(ValueError, match="not a PyTorch file"):
        torch_file.read(path)
