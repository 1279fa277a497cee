from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.targets.tensorrt.inspection import layers


def _layer(described: str, name: str = "conv", kind: str = "CaskConvolution") -> dict[str, Any]:
    return {"Name": name, "LayerType": kind, "Outputs": [{"Name": "y", "Format/Datatype": described}]}


@pytest.mark.parametrize(
    ("described", "precision"),
    [
        ("Row major linear FP32", "fp32"),
        ("Row major linear FP16 format", "fp16"),
        ("Channel major FP16 format where channel % 8 == 0", "fp16"),
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("Half", "fp16"),
        ("Float", "fp32"),
        ("Int8", "int8"),
    ],
)
def test_a_layer_computes_in_what_it_yields(described: str, precision: str) -> None:
    found = layers(json.dumps({"Layers": [_layer(described), _layer(described)], "Bindings": ["x", "y"]}))
    assert found.yielding == {precision: 2}
    assert str(found) == f"2 in {precision}"


def test_integers_for_indices_are_no_precision() -> None:
    assert str(layers(json.dumps({"Layers": [_layer("Row major Int32 format")]}))) == "none"


def test_what_was_compiled_as_one_does_not_show_its_inside() -> None:
    text = json.dumps(
        {"Layers": ["named alone", _layer("Float", "{ForeignNode[a...b]}", "x"), _layer("Float", "m", "Myelin")]}
    )
    assert str(layers(text)) == "3 that do not show it"


@pytest.mark.parametrize("text", ["", "[]", '{"Layers": 3}', "{}"])
def test_a_text_that_describes_no_layers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        layers(text)


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
KEYS = st.sampled_from(["Name", "LayerType", "Outputs", "Format/Datatype"])
ANYTHING = SCALARS | st.lists(SCALARS | st.dictionaries(KEYS, SCALARS), max_size=3)


@given(st.lists(SCALARS | st.dictionaries(KEYS, ANYTHING), max_size=4))
def test_any_json_is_layers(described: list[object]) -> None:
    found = layers(json.dumps({"Layers": described}))
    assert found.hidden + sum(found.yielding.values()) <= 3 * 3 * len(described)
