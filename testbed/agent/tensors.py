"""Tensors as the Open Inference Protocol (KServe v2) puts them on the wire: JSON, and the binary tensor extension.

A tensor travels as a description (name, datatype, shape) in the JSON head, its elements either in the description's
`data` or, little-endian and row-major, behind the head; the description's `binary_data_size` then says how many bytes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

HEAD_LENGTH = "Inference-Header-Content-Length"
"""the HTTP header that says where the JSON head ends and the binary tensors begin"""

BINARY_EXTENSION = "binary_tensor_data"
"""among the extensions that a server names: it reads and writes binary tensors"""
JPEG_EXTENSION = "jpeg_tensor_data"
"""this testbed's: an input that is UINT8 [1, 3, height, width] may come as a BYTES tensor of one JPEG"""

DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype("O"),
}
"""the protocol's datatypes that numpy holds; the elements of BYTES are objects of Python's type bytes"""

_NAMES = {dtype: name for name, dtype in DATATYPES.items()}
_READABLE = {**DATATYPES, "BF16": np.dtype("<f4")}
_LENGTH = struct.Struct("<I")
"""stands before each element of BYTES"""


class MalformedTensor(ValueError):
    """A message whose tensors do not fit their own description."""


def datatype(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a numpy type. Raises MalformedTensor for one it does not have."""
    try:
        return _NAMES[dtype.newbyteorder("<")]
    except KeyError:
        raise MalformedTensor(f"the protocol has no datatype for numpy {dtype}") from None


def encode_binary(name: str, tensor: NDArray[Any]) -> tuple[dict[str, Any], memoryview]:
    """A tensor's description, and its elements as they follow the head: a view where they lie so already."""
    if tensor.dtype.kind == "O":
        packed = memoryview(b"".join(_LENGTH.pack(len(element)) + element for element in _elements(name, tensor)))
        return {**_description(name, tensor), "parameters": {"binary_data_size": packed.nbytes}}, packed
    little = np.ascontiguousarray(tensor, dtype=DATATYPES[datatype(tensor.dtype)])
    elements = little.reshape(-1).view(np.uint8).data
    return {**_description(name, tensor), "parameters": {"binary_data_size": elements.nbytes}}, elements


def encode_json(name: str, tensor: NDArray[Any]) -> dict[str, Any]:
    """A tensor's description, its elements inside.

    Raises MalformedTensor for NaN, infinity, and bytes that are no UTF-8 text: JSON has none of them.
    """
    if tensor.dtype.kind == "O":
        try:
            return {**_description(name, tensor), "data": [element.decode() for element in _elements(name, tensor)]}
        except UnicodeDecodeError:
            raise MalformedTensor(f"'{name}' holds bytes that are no text, which JSON cannot carry") from None
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise MalformedTensor(f"'{name}' holds NaN or infinity, which JSON cannot carry: ask for binary data")
    return {**_description(name, tensor), "data": tensor.ravel().tolist()}


def _description(name: str, tensor: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype(tensor.dtype), "shape": list(tensor.shape)}


def head_of(head: Mapping[str, Any]) -> bytes:
    """The JSON that stands before the binary tensors."""
    return json.dumps(head, separators=(",", ":"), allow_nan=False).encode()


def join(head: Mapping[str, Any], binaries: Sequence[memoryview]) -> tuple[bytes, int]:
    """The message's body, and the length of its JSON head."""
    text = head_of(head)
    return b"".join((text, *binaries)), len(text)


def split(body: memoryview, head_length: str | None) -> tuple[dict[str, Any], memoryview]:
    """The JSON head and the bytes behind it; without `head_length` all of it is head. Raises MalformedTensor."""
    length = len(body)
    if head_length is not None:
        if not (head_length.isascii() and head_length.isdigit()) or int(head_length) > len(body):
            raise MalformedTensor(f"{HEAD_LENGTH} is '{head_length[:20]}' in a body of {len(body)} bytes")
        length = int(head_length)
    try:
        head = json.loads(bytes(body[:length]))
    except (ValueError, RecursionError) as error:
        raise MalformedTensor(f"the head is not JSON: {error}") from None
    if not isinstance(head, dict):
        raise MalformedTensor("the head is not a JSON object")
    return head, body[length:]


def decode(descriptions: object, binary: memoryview) -> dict[str, NDArray[Any]]:
    """Tensors by name; binary ones are read-only views of `binary`, and BF16, which numpy lacks, comes as float32.

    Raises MalformedTensor.
    """
    if not isinstance(descriptions, list):
        raise MalformedTensor("the tensors are not a JSON array")
    tensors: dict[str, NDArray[Any]] = {}
    for description in descriptions:
        name, dtype, shape = _read_description(description)
        if name in tensors:
            raise MalformedTensor(f"tensor '{name}' comes twice")
        size = _binary_size(name, description)
        if size is None:
            tensors[name] = _from_json(name, dtype, shape, description.get("data"))
            continue
        if dtype.kind == "O" or description["datatype"] == "BF16":
            if size > len(binary):
                raise MalformedTensor(f"tensor '{name}' names {size} bytes, and {len(binary)} are left")
            unpack = _texts if dtype.kind == "O" else _widened
            tensors[name], binary = unpack(name, shape, binary[:size]), binary[size:]
            continue
        if size != math.prod(shape) * dtype.itemsize or size > len(binary):
            raise MalformedTensor(
                f"tensor '{name}' of shape {list(shape)} needs {math.prod(shape) * dtype.itemsize} bytes: "
                f"it names {size}, and {len(binary)} are left"
            )
        tensors[name] = np.frombuffer(binary[:size], dtype).reshape(shape)
        binary = binary[size:]
    if len(binary):
        raise MalformedTensor(f"{len(binary)} bytes are left over behind the last tensor")
    return tensors


def _read_description(description: object) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    if not isinstance(description, dict) or not isinstance(description.get("name"), str):
        raise MalformedTensor("a tensor has no name")
    name, dtype, shape = description["name"], description.get("datatype"), description.get("shape")
    if not isinstance(dtype, str) or dtype not in _READABLE:
        raise MalformedTensor(f"tensor '{name}': datatype {dtype!r} is not one of {', '.join(_READABLE)}")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise MalformedTensor(f"tensor '{name}': shape {shape!r} is not a list of sizes")
    return name, _READABLE[dtype], tuple(shape)


def _binary_size(name: str, description: dict[str, Any]) -> int | None:
    parameters = description.get("parameters") or {}  # KServe 0.21 writes null
    if not isinstance(parameters, dict):
        raise MalformedTensor(f"tensor '{name}': its parameters are not a JSON object")
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise MalformedTensor(f"tensor '{name}': binary_data_size {size!r} is not a number of bytes")
    return size


def _elements(name: str, tensor: NDArray[Any]) -> list[bytes]:
    elements: list[object] = tensor.ravel().tolist()
    if not all(isinstance(element, bytes) for element in elements):
        raise MalformedTensor(f"'{name}' is an array of objects, of which the protocol has bytes alone")
    return cast("list[bytes]", elements)


def _texts(name: str, shape: tuple[int, ...], binary: memoryview) -> NDArray[Any]:
    elements: list[bytes] = []
    while len(binary) >= _LENGTH.size and len(elements) < math.prod(shape):
        (length,) = _LENGTH.unpack_from(binary)
        elements.append(bytes(binary[_LENGTH.size : _LENGTH.size + length]))
        if len(elements[-1]) != length:
            raise MalformedTensor(f"tensor '{name}': an element of {length} bytes is cut short")
        binary = binary[_LENGTH.size + length :]
    if len(binary) or len(elements) != math.prod(shape):
        raise MalformedTensor(f"tensor '{name}' of shape {list(shape)}: its bytes are not {math.prod(shape)} elements")
    return _objects(elements, shape)


def _objects(elements: list[bytes], shape: tuple[int, ...]) -> NDArray[Any]:
    tensor = np.empty(len(elements), "O")
    tensor[:] = elements
    return tensor.reshape(shape)


def _widened(name: str, shape: tuple[int, ...], binary: memoryview) -> NDArray[Any]:
    """BF16 is the upper half of a float32."""
    if len(binary) != 2 * math.prod(shape):
        raise MalformedTensor(f"tensor '{name}' of BF16 {list(shape)} needs {2 * math.prod(shape)} bytes")
    return (np.frombuffer(binary, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)


def _from_json(name: str, dtype: np.dtype[Any], shape: tuple[int, ...], data: object) -> NDArray[Any]:
    if not isinstance(data, list):
        raise MalformedTensor(f"tensor '{name}' has neither 'data' nor 'binary_data_size'")
    if dtype.kind == "O":
        if not all(isinstance(text, str) for text in data) or len(data) != math.prod(shape):
            raise MalformedTensor(f"tensor '{name}': its data are not a flat list of {math.prod(shape)} texts")
        return _objects([text.encode(errors="surrogatepass") for text in data], shape)
    try:
        given = np.array(data)
        if dtype == np.uint64 and given.dtype.kind == "f":  # what numpy makes of numbers on both sides of 2^63
            exact = np.array(data, "O")
            given = exact.astype(dtype) if all(type(element) is int for element in exact.ravel()) else given
        if given.size and (given.dtype.kind in "OUS" or not _same_kind(given.dtype, dtype)):
            raise ValueError(f"{given.dtype} elements")
        with np.errstate(over="ignore"):  # a number too large for the datatype is its infinity
            tensor = given.astype(dtype).reshape(shape)
        if dtype.kind in "iu" and given.size and not np.array_equal(tensor.ravel(), given.ravel()):
            raise ValueError("an element is out of range")
    except (ValueError, OverflowError) as error:
        raise MalformedTensor(f"tensor '{name}': its data do not fit {_NAMES[dtype]} {list(shape)}: {error}") from None
    return tensor


def _same_kind(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    return given.kind == "b" if wanted.kind == "b" else given.kind in ("iuf" if wanted.kind == "f" else "iu")
