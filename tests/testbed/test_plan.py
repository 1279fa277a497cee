"""The plan: complete, seeded, blocked."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from testbed.arena.config import load_experiment
from testbed.config import Suite
from testbed.environments import SIGNAL_RANGE_DBM
from testbed.errors import BenchError
from testbed.plan import PlannedTrial, build_plan


def suite(**changes: object) -> Suite:
    return Suite.model_validate(
        {
            "name": "s",
            "workloads": [
                {"name": "a", "model": "resnet50", "qos_s": 0.05},
                {"name": "b", "model": "mobilebert", "qos_s": 0.1},
            ],
            "environments": ["S1", "S4", "D3"],
            "actions": ["cpu/fp32@max", "dla0/int8"],
            "policies": [{"name": "cloud", "trials": 7}, {"name": "autoscale", "trials": 11}],
            "repetitions": 3,
            "reference": {"action": "dla0/int8", "every": 5},
            **changes,
        }
    )


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert build_plan(suite(), 1) == build_plan(suite(), 1)
    assert build_plan(suite(), 1) != build_plan(suite(), 2)


def test_a_plan_survives_its_own_record() -> None:
    plan = build_plan(suite(), 3)
    assert [PlannedTrial.from_dict(trial.as_dict()) for trial in plan] == plan


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), trials=st.integers(1, 30), repetitions=st.integers(1, 5))
def test_every_policy_gets_all_its_trials_in_every_cell(seed: int, trials: int, repetitions: int) -> None:
    plan = build_plan(suite(policies=[{"name": "cloud", "trials": trials}], repetitions=repetitions), seed)
    cells = Counter((t.workload, t.environment) for t in plan if t.kind == "trial")
    assert cells == {(w, e): trials for w in "ab" for e in ("S1", "S4", "D3")}
    assert [t.index for t in plan] == list(range(len(plan)))


def test_a_block_holds_one_environment_and_each_round_visits_them_all() -> None:
    plan = build_plan(suite(), 1)
    visited = [{t.environment for t in group} for block, group in groupby(plan, lambda t: t.block) if block > 0]
    assert all(len(environments) == 1 for environments in visited)
    rounds = [set().union(*visited[i : i + 3]) for i in range(0, len(visited), 3)]
    assert rounds == [{"S1", "S4", "D3"}] * 3


def test_every_action_is_profiled_before_the_first_decision() -> None:
    plan = build_plan(suite(profile_trials=4), 1)
    first = next(t.index for t in plan if t.kind == "trial")
    profiled = Counter((t.workload, t.action) for t in plan if t.kind == "profile")
    assert all(t.index < first for t in plan if t.kind == "profile")
    assert profiled == {(w, a): 4 for w in "ab" for a in ("cpu/fp32@max", "dla0/int8")}


def test_the_reference_comes_back_every_k_decisions() -> None:
    plan = [t for t in build_plan(suite(), 1) if t.block == 1 and t.kind in ("trial", "reference")]
    for position, trial in enumerate(plan):
        assert (trial.kind == "reference") == (position % 6 == 0)


def test_only_a_varying_environment_varies_and_stays_within_the_table() -> None:
    plan = build_plan(suite(), 1)
    seen = {e: {t.surroundings for t in plan if t.environment == e and t.block > 0} for e in ("S1", "S4", "D3")}
    assert len(seen["S1"]) == len(seen["S4"]) == 1
    assert len(seen["D3"]) > 10
    assert all(SIGNAL_RANGE_DBM[0] <= moment.rssi_dbm <= SIGNAL_RANGE_DBM[1] for moment in seen["D3"])


def test_a_changing_co_runner_changes_within_its_block_and_a_steady_one_does_not() -> None:
    plan = [t for t in build_plan(suite(environments=["S2", "D2"]), 1) if t.block > 0]
    loads = {e: {t.surroundings.co_cpu for t in plan if t.environment == e} for e in ("S2", "D2")}
    assert loads["S2"] == {0.75}
    assert len(loads["D2"]) > 2


def test_a_trace_goes_on_from_block_to_block_and_is_on_the_plan(tmp_path: Path) -> None:
    (tmp_path / "bus.csv").write_text("time,rate\n" + "".join(f"{i},{i + 1}e6\n" for i in range(50)))
    bus = {"name": "bus", "trace": str(tmp_path / "bus.csv"), "trace_step_s": 2}
    plan = build_plan(suite(environments=["S1", bus]), 1)
    assert [PlannedTrial.from_dict(json.loads(json.dumps(trial.as_dict()))) for trial in plan] == plan
    rates = [t.surroundings.cloud.rate_up_bps for t in plan if t.environment == "bus" and t.surroundings.cloud]
    assert rates == [(2 * i % 50 + 1) * 1e6 for i in range(len(rates))]
    assert all(trial.surroundings.cloud is None for trial in plan if trial.environment == "S1")
    assert plan[-1].surroundings.rssi_dbm == round(plan[-1].surroundings.rssi_dbm)


def test_a_trace_and_a_signal_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="give either 'trace' or a signal"):
        suite(environments=[{"name": "bus", "trace": "bus.csv", "rssi_dbm": -70}])


def test_a_co_runner_is_pinned_niced_or_a_program_and_on_the_plan(tmp_path: Path) -> None:
    pinned = {"name": "pinned", "co_runner": {"cpu": "75 %", "cores": [2, 3], "nice": 5}}
    program = {"name": "program", "co_runner": {"command": ["mpg123", "a b.mp3"]}}
    plan = build_plan(suite(environments=[pinned, program]), 1)
    assert [PlannedTrial.from_dict(json.loads(json.dumps(trial.as_dict()))) for trial in plan] == plan
    asked = {t.environment: t.surroundings.co_runner() for t in plan}
    assert asked["pinned"] == {"cpu": 0.75, "memory": 0.0, "cores": [2, 3], "nice": 5}
    assert asked["program"] == {"command": ["mpg123", "a b.mp3"]}


def test_a_recording_goes_on_by_its_step_from_a_place_that_the_seed_draws(tmp_path: Path) -> None:
    (tmp_path / "rising.csv").write_text("time_s,cpu,memory\n" + "".join(f"{i},{i / 100},0\n" for i in range(100)))
    rising = {"name": "rising", "co_runner": {"replay": str(tmp_path / "rising.csv"), "replay_step_s": "2 s"}}
    plans = [build_plan(suite(environments=[rising]), seed) for seed in (1, 1, 2)]
    places = [[round(100 * t.surroundings.co_cpu) for t in plan if t.block == 1] for plan in plans]
    assert places[0] == places[1] != places[2]
    assert all((after - before) % 100 == 2 for before, after in pairwise(places[0]))


@pytest.mark.parametrize(
    ("co_runner", "said"),
    [
        ({"cpu": 0.5, "replay": "web-browser"}, "give either 'cpu' and 'memory', or 'replay', or 'command'"),
        ({"cpu": "150 %"}, "less than or equal to 1"),
        ({"cpu": "3 s"}, "a share is expected, such as '75 %'"),
        ({"cpu": 0.5, "cores": [1, 1]}, "one stands there twice"),
        ({"command": []}, "at least 1 item"),
    ],
)
def test_a_co_runner_is_asked_for_in_one_way(co_runner: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        suite(environments=[{"name": "e", "co_runner": co_runner}])


@pytest.mark.parametrize("co_runner", ["{command: [x]}", "{cpu: 0.5, cores: [0]}", "[{cpu: 0.5, nice: 3}]"])
def test_the_arena_knows_loads_alone(tmp_path: Path, co_runner: str) -> None:
    quick = (Path(__file__).parents[2] / "examples/arena/quick.yaml").read_text()
    loaded = quick.replace("[S1, S2, D3]", f"[{{name: e, co_runner: {co_runner}}}]")
    (tmp_path / "arena.yaml").write_text(loaded)
    with pytest.raises(BenchError, match="environment 'e': the arena's worlds know loads"):
        load_experiment(tmp_path / "arena.yaml")


def test_a_band_has_a_lower_end_and_an_upper() -> None:
    assert suite(thermal={"band_c": ["40 C", "55 °C"]}).thermal is not None
    with pytest.raises(ValidationError, match="give the lower temperature first"):
        suite(thermal={"band_c": [55, 40]})
    with pytest.raises(ValidationError, match="a temperature is expected, such as '55 C'"):
        suite(thermal={"band_c": ["40 s", 55]})
