"""TensorRT's dimensions as tuples of integers; -1 is a size that is not fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorrt

Shape = tuple[int, ...]


def shape_of(dims: tensorrt.Dims) -> Shape:
    """The sizes as integers."""
    return tuple(int(dims[axis]) for axis in range(len(dims)))


def is_fixed(shape: Shape) -> bool:
    """Whether every size is known before anything runs."""
    return min(shape, default=0) >= 0


def shown(shape: Shape) -> str:
    """As it stands in messages."""
    return "x".join("?" if size < 0 else str(size) for size in shape) or "a scalar"
