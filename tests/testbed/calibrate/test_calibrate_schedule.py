from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results import StoreError
from testbed.calibrate.design import FULL, QUICK, Condition, conditions, spread
from testbed.calibrate.folder import Folder
from testbed.calibrate.measurement import Measurement, half_width_w
from testbed.calibrate.schedule import Schedule
from tests.testbed.calibrate.synthetic import HEADER, OFFER, PLAN, measured

ALL = conditions(PLAN, OFFER)


def carry_out(seed: int, done: list[Measurement], most: int, noise: float = 0.001) -> list[Measurement]:
    """Go on after `done`, with measurements that depend on nothing but their number."""
    done = list(done)
    schedule = Schedule(ALL, PLAN, seed)
    while len(done) < most and (due := schedule.next(done)) is not None:
        random = np.random.default_rng([seed, len(done)])
        done.append(replace(measured(due[0], random, noise), sentinel=due[1]))
    return done


@settings(max_examples=10)
@given(st.integers(0, 1000), st.integers(0, 120))
def test_a_calibration_that_broke_off_goes_on_as_it_would_have(seed: int, broke_off: int) -> None:
    whole = carry_out(seed, [], 10_000)
    assert carry_out(seed, carry_out(seed, [], broke_off), 10_000) == whole


def test_every_condition_is_measured_in_an_order_of_the_seed() -> None:
    one, other = carry_out(1, [], 10_000), carry_out(2, [], 10_000)

    for done in (one, other):
        counts = {condition: sum(m.condition == condition and not m.sentinel for m in done) for condition in ALL}
        assert set(counts.values()) <= {2, 3}
    assert [m.condition for m in one] != [m.condition for m in other]
    assert sum(m.sentinel for m in one) >= len(one) // (PLAN.sentinel_every + 1)


def test_what_scatters_is_measured_more_often() -> None:
    steady, scattered = carry_out(1, [], 10_000, noise=0.001), carry_out(1, [], 10_000, noise=0.2)
    assert len(steady) < len(scattered) <= 3 * len(ALL) * (1 + 1 / PLAN.sentinel_every) + 2


def test_the_time_left_follows_what_was_measured() -> None:
    schedule = Schedule(ALL, PLAN, 1)
    half = carry_out(1, [], len(ALL))
    assert schedule.left_s(half) < schedule.left_s([])
    assert schedule.total_left(carry_out(1, [], 10_000)) == 0
    slow = [replace(m, lasted_s=50.0) for m in half]
    assert schedule.left_s(slow) > 10 * schedule.left_s(half)


def test_power_modes_and_heat_come_last() -> None:
    offer = replace(OFFER, power_modes=("15W",))
    plan = replace(PLAN, thermal_s=10.0)
    done: list[Measurement] = []
    schedule = Schedule(conditions(plan, offer), plan, 1)
    while (due := schedule.next(done)) is not None:
        done.append(replace(measured(due[0], np.random.default_rng(len(done)), 0.001), sentinel=due[1]))

    tail = [m.condition for m in done if not m.sentinel][-3:]
    assert [condition.kind for condition in tail] == ["thermal", "idle", "idle"]
    assert [condition.power_mode for condition in tail] == [None, "15W", "15W"]


def test_a_plan_holds_out_conditions_of_every_target() -> None:
    for plan in (QUICK, FULL):
        offer = replace(OFFER, rates_bps=dict.fromkeys(plan.rssi_dbm, 2e6))
        found = conditions(plan, offer)
        assert len(set(found)) == len(found)
        assert {c.target for c in found if c.held_out and c.target} == {"cpu", "dla0", "cloud"}
        assert {c.network for c in found if c.held_out and c.kind == "network"} & set(plan.unseen_networks)
        assert any(c.held_out for c in found if c.kind == "cpu")
        assert not {c for c in found if c.held_out} & {replace(c, held_out=True) for c in found if not c.held_out}


@given(st.lists(st.floats(0, 1e10), min_size=1, max_size=30, unique=True).map(sorted), st.integers(1, 40))
def test_a_spread_keeps_both_ends(values: list[float], count: int) -> None:
    found = spread(values, count)
    assert len(found) == min(count, len(values))
    assert found[-1] == values[-1]
    assert found == sorted(set(found))
    if count > 1:
        assert found[0] == values[0]


def test_an_interval_narrows_with_repetition() -> None:
    assert half_width_w([1.0]) == float("inf")
    assert half_width_w([1.0, 1.1]) == pytest.approx(12.706 * 0.05, rel=1e-3)
    assert half_width_w([1.0, 1.1] * 8) < half_width_w([1.0, 1.1] * 2)


def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    one = measured(Condition("memory", memory=0.5), np.random.default_rng(1), 0.0)
    with Folder.create(tmp_path / "c", HEADER) as folder:
        folder.append(one)
        with pytest.raises(StoreError, match="in use"):
            Folder(folder.path)
    with (tmp_path / "c" / "measurements.jsonl").open("a") as file:
        file.write('{"condition": {"kind": "mem')

    with Folder(tmp_path / "c") as folder:
        assert folder.measurements == [one]
        folder.append(one)
    with Folder(tmp_path / "c") as folder:
        assert folder.measurements == [one, one]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no calibration"):
        Folder(tmp_path)
    Folder.create(tmp_path / "c", HEADER).__exit__(None, None, None)
    with pytest.raises(StoreError, match="exists"):
        Folder.create(tmp_path / "c", HEADER)
    (tmp_path / "c" / "measurements.jsonl").write_text(json.dumps({"condition": 1}) + "\n")
    with pytest.raises(StoreError, match="line 1"):
        Folder(tmp_path / "c")
