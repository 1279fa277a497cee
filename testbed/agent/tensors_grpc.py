"""Tensors in the protocol's gRPC messages, by way of the descriptions that HTTP has: raw bytes, or typed contents.

The messages are those of `tritonclient.grpc.service_pb2`; nothing here imports them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from testbed.agent.contract import Tensors
from testbed.agent.tensors import MalformedTensor, decode, encode_binary

_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""datatype -> field of InferTensorContents; FP16 and BF16 travel raw only"""


def put(tensors: Tensors, described: Any, raw: Any) -> None:
    """Append tensors to a message's repeated `described` and `raw` fields."""
    for name, tensor in tensors.items():
        description, elements = encode_binary(name, tensor)
        described.add(name=name, datatype=description["datatype"], shape=description["shape"])
        raw.append(bytes(elements))


def take(described: Iterable[Any], raw: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    """The tensors of a message. Raises MalformedTensor."""
    messages = list(described)
    if raw and len(raw) != len(messages):
        raise MalformedTensor(f"{len(messages)} tensors come with the bytes of {len(raw)}")
    descriptions = [
        {
            "name": message.name,
            "datatype": message.datatype,
            "shape": list(message.shape),
            **({"parameters": {"binary_data_size": len(raw[i])}} if raw else {"data": _contents(message)}),
        }
        for i, message in enumerate(messages)
    ]
    return decode(descriptions, memoryview(b"".join(raw)))


def _contents(message: Any) -> list[Any]:
    if message.datatype == "BYTES":
        try:
            return [element.decode() for element in message.contents.bytes_contents]
        except UnicodeDecodeError:
            raise MalformedTensor(f"tensor '{message.name}': bytes that are no text come raw") from None
    return list(getattr(message.contents, _CONTENTS[message.datatype])) if message.datatype in _CONTENTS else []
