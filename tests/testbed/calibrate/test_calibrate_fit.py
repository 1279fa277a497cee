from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.power_model import PowerModel
from testbed.calibrate.model_file import power_model
from testbed.calibrate.regression import SingularError, rising, robust
from tests.testbed.calibrate.synthetic import (
    CORES,
    HEADER,
    IDLE_W,
    K_W,
    MEMORY_W,
    RECEIVE_W,
    STEPS_HZ,
    TRANSMIT_W,
    campaign,
    core_w,
)


def test_the_parameters_of_a_law_are_found_again() -> None:
    facts = power_model(campaign(), HEADER)

    assert facts["verdict"] == {"good_enough": True, "reasons": [], "withheld": {}}
    warm_w = IDLE_W + K_W * (facts["idle"]["reference_c"] - 45.0)
    assert facts["idle"]["power_w"] == pytest.approx(warm_w, rel=0.002)
    assert facts["idle"]["w_per_k"] == pytest.approx(K_W, rel=0.05)
    assert facts["cpu"]["frequencies_hz"] == list(STEPS_HZ)
    assert facts["cpu"]["busy_core_w"] == pytest.approx([core_w(step) for step in STEPS_HZ], rel=0.02)
    assert facts["memory"]["full_w"] == pytest.approx(MEMORY_W, rel=0.03)
    assert facts["radio"]["cloud"]["transmit_w"] == pytest.approx(list(TRANSMIT_W.values()), rel=0.05)
    assert facts["radio"]["cloud"]["receive_w"] == pytest.approx([RECEIVE_W] * 2, rel=0.05)
    assert facts["validation"]["mape"] < 0.03, (
        "the estimator knows no temperature, and this board's moves its idle power"
    )
    assert facts["validation"]["board_law_mape"] < 0.01


def test_uncertainties_cover_the_errors() -> None:
    errors = []
    for seed in range(12):
        cpu = power_model(campaign(seed), HEADER)["cpu"]
        truths = [core_w(step) for step in STEPS_HZ]
        errors += [
            (value - truth) / u
            for value, truth, u in zip(cpu["busy_core_w"], truths, cpu["standard_uncertainty_w"], strict=True)
        ]
    assert 0.5 < float(np.sqrt(np.mean(np.square(errors)))) < 1.6


def test_a_few_wild_measurements_change_little() -> None:
    wild = [
        replace(m, excess_w=3 * m.excess_w) if m.condition.kind == "cpu" and number % 17 == 0 else m
        for number, m in enumerate(campaign())
    ]
    assert any(a.excess_w > 2 * b.excess_w for a, b in zip(wild, campaign(), strict=True))

    cpu = power_model(wild, HEADER)["cpu"]

    assert cpu["busy_core_w"] == pytest.approx([core_w(step) for step in STEPS_HZ], rel=0.05)


def test_at_one_frequency_there_is_no_general_model_and_it_says_why() -> None:
    one = [m for m in campaign() if m.condition.frequency_hz in (None, STEPS_HZ[-1])]

    facts = power_model(one, HEADER)

    assert facts["board_law"] is None
    assert "one frequency only" in facts["notes"][0]
    assert facts["verdict"]["good_enough"], "what was measured stays usable"
    assert facts["cpu"]["full_w"] == pytest.approx(CORES * core_w(STEPS_HZ[-1]), rel=0.02)


def test_what_was_not_measured_is_missing_and_named() -> None:
    facts = power_model([m for m in campaign() if m.condition.kind not in ("cpu", "network")], HEADER)

    assert facts["processors"] == []
    assert facts["verdict"]["good_enough"] is False
    assert "no CPU load was measured" in facts["verdict"]["reasons"]
    with pytest.raises(SingularError, match="idle board"):
        power_model([], HEADER)


def test_a_target_that_is_far_off_is_withheld_and_a_model_that_is_says_so() -> None:
    odd = [
        replace(m, energy_j=1.3 * (m.energy_j or 0.0)) if m.condition.target == "dla0" and m.condition.held_out else m
        for m in campaign()
    ]

    facts = power_model(odd, HEADER)

    assert "dla0" in facts["verdict"]["withheld"]
    model = PowerModel.of(facts, "it")
    assert "not good enough" in (model.objection(odd[-1].condition.action) or "") or "dla0" in model.withheld
    worse = [replace(m, energy_j=1.3 * m.energy_j) if m.energy_j and m.condition.held_out else m for m in campaign()]
    assert power_model(worse, HEADER)["verdict"]["good_enough"] is False


def test_residuals_follow_the_temperature_the_estimator_does_not_know_of() -> None:
    residuals = power_model(campaign(noise=0.0), HEADER)["validation"]["residuals"]

    assert residuals["per_kelvin"] < -0.0005, "the hotter board draws more than the estimator knows"
    assert abs(residuals["per_hour"]) < 0.5


def test_the_file_is_plain_json() -> None:
    facts = power_model(campaign(), HEADER)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


@given(
    st.lists(st.floats(0.0, 5.0), min_size=2, max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_fitted_powers_never_fall_and_are_never_negative(steps: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.cumsum(steps)
    design = np.kron(np.ones((3, 1)), np.eye(len(steps)))
    found = robust(
        design, design @ truth + random.normal(0, 1.0, len(design)), np.ones(len(design)), rising(len(steps))
    )

    assert (found.values >= 0.0).all()
    assert (np.diff(found.values) >= -1e-12).all()


def test_a_parameter_without_a_measurement_is_refused() -> None:
    with pytest.raises(SingularError, match="no measurement"):
        robust(np.array([[1.0, 0.0]]), np.array([1.0]), np.ones(1))
