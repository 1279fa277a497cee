from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.contract import Network, Outcome, Task
from scheduler.rewards import REWARDS, PublishedReward, QosPenaltyReward

TASK = Task("photo", Network("n", 53, 1, 0, 10**9, 150_528), 0.05, 0.7, {"fp32": 0.76})
energies = st.floats(1e-4, 50.0)
latencies = st.floats(1e-4, 10.0)
accuracies = st.floats(0.0, 1.0)


@given(energies, latencies, accuracies)
def test_published_formula(energy_j: float, latency_s: float, accuracy: float) -> None:
    energy_mj, latency_ms, percent = energy_j * 1000, latency_s * 1000, accuracy * 100
    if percent < 70.0:
        expected = percent - 100
    elif latency_ms <= 50.0:
        expected = -energy_mj + 0.1 * latency_ms + 0.1 * percent
    else:
        expected = -energy_mj + 0.1 * percent
    assert PublishedReward()(TASK, Outcome(latency_s, energy_j, accuracy)) == pytest.approx(expected, abs=1e-9)


def test_published_formula_worked_by_hand() -> None:
    reward = PublishedReward()
    assert reward(TASK, Outcome(0.040, 0.100, 0.76)) == pytest.approx(-100 + 4.0 + 7.6)
    assert reward(TASK, Outcome(0.060, 0.100, 0.76)) == pytest.approx(-100 + 7.6)
    assert reward(TASK, Outcome(0.040, 0.100, 0.65)) == pytest.approx(-35)


def test_no_answer_is_worth_an_answer_of_accuracy_zero() -> None:
    failed = Outcome(1.0, 0.2, 0.76, failed=True)
    assert PublishedReward()(TASK, failed) == -100.0
    assert QosPenaltyReward()(TASK, failed) < QosPenaltyReward()(TASK, replace(failed, failed=False))


@given(energies, energies, st.floats(1e-3, 0.05), st.floats(1e-3, 0.05), st.floats(0.01, 100.0))
def test_the_repaired_reward_does_not_depend_on_the_scale_of_energy(
    a_j: float, b_j: float, a_s: float, b_s: float, scale: float
) -> None:
    reward = QosPenaltyReward()

    def difference(factor: float) -> float:
        return reward(TASK, Outcome(a_s, factor * a_j, 0.76)) - reward(TASK, Outcome(b_s, factor * b_j, 0.76))

    assert difference(scale) == pytest.approx(difference(1.0), abs=1e-9)


@given(st.floats(0.01, 1.0), st.floats(1.001, 900.0), st.floats(0.0501, 10.0))
def test_no_plausible_saving_buys_a_late_answer(energy_j: float, ratio: float, late_s: float) -> None:
    reward = QosPenaltyReward()
    in_time = reward(TASK, Outcome(0.049, energy_j * ratio, 0.76))
    late = reward(TASK, Outcome(late_s, energy_j, 0.76))
    assert in_time > late
    assert late > reward(TASK, Outcome(late_s, energy_j, 0.60))


def test_less_late_is_better() -> None:
    reward = QosPenaltyReward()
    assert reward(TASK, Outcome(0.06, 0.1, 0.76)) > reward(TASK, Outcome(0.08, 0.1, 0.76))


def test_rewards_refuse_what_they_cannot_weigh() -> None:
    with pytest.raises(ValueError, match="above 0 J"):
        QosPenaltyReward()(TASK, Outcome(0.01, 0.0, 0.76))
    with pytest.raises(ValueError, match="penalty must be above 1"):
        QosPenaltyReward(penalty=0.5)


def test_each_reward_goes_by_its_name() -> None:
    assert {name: reward().name for name, reward in REWARDS.items()} == {name: name for name in REWARDS}
