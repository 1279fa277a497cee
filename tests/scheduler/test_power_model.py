from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.contract import Action, Network, State, Task
from scheduler.estimator import NotCalibratedError
from scheduler.power_model import PowerModel, PowerModelError

TASK = Task("photo", Network("net", 10, 1, 0, 1_000_000_000, 600_000), 0.05, 0.0, {"fp32": 1.0})
FACTS: dict[str, Any] = {
    "format": "power-model",
    "version": 1,
    "provenance": "virtual",
    "board": {"model": "Board"},
    "idle": {"power_w": 3.0},
    "cpu": {"full_w": 4.0},
    "memory": {"full_w": 1.0},
    "processors": [
        {
            "target": "cpu",
            "precision": "fp32",
            "frequencies_hz": [1e9, 2e9],
            "busy_power_w": [1.0, 3.0],
            "energy_per_mac_j": [1e-11, 2e-11],
        },
        {
            "target": "dla0",
            "precision": "int8",
            "frequencies_hz": None,
            "busy_power_w": [2.0],
            "energy_per_mac_j": [0.0],
        },
    ],
    "radio": {"cloud": {"rssi_dbm": [-80, -60], "transmit_w": [2.0, 1.0], "receive_w": [0.5, 0.5]}},
    "board_law": {
        "idle_w": 3.0,
        "idle_w_per_k": 0.01,
        "reference_c": 50.0,
        "core_w": [0.1, 0.0, 0.2],
        "memory_w": 1.0,
    },
    "verdict": {"good_enough": True, "reasons": [], "withheld": {}},
}


def model(**altered: Any) -> PowerModel:
    return PowerModel.parse(json.dumps({**FACTS, **altered}).encode(), "model.json")


def state(co_cpu: float = 0.0, co_memory: float = 0.0, rssi_dbm: float = -60.0) -> State:
    return State(TASK, co_cpu, co_memory, rssi_dbm, -50.0)


def test_an_inference_draws_idle_busy_and_arithmetic() -> None:
    assert model().energy_j(state(), Action("cpu", "fp32", 1e9), 0.1, 0, 0) == pytest.approx(0.1 * 4.0 + 0.01)
    assert model().energy_j(state(), Action("cpu", "fp32", 1.5e9), 0.1, 0, 0) == pytest.approx(0.1 * 5.0 + 0.015)
    assert model().energy_j(state(), Action("dla0", "int8"), 0.1, 0, 0) == pytest.approx(0.5)


def test_co_runners_and_the_radio_draw_too() -> None:
    beside = model().energy_j(state(0.5, 0.5), Action("dla0", "int8"), 0.1, 0, 0)
    assert beside == pytest.approx(0.1 * (3.0 + 2.0 + 2.0 + 0.5))
    far = model().energy_j(state(rssi_dbm=-70.0), Action("cloud", "fp32"), 0.1, 0.04, 0.02)
    assert far == pytest.approx(0.3 + 1.5 * 0.04 + 0.5 * 0.02)
    beyond = model().energy_j(state(rssi_dbm=-95.0), Action("cloud", "fp32"), 0.1, 0.04, 0.0)
    assert beyond == pytest.approx(0.3 + 2.0 * 0.04)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (Action("gpu", "fp32", 1e9), "without gpu"),
        (Action("cpu", "int8", 1e9), "without cpu at int8"),
        (Action("cpu", "fp32", 3e9), "3000 MHz"),
        (Action("cpu", "fp32"), "no clock"),
        (Action("edge", "fp32"), "way to edge"),
    ],
)
def test_what_was_not_calibrated_is_refused_not_guessed(action: Action, reason: str) -> None:
    with pytest.raises(NotCalibratedError, match=reason):
        model().energy_j(state(), action, 0.1, 0, 0)


def test_a_model_that_is_not_good_enough_is_not_used() -> None:
    with pytest.raises(PowerModelError, match="12 % off"):
        model(verdict={"good_enough": False, "reasons": ["it is 12 % off"], "withheld": {}})
    withheld = model(verdict={"good_enough": True, "reasons": [], "withheld": {"dla0": "12 % off"}})
    assert withheld.objection(Action("cpu", "fp32", 1e9)) is None
    with pytest.raises(NotCalibratedError, match="12 % off"):
        withheld.energy_j(state(), Action("dla0", "int8"), 0.1, 0, 0)


def test_the_general_model_knows_cores_clock_memory_and_warmth() -> None:
    law = model().law
    assert law is not None
    assert law.power_w(2.0, 2e9, 0.5, 60.0) == pytest.approx(3.0 + 0.1 + 2 * (0.2 + 1.6) + 0.5)
    assert law.power_w(0.0, 2e9) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("altered", "reason"),
    [
        ({"version": 2}, "version 2"),
        ({"format": "other"}, "no power model"),
        ({"idle": {}}, "'power_w' is missing"),
        ({"idle": {"power_w": -1.0}}, "no power"),
        ({"processors": [{**FACTS["processors"][0], "busy_power_w": [1.0]}]}, "as many powers"),
        ({"processors": [{**FACTS["processors"][0], "frequencies_hz": [2e9, 1e9]}]}, "ascend"),
        ({"radio": {"cloud": {"rssi_dbm": [], "transmit_w": [], "receive_w": []}}}, "ascend"),
    ],
)
def test_a_file_that_will_not_do_says_why(altered: dict[str, Any], reason: str) -> None:
    with pytest.raises(PowerModelError, match=reason):
        model(**altered)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda v: repr(v).encode())
)
def test_any_bytes_are_refused_in_words(content: bytes) -> None:
    with pytest.raises(PowerModelError, match="file"):
        PowerModel.parse(content, "file")


@given(st.sampled_from(sorted(FACTS)), st.none() | st.integers() | st.text() | st.lists(st.integers()))
def test_a_damaged_field_is_refused_in_words_or_of_no_account(name: str, value: Any) -> None:
    reason = _refusal(**{name: value})
    assert reason is None or "model.json" in reason


def _refusal(**altered: Any) -> str | None:
    try:
        model(**altered)
    except PowerModelError as error:
        return str(error)
    return None


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(FACTS))
    assert PowerModel.read(tmp_path / "m.json").board_model == "Board"
