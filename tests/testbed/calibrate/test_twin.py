from __future__ import annotations

import json

import numpy as np
import pytest

from testbed.agent.contract import CoRun
from testbed.calibrate.design import conditions
from testbed.calibrate.model_file import power_model
from testbed.virtual import silicon
from testbed.virtual.networks import work_of
from testbed.virtual.twin import profile_of
from tests.testbed.calibrate.synthetic import (
    CORES,
    HEADER,
    MACS,
    MEMORY_W,
    OFFER,
    PLAN,
    STEPS_HZ,
    TRANSMIT_W,
    campaign,
    core_w,
    inference,
)

FACTS = power_model(campaign(noise=0.001), HEADER)


def test_a_twin_takes_as_long_and_draws_as_much_as_the_board_it_is_built_after() -> None:
    twin = profile_of(json.dumps(FACTS).encode(), "model.json")

    assert twin.model == "twin of Board"
    for condition in conditions(PLAN, OFFER):
        if condition.kind == "network" and condition.network in PLAN.networks:
            latency_s, excess_w = inference(condition)
            work = work_of(condition.network, condition.precision, MACS[condition.network], 1e6)
            law = silicon.inference(
                twin, condition.target, work, condition.precision, condition.frequency_hz, CoRun(0.0, 0.0), False
            )
            assert law.busy_s == pytest.approx(latency_s, rel=0.15), condition
            energy_j = twin.idle_w * law.busy_s + law.busy_j
            assert energy_j == pytest.approx((FACTS["idle"]["power_w"] + excess_w) * latency_s, rel=0.15), condition


def test_a_twin_idles_and_transmits_as_calibrated() -> None:
    twin = profile_of(json.dumps(FACTS).encode(), "model.json")

    base_w = silicon.base_power_w(twin, CoRun(0.0, 1.0), 25.0)
    assert base_w == pytest.approx(FACTS["idle"]["power_w"] + MEMORY_W, rel=0.01)
    loaded_w = silicon.load_power_w(twin, CORES, STEPS_HZ[1], throttled=False)
    assert loaded_w == pytest.approx(CORES * core_w(STEPS_HZ[1]), rel=0.1)
    powers_w = [twin.radio.transmit_w(signal) - twin.radio.idle_w for signal in TRANSMIT_W]
    assert powers_w == pytest.approx(list(TRANSMIT_W.values()), rel=0.05)
    assert float(np.mean(powers_w)) > twin.radio.receive_w(-60.0)


def test_a_model_that_is_not_good_enough_makes_no_twin() -> None:
    poor = {**FACTS, "verdict": {"good_enough": False, "reasons": ["it is 12 % off"], "withheld": {}}}
    with pytest.raises(ValueError, match="12 % off"):
        profile_of(json.dumps(poor).encode(), "model.json")
    with pytest.raises(ValueError, match="no inferences"):
        profile_of(json.dumps({**FACTS, "inferences": []}).encode(), "model.json")
