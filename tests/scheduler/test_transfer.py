from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler.bayesian import Bayesian
from scheduler.beliefs import BeliefsFileError, inherit, load_beliefs, save_beliefs
from scheduler.contract import Action
from scheduler.policies import build
from scheduler.priors import BOARD_PRIOR, REMOTE_PRIOR, WEIGHTS
from scheduler.qlearning import AutoScale
from scheduler.table import save_table
from scheduler.transfer import counterparts, kind, transfer_table

World = Any
OTHER = (
    Action("cpu", "fp32", 5e8),
    Action("cpu", "fp32", 2e9),
    Action("gpu", "int8", 1e9),
    Action("dsp", "int8"),
    Action("npu0", "fp16"),
    Action("cloud", "fp16"),
    Action("tape", "fp32"),
)


def test_actions_are_matched_by_kind_precision_and_relative_frequency(world: World) -> None:
    assert counterparts(world.actions, OTHER) == [
        Action("cpu", "fp32", 6e8),
        Action("cpu", "fp32", 1.4e9),
        Action("gpu", "fp16", 9e8),
        Action("dla0", "int8"),
        Action("dla0", "int8"),
        Action("cloud", "fp32"),
        None,
    ]
    assert kind("dla1") == kind("dla0") == kind("dsp") != kind("gpu")


def test_a_board_matches_itself(world: World) -> None:
    assert counterparts(world.actions, world.actions) == list(world.actions)


def test_a_transferred_table_chooses_the_counterpart_of_what_was_learnt(world: World, tmp_path: Path) -> None:
    state = world.state(world.task())
    trained = AutoScale(world.actions, 1, initial=-1000.0, epsilon=0.0)
    for _ in range(3):
        trained.update(state, Action("dla0", "int8"), world.run(state, Action("dla0", "int8")))
    moved = AutoScale.from_table(transfer_table(trained.table, OTHER[:4]), OTHER[:4], 1, epsilon=0.0)
    assert moved.select(state, OTHER[:4]) == Action("dsp", "int8")
    assert not transfer_table(trained.table, OTHER).codes[:, -1].any()
    save_table(tmp_path / "table", trained.table)
    built = build("autoscale-transferred", OTHER[:4], 1, {"table": str(tmp_path / "table"), "epsilon": 0.0})
    assert built.select(state, OTHER[:4]) == Action("dsp", "int8")


def _taught(world: World, trials: int = 60) -> Bayesian:
    policy = Bayesian(world.actions)
    tasks = [world.task(f"n{macs}", macs=macs) for macs in (200_000_000, 900_000_000, 3_000_000_000)]
    for i in range(trials):
        state, action = world.state(tasks[i % 3]), world.actions[i % len(world.actions)]
        policy.update(state, action, world.run(state, action))
    return policy


def test_beliefs_survive_the_disk(world: World, tmp_path: Path) -> None:
    beliefs = _taught(world).model.beliefs()
    save_beliefs(tmp_path / "beliefs.json", beliefs)
    assert load_beliefs(tmp_path / "beliefs.json") == beliefs


def test_inherited_beliefs_are_of_the_kind_and_cautious(world: World) -> None:
    beliefs = _taught(world).model.beliefs()
    cpu, gpu, dsp, npu, cloud, tape = inherit(beliefs, OTHER)
    slowness = WEIGHTS.index("slowness")
    assert cpu.latency == beliefs["cpu"].latency
    assert beliefs["cpu"].deviation[slowness] < cpu.deviation[slowness] < BOARD_PRIOR.deviation[slowness]
    assert cpu.deviation[0] == BOARD_PRIOR.deviation[0]
    assert dsp.latency == npu.latency == beliefs["dla0"].latency
    assert cloud.latency == beliefs["cloud"].latency
    assert all(a <= b for a, b in zip(cloud.deviation, REMOTE_PRIOR.deviation, strict=True))
    assert tape == BOARD_PRIOR
    assert gpu.latency == beliefs["gpu"].latency


def test_beliefs_of_a_slower_board_still_help(world: World, tmp_path: Path) -> None:
    """On a board half as fast the inherited responses must predict frequencies and sizes it never tried better."""
    save_beliefs(tmp_path / "beliefs.json", _taught(world).model.beliefs())
    slower = type(world)(speed_macs_per_s={key: 0.5 * speed for key, speed in world.speed_macs_per_s.items()})
    errors = []
    for name, options in (("bayesian", {}), ("bayesian-transferred", {"beliefs": str(tmp_path / "beliefs.json")})):
        policy = build(name, slower.actions, 1, options)
        assert isinstance(policy, Bayesian)
        seen = slower.state(slower.task("seen"))
        policy.update(seen, (action := Action("cpu", "fp32", 1.4e9)), slower.run(seen, action))
        unseen = slower.state(slower.task("unseen", macs=300_000_000))
        latency, _, _ = policy.model.predict(unseen)
        slow = Action("cpu", "int8", 6e8)
        truth_s = slower.spans(unseen, slow)[0]
        errors.append(abs(2.718281828 ** float(latency[slower.actions.index(slow)]) / truth_s - 1.0))
    assert errors[1] < 0.6 * errors[0]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "beliefs.json"
    with pytest.raises(BeliefsFileError, match="no such file"):
        load_beliefs(path)
    good = {"format": "processor-beliefs", "version": 1, "weights": list(WEIGHTS)}
    for content, message in (
        ("{", "damaged"),
        ("[]", "damaged"),
        (json.dumps(good | {"version": 9, "processors": {}}), "not version 1"),
        (
            json.dumps(good | {"processors": {"cpu": {"latency": [1], "power": [1], "deviation": [1]}}}),
            "needs 12 numbers",
        ),
        (json.dumps(good | {"processors": {"cpu": {}}}), "damaged"),
    ):
        path.write_text(content)
        with pytest.raises(BeliefsFileError, match=message):
            load_beliefs(path)
