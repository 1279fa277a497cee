from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scheduler.contract import Action
from scheduler.estimator import PROPOSED_CURVE, Estimator, NotCalibratedError
from scheduler.profile import ProfileRecord

World = Any


def _flat(rssi_dbm: float) -> float:
    return 1.0


def _records(world: World, **conditions: float) -> list[ProfileRecord]:
    tasks = [world.task("small", macs=300_000_000), world.task("large", macs=2_000_000_000)]
    return [world.meter(world.state(task, **conditions), action) for task in tasks for action in world.actions]


def test_a_noiseless_profile_gives_the_worlds_energies_back(world: World) -> None:
    world.noise = 0.0
    records = _records(world) + _records(world, co_cpu=0.6) + _records(world, co_memory=0.7, rssi_dbm=-70.0)
    estimator = Estimator.fit(records, world.idle_w, _flat)
    unseen = world.task("unseen", macs=900_000_000)
    for state in (world.state(unseen), world.state(unseen, co_cpu=0.3, co_memory=0.2, rssi_dbm=-66.0)):
        for action in world.actions:
            latency_s, transmit_s, receive_s = world.spans(state, action)
            estimated_j = estimator.energy_j(state, action, latency_s, transmit_s, receive_s)
            assert estimated_j == pytest.approx(world.energy_j(state, action), rel=0.01), action


def test_noise_averages_out(world: World) -> None:
    world.noise = 0.05
    records = [record for _ in range(20) for record in _records(world)]
    estimator = Estimator.fit(records, world.idle_w, _flat)
    assert estimator.relative_error(records) < 0.06
    world.noise = 0.0
    assert estimator.relative_error(_records(world)) < 0.03


def test_the_three_equations(world: World) -> None:
    state = world.state(world.task())
    cpu, dla, cloud = Action("cpu", "fp32", 1e9), Action("dla0", "int8"), Action("cloud", "fp32")
    records = [
        ProfileRecord(state, cpu, 0.1, 0.0, 0.0, 0.8),
        ProfileRecord(state, dla, 0.2, 0.0, 0.0, 1.0),
        ProfileRecord(state, cloud, 0.1, 0.04, 0.01, 0.3 + 0.04 * 1.5 + 0.01 * 0.5),
        ProfileRecord(state, cloud, 0.2, 0.05, 0.1, 0.6 + 0.05 * 1.5 + 0.1 * 0.5),
    ]
    estimator = Estimator.fit(records, 3.0, _flat)
    assert estimator.energy_j(state, cpu, 0.05, 0.0, 0.0) == pytest.approx(0.05 * 8.0)
    assert estimator.energy_j(state, dla, 0.05, 0.0, 0.0) == pytest.approx(0.05 * 5.0)
    tx_w, rx_w, idle_w = 4.5, 3.5, 3.0
    expected_j = tx_w * 0.02 + rx_w * 0.01 + idle_w * (0.09 - 0.03)
    assert estimator.energy_j(state, cloud, 0.09, 0.02, 0.01) == pytest.approx(expected_j)


def test_transmit_power_follows_the_declared_curve_from_the_calibrated_signal(world: World) -> None:
    cloud = Action("cloud", "fp32")
    here, there = world.state(world.task(), rssi_dbm=-60.0), world.state(world.task(), rssi_dbm=-75.0)
    estimator = Estimator.fit(
        [ProfileRecord(here, cloud, 0.1, 0.05, 0.0, 0.3 + 0.05 * 2.0)], 3.0, lambda rssi_dbm: rssi_dbm / -30.0
    )
    assert estimator.energy_j(here, cloud, 0.1, 0.05, 0.0) == pytest.approx(0.4)
    assert estimator.energy_j(there, cloud, 0.1, 0.05, 0.0) == pytest.approx(0.3 + 0.05 * 2.0 * 75 / 60)


def test_each_remote_target_has_its_own_signal(world: World) -> None:
    cloud, edge = Action("cloud", "fp32"), Action("edge", "fp32")
    near = world.state(world.task(), rssi_dbm=-50.0, peer_rssi_dbm=-50.0)
    records = [ProfileRecord(near, action, 0.1, 0.05, 0.0, 0.4) for action in (cloud, edge)]
    estimator = Estimator.fit(records, 3.0, lambda rssi_dbm: -rssi_dbm)
    far = replace(near, peer_rssi_dbm=-80.0)
    assert estimator.energy_j(far, cloud, 0.1, 0.05, 0.0) == pytest.approx(0.4)
    assert estimator.energy_j(far, edge, 0.1, 0.05, 0.0) > 0.45


def test_the_proposed_curve_charges_a_weak_signal_through_time_not_twice() -> None:
    powers = [PROPOSED_CURVE(rssi_dbm) for rssi_dbm in np.arange(-95.0, -30.0, 2.5)]
    assert PROPOSED_CURVE(-48.0) == 1.0
    assert min(powers) > 0.9
    assert max(powers) < 1.1
    per_bit = [
        PROPOSED_CURVE(r) / rate for r, rate in zip(PROPOSED_CURVE.rssi_dbm, PROPOSED_CURVE.goodput_bps, strict=True)
    ]
    assert [energy / per_bit[-1] for energy in per_bit] == pytest.approx(PROPOSED_CURVE.energy_per_bit)


def test_between_two_profiled_frequencies_power_is_interpolated(world: World) -> None:
    state = world.state(world.task())
    records = [
        ProfileRecord(state, Action("cpu", "fp32", 1e9), 0.1, 0.0, 0.0, 0.5),
        ProfileRecord(state, Action("cpu", "fp32", 2e9), 0.1, 0.0, 0.0, 0.9),
    ]
    estimator = Estimator.fit(records, 3.0)
    assert estimator.energy_j(state, Action("cpu", "fp32", 1.5e9), 0.1, 0.0, 0.0) == pytest.approx(0.7)
    with pytest.raises(NotCalibratedError, match="cpu fp32 at 2500 MHz"):
        estimator.energy_j(state, Action("cpu", "fp32", 2.5e9), 0.1, 0.0, 0.0)


def test_what_was_never_profiled_is_named(world: World) -> None:
    state = world.state(world.task())
    estimator = Estimator.fit([ProfileRecord(state, Action("cpu", "fp32", 1e9), 0.1, 0.0, 0.0, 0.5)], 3.0)
    with pytest.raises(NotCalibratedError, match="dla0 int8; meter a profile trial"):
        estimator.energy_j(state, Action("dla0", "int8"), 0.1, 0.0, 0.0)
    with pytest.raises(NotCalibratedError, match="cloud transmit"):
        estimator.energy_j(state, Action("cloud", "fp32"), 0.1, 0.05, 0.0)
    with pytest.raises(NotCalibratedError, match="no profile trials"):
        Estimator.fit([], 3.0)


def test_no_power_falls_below_idle(world: World) -> None:
    state = world.state(world.task())
    cloud = Action("cloud", "fp32")
    records = [
        ProfileRecord(state, cloud, 0.1, 0.05, 0.02, 0.35),
        ProfileRecord(state, cloud, 0.1, 0.05, 0.04, 0.33),
    ]
    estimator = Estimator.fit(records, 3.0, _flat)
    assert min(estimator.excess_power_w.values()) == 0.0
    assert estimator.energy_j(state, cloud, 0.1, 0.05, 0.03) == pytest.approx(0.34, rel=0.05)
