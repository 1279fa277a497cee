"""Repetition: scatter averages out, the meter's own errors do not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from power import Energy, OutOfReach, Repetition
from power.repetition import least_relative, repetitions_for

shares = st.floats(0.0, 0.05)


def energy(energy_j: float = 2.0, **budget: float) -> Energy:
    return Energy(
        energy_j=energy_j,
        standard_uncertainty_j=math.hypot(*budget.values()),
        budget_j=budget,
        present=1.0,
        window_s=0.1,
        mean_power_w=20.0,
        peak_power_w=20.0,
    )


def longer(one: Energy, times: int) -> float:
    """Relative standard uncertainty of so many back to back, cause by cause."""
    grows = {"gain": times, "offset": times, "sampling": math.sqrt(times), "edges": 1, "clock": 1}
    budget = {cause: value * grows[cause] for cause, value in one.budget_j.items()}
    return math.hypot(*budget.values()) / (one.energy_j * times)


@given(gain=shares, offset=shares, sampling=shares, edges=shares, clock=shares, relative=st.floats(1e-3, 0.05))
def test_so_many_repetitions_and_no_fewer_reach_the_uncertainty(relative: float, **budget: float) -> None:
    one = energy(**budget)
    if least_relative(one) >= relative:
        with pytest.raises(OutOfReach, match="calibrate") as refusal:
            repetitions_for(one, relative)
        assert refusal.value.reachable == pytest.approx(least_relative(one))
        return
    times = repetitions_for(one, relative)
    assert longer(one, times) <= relative * (1 + 1e-6)
    assert times == 1 or longer(one, times - 1) > relative * (1 - 1e-6)


def test_scatter_averages_out_and_gain_does_not() -> None:
    random = np.random.default_rng(1)
    windows = [energy(2.0 + scatter, gain=0.01, edges=0.05) for scatter in random.normal(0.0, 0.1, 400)]
    few, many = Repetition.of(windows[:20], 10, 0.01), Repetition.of(windows, 10, 0.01)
    assert many.call.energy_j == pytest.approx(0.2, rel=0.01)
    assert few.call.budget_j["gain"] == pytest.approx(many.call.budget_j["gain"]) == pytest.approx(0.001)
    assert many.call.budget_j["scatter"] == pytest.approx(0.01 / math.sqrt(400), rel=0.15)
    assert many.call.budget_j["scatter"] < 0.4 * few.call.budget_j["scatter"]
    assert "edges" not in many.call.budget_j, "its part is in the scatter already"


def test_three_windows_do_not_know_their_scatter() -> None:
    assert math.isinf(Repetition.of([energy(gain=0.0)] * 3, 1, 0.01).call.standard_uncertainty_j)
    assert Repetition.of([energy(gain=0.0)] * 4, 1, 0.01).reached


def test_what_is_left_above_idle_has_a_budget_of_its_own() -> None:
    one = replace(energy(gain=0.02), idle_subtracted_j=1.0, idle_subtracted_budget_j={"gain": 0.01, "baseline": 0.005})
    found = Repetition.of([one] * 5, 2, 0.01)
    assert found.idle_subtracted is not None
    assert found.idle_subtracted.energy_j == pytest.approx(0.5)
    assert found.idle_subtracted.budget_j["baseline"] == pytest.approx(0.0025)
