"""The virtual board in virtual time: the law of the live one, and the same chance for everyone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from scheduler.contract import Action
from testbed.agent.contract import CoRun
from testbed.arena.contract import Job
from testbed.environments import ENVIRONMENTS, moments
from testbed.moment import Moment
from testbed.network.conditions import condition_at
from testbed.virtual import silicon
from testbed.virtual.config import PROFILES
from testbed.virtual.networks import work_of
from testbed.virtual.truth import Present, Request, Truth
from testbed.virtual.world import VirtualWorld, open_world

PI = PROFILES["raspberry-pi-5"]
SLOW, FAST = Action("cpu", "fp32", 1500e6), Action("cpu", "int8", 2400e6)
EDGE, CLOUD = Action("edge", "int8"), Action("cloud", "fp16")
ACTIONS = (SLOW, FAST, EDGE, CLOUD)
QUIET = Moment(0.0, 0.0, -58.0, -58.0)
BUSY = Moment(0.75, 0.2, -58.0, -58.0)


def air(rssi_dbm: float) -> Mapping[str, float]:
    return condition_at(rssi_dbm).as_air()


@pytest.fixture
def world() -> VirtualWorld:
    return open_world("raspberry-pi-5", ACTIONS, air, patience_s=0.6)


@pytest.mark.parametrize("moment", [QUIET, BUSY, replace(BUSY, rssi_dbm=-72.0), replace(QUIET, throttled=True)])
def test_what_is_drawn_has_the_true_means(world: VirtualWorld, photo: Job, moment: Moment) -> None:
    n = 4000
    episode = world.episode(photo, [moment] * n, [moment] * n, [1])
    for action, truth in episode.truths[0].items():
        samples = [episode.sample(trial, action) for trial in range(n)]
        latencies_s = np.array([sample.latency_s for sample in samples])
        assert latencies_s.mean() == pytest.approx(truth.latency_s, rel=0.02)
        assert np.mean([sample.energy_j for sample in samples]) == pytest.approx(truth.energy_j, rel=0.02)
        assert np.mean(latencies_s <= photo.task.qos_s) == pytest.approx(truth.p_qos, abs=0.02)


def test_the_truth_is_the_live_board_s(world: VirtualWorld, photo: Job) -> None:
    network, macs = photo.task.network.name, photo.task.network.macs
    request = Request(
        {p: work_of(network, p, macs, moved) for p, moved in photo.bytes_moved.items()},
        photo.up_bytes,
        photo.down_bytes,
    )
    load = CoRun(BUSY.co_cpu, BUSY.co_memory)
    airs = dict.fromkeys(("cloud", "edge"), world.air(-58.0))
    live = Truth(PI, lambda: Present(load, world.temperature_c(load), False, airs), lambda name: request)
    live.give_up_after("cloud", 0.6)
    live.give_up_after("edge", 0.6)
    episode = world.episode(photo, [BUSY], [BUSY], [1])
    assert [episode.truths[0][action] for action in ACTIONS] == live(photo.task, ACTIONS)


def test_an_inference_is_the_law_s(world: VirtualWorld, photo: Job) -> None:
    """The very numbers that one processor's law draws from the same stream."""
    episode = world.episode(photo, [BUSY] * 5, [BUSY] * 5, [7])
    latencies_s = [episode.sample(trial, SLOW).latency_s for trial in range(5)]
    work = work_of("mobilenet-v1", "fp32", photo.task.network.macs, photo.bytes_moved["fp32"])
    law = silicon.inference(PI, "cpu", work, "fp32", 1500e6, CoRun(0.75, 0.2), False)
    random = np.random.default_rng([7, 2])
    deviates, luck, length = random.standard_normal((5, 2)), random.random((5, 2)), random.random((5, 2))
    assert (luck[:, 0] > law.stalls.probability).all()
    assert length.shape == (5, 2)
    assert latencies_s == pytest.approx(law.busy_s * np.exp(law.deviation * deviates[:, 0] - law.deviation**2 / 2))


def test_chance_does_not_depend_on_who_asks_or_in_which_order(world: VirtualWorld, photo: Job) -> None:
    around = moments(ENVIRONMENTS["D3"], 30, np.random.default_rng(5))
    one, other = (world.episode(photo, around, around, [3]) for _ in range(2))
    assert one.states == other.states
    forth = {(t, action): one.sample(t, action) for t in range(30) for action in ACTIONS}
    back = {(t, action): other.sample(t, action) for t in reversed(range(30)) for action in reversed(ACTIONS)}
    assert forth == back
    another = world.episode(photo, around, around, [4])
    assert another.sample(0, CLOUD) != one.sample(0, CLOUD)


def test_a_weak_peer_link_slows_the_edge_alone(world: VirtualWorld, photo: Job) -> None:
    weak = moments(ENVIRONMENTS["S5"], 1, np.random.default_rng(0))
    episode, regular = world.episode(photo, weak, weak, [1]), world.episode(photo, [QUIET], [QUIET], [1])
    assert episode.truths[0][EDGE].latency_s > 5 * regular.truths[0][EDGE].latency_s
    assert episode.truths[0][CLOUD] == regular.truths[0][CLOUD]


def test_an_answer_that_never_comes_fails_after_the_client_s_patience(world: VirtualWorld, photo: Job) -> None:
    outage = replace(QUIET, rssi_dbm=-90.0)
    episode = world.episode(photo, [outage] * 3, [outage] * 3, [1])
    sample = episode.sample(0, CLOUD)
    assert sample.failed
    assert sample.latency_s == 0.6
    assert not episode.sample(0, EDGE).failed


def test_telemetry_is_the_board_s_and_may_be_told_less(world: VirtualWorld, photo: Job) -> None:
    n = 400
    episode = world.episode(photo, [BUSY] * n, [QUIET] * n, [1])
    signals = [state.rssi_dbm for state in episode.states]
    assert np.mean(signals) == pytest.approx(-58.0, abs=0.3)
    assert np.std(signals) == pytest.approx(1.5, abs=0.3)
    assert max(state.co_cpu for state in episode.states) < 0.05
    hidden, open_ = episode.truths[0][SLOW], world.episode(photo, [BUSY], [BUSY], [1]).truths[0][SLOW]
    assert hidden == open_
