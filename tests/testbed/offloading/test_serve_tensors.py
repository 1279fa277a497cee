"""The binary tensor codec: what goes in comes out, and what does not fit is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from testbed.agent.tensors import (
    DATATYPES,
    MalformedTensor,
    datatype,
    decode,
    encode_binary,
    encode_json,
    join,
    split,
)

NUMBERS = [dtype for dtype in DATATYPES.values() if dtype.kind != "O"]
DTYPES = st.sampled_from([*NUMBERS, np.dtype(">f4"), np.dtype(">i8")])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
ARRAYS = hnp.arrays(DTYPES, SHAPES) | hnp.arrays(np.dtype("O"), SHAPES, elements=st.binary(max_size=6))
TEXTS = hnp.arrays(np.dtype("O"), SHAPES, elements=st.text(max_size=6).map(lambda text: text.encode()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def descriptions() -> st.SearchStrategy[object]:
    fields = {
        "name": st.sampled_from(["a", "b"]) | JSON,
        "datatype": st.sampled_from([*sorted(DATATYPES), "BF16"]) | JSON,
        "shape": st.lists(st.integers(0, 3), max_size=3) | JSON,
    }
    optional = {
        "data": st.lists(st.integers(-5, 300) | st.floats() | st.booleans(), max_size=6) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 12) | JSON}) | JSON,
    }
    return st.lists(st.fixed_dictionaries(fields, optional=optional), max_size=3) | JSON


@given(st.dictionaries(st.text(max_size=8), ARRAYS, max_size=4))
def test_binary_tensors_survive_the_wire(tensors: dict[str, np.ndarray]) -> None:
    pairs = [encode_binary(name, tensor) for name, tensor in tensors.items()]
    body, head_length = join({"inputs": [description for description, _ in pairs]}, [data for _, data in pairs])
    head, binary = split(memoryview(body), str(head_length))
    received = decode(head["inputs"], binary)
    assert list(received) == list(tensors)
    for name, tensor in tensors.items():
        assert received[name].dtype == tensor.dtype.newbyteorder("<")
        np.testing.assert_array_equal(received[name], tensor, strict=False)
        assert received[name].shape == tensor.shape


@given(hnp.arrays(DTYPES, SHAPES, elements={"allow_nan": False, "allow_infinity": False}) | TEXTS)
def test_json_tensors_survive_the_wire(tensor: np.ndarray) -> None:
    description = json.loads(json.dumps(encode_json("x", tensor)))
    received = decode([description], memoryview(b""))["x"]
    assert received.dtype == tensor.dtype.newbyteorder("<")
    assert received.shape == tensor.shape
    np.testing.assert_array_equal(received, tensor)


@given(descriptions(), st.binary(max_size=24))
def test_whatever_is_sent_is_decoded_or_refused(description: object, binary: bytes) -> None:
    try:
        tensors = decode(description, memoryview(binary))
    except MalformedTensor:
        return
    assert all(tensor.dtype in DATATYPES.values() for tensor in tensors.values())


@given(st.binary(max_size=60), st.none() | st.integers(-2, 70).map(str) | st.text(max_size=4))
def test_whatever_frames_a_body_is_split_or_refused(body: bytes, head_length: str | None) -> None:
    try:
        head, binary = split(memoryview(body), head_length)
    except MalformedTensor:
        return
    assert isinstance(head, dict)
    assert len(binary) == (0 if head_length is None else len(body) - int(head_length))


@given(hnp.arrays(DTYPES, hnp.array_shapes(min_side=1, max_side=4)), st.data())
def test_a_cut_message_is_refused(tensor: np.ndarray, data: st.DataObject) -> None:
    description, elements = encode_binary("x", tensor)
    cut = data.draw(st.integers(0, elements.nbytes - 1))
    with pytest.raises(MalformedTensor):
        decode([description], elements[:cut])


def test_elements_lie_as_the_protocol_says() -> None:
    description, elements = encode_binary("x", np.array([[1, 258]], dtype=">i2"))
    assert description == {
        "name": "x",
        "datatype": "INT16",
        "shape": [1, 2],
        "parameters": {"binary_data_size": 4},
    }
    assert bytes(elements) == b"\x01\x00\x02\x01"


@pytest.mark.parametrize(
    ("description", "named"),
    [
        ({"name": "x", "datatype": "FP8", "shape": [1]}, "datatype 'FP8'"),
        ({"name": "x", "datatype": "BYTES", "shape": [2], "data": ["one"]}, "flat list of 2 texts"),
        ({"name": "x", "datatype": "BYTES", "shape": [1], "data": [1]}, "flat list of 1 texts"),
        ({"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 8}}, "cut short"),
        ({"name": "x", "datatype": "BYTES", "shape": [0], "parameters": {"binary_data_size": 8}}, "not 0 elements"),
        ({"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 9}}, "8 are left"),
        ({"name": "x", "datatype": "BF16", "shape": [3], "parameters": {"binary_data_size": 8}}, "needs 6 bytes"),
        ({"name": "x", "datatype": "INT8", "shape": [2], "data": [1, 300]}, "out of range"),
        ({"name": "x", "datatype": "INT8", "shape": [2], "data": [1, 2.5]}, "float64 elements"),
        ({"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1.0]}, r"FP32 \[2, 2\]"),
        ({"name": "x", "datatype": "FP32", "shape": [-1], "data": [1.0]}, "not a list of sizes"),
        ({"name": "x", "datatype": "FP32", "shape": [1]}, "neither 'data' nor 'binary_data_size'"),
        ({"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 8}}, "needs 4 bytes"),
    ],
)
def test_a_refusal_names_what_does_not_fit(description: dict[str, object], named: str) -> None:
    with pytest.raises(MalformedTensor, match=named):
        decode([description], memoryview(b"12345678"))


def test_types_the_protocol_lacks_are_refused() -> None:
    with pytest.raises(MalformedTensor, match="complex64"):
        datatype(np.dtype("c8"))
    with pytest.raises(MalformedTensor, match="bytes alone"):
        encode_binary("x", np.array([None]))
    with pytest.raises(MalformedTensor, match="no text"):
        encode_json("x", np.array([b"\xff"], "O"))
    with pytest.raises(MalformedTensor, match="NaN"):
        encode_json("x", np.array([np.nan]))


def test_bytes_left_over_are_refused() -> None:
    description, elements = encode_binary("x", np.zeros(2, "f4"))
    with pytest.raises(MalformedTensor, match="1 bytes are left over"):
        decode([description], memoryview(bytes(elements) + b"!"))


@given(hnp.arrays(np.dtype("<f4"), SHAPES))
def test_bf16_comes_as_the_float32_it_is_the_upper_half_of(tensor: np.ndarray) -> None:
    upper = (tensor.view("<u4") >> 16).astype("<u2")
    description = {"name": "x", "datatype": "BF16", "shape": list(tensor.shape)}
    description["parameters"] = {"binary_data_size": upper.nbytes}
    received = decode([description], memoryview(upper.tobytes()))["x"]
    np.testing.assert_array_equal(received.view("<u4"), tensor.view("<u4") & 0xFFFF0000)
