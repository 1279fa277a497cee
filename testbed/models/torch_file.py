"""Weights out of a PyTorch file of the legacy kind (before version 1.6), without PyTorch.

Such a file is a row of pickles (a magic number, the protocol version, a description of the machine, the state
dictionary, the storage keys), then for each key the number of elements and the raw elements. See `_legacy_load` in
PyTorch's torch/serialization.py. A pickle can name any function to be called on loading, so only the four names a
dictionary of tensors needs are let through.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(
            f"refused: the file asks for {module}.{name}, which a file of weights does not need"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def read(path: Path) -> dict[str, NDArray[np.generic]]:
    """The tensors by name.

    Raises pickle.UnpicklingError when the file asks for anything but tensors, ValueError when it is not of this kind
    or cut short.
    """
    with path.open("rb") as file:
        load: Callable[[], Any] = lambda: _Unpickler(file).load()  # noqa: E731
        if load() != MAGIC:
            raise ValueError(f"{path} is not a PyTorch file of the legacy kind")
        load(), load()
        tensors: dict[str, _Tensor] = load()
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
        storages = {key: _elements(file, dtypes[key], path) for key in load()}
    return {name: _view(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _elements(file: BinaryIO, dtype: str, path: Path) -> NDArray[np.generic]:
    count = int.from_bytes(file.read(8), "little")
    size = count * np.dtype(dtype).itemsize
    content = file.read(size)
    if len(content) != size:
        raise ValueError(f"{path} is cut short")
    return np.frombuffer(content, dtype)


def _view(tensor: _Tensor, elements: NDArray[np.generic]) -> NDArray[np.generic]:
    strides = [stride * elements.itemsize for stride in tensor.strides]
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if min(tensor.shape, default=1) and last >= elements.size:
        raise ValueError("a tensor reaches beyond its storage")
    view = np.lib.stride_tricks.as_strided(elements[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.ascontiguousarray(view)
