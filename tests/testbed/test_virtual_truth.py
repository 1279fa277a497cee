from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from scheduler.contract import Action, Means, Network, Task
from testbed.agent.contract import CoRun
from testbed.virtual import silicon
from testbed.virtual.air import Air, round_trip
from testbed.virtual.config import PROFILES
from testbed.virtual.machines import MACHINES
from testbed.virtual.networks import ITEM_BYTES, NETWORKS, plain
from testbed.virtual.truth import PATIENCE_S, Present, Request, Truth

ALONE = CoRun(0.0, 0.0)
REGULAR = Air(-58.0, 49e6, 49e6, 0.003, 0.002, 0.0)
WEAK = Air(-82.0, 0.7e6, 0.7e6, 0.070, 0.053, 0.086)
OUTAGE = Air(-90.0, 0.0, 0.0, 0.08, 0.06, 0.1)
REQUEST_BYTES = {"efficientnet-lite0": (150_728, 4_200), "mobilebert": (2_036, 1_324)}


def request_of(name: str) -> Request:
    if name not in REQUEST_BYTES:
        raise LookupError(name)
    return Request({precision: NETWORKS[plain(name)].work(precision) for precision in ITEM_BYTES}, *REQUEST_BYTES[name])


def task(name: str, qos_s: float) -> Task:
    network = Network(name, 0, 0, 0, round(NETWORKS[plain(name)].mmacs * 1e6), 0)
    return Task(name, network, qos_s, accuracy_target=0.0, accuracy={})


CAMERA = task("efficientnet-lite0", 0.0333)
TRANSLATION = task("mobilebert", 0.1)


def means(
    board: str, task: Task, actions: Sequence[Action], co_run: CoRun = ALONE, air: Air = REGULAR
) -> Sequence[Means]:
    present = Present(co_run, 45.0, False, {"cloud": air, "edge": air})
    return Truth(PROFILES[board], lambda: present, request_of)(task, actions)


def best(board: str, task: Task, actions: Sequence[Action], co_run: CoRun = ALONE, air: Air = REGULAR) -> Action:
    truths = means(board, task, actions, co_run, air)
    in_time = [(truth.energy_j, action) for truth, action in zip(truths, actions, strict=True) if truth.p_qos >= 0.99]
    return min(in_time)[1]


@pytest.mark.parametrize("co_run", [ALONE, CoRun(0.75, 0.2)])
def test_local_means_are_those_of_the_law_drawn(co_run: CoRun) -> None:
    profile = PROFILES["raspberry-pi-5"]
    inference = silicon.inference(
        profile, "cpu", NETWORKS["efficientnetlite0"].work("fp32"), "fp32", 1500e6, co_run, False
    )
    draws = inference.draw(np.random.default_rng(9), 200_000)
    latencies_s = inference.latency_s(draws)
    energies_j = silicon.base_power_w(profile, co_run, 45.0) * latencies_s + inference.extra_j(draws)
    (truth,) = means("raspberry-pi-5", CAMERA, [Action("cpu", "fp32", 1500e6)], co_run)
    assert truth.latency_s == pytest.approx(latencies_s.mean(), rel=3e-3)
    assert truth.energy_j == pytest.approx(energies_j.mean(), rel=3e-3)
    assert truth.p_qos == pytest.approx(np.mean(latencies_s <= CAMERA.qos_s), abs=4e-3)


def test_remote_means_are_those_of_air_and_server_drawn() -> None:
    random = np.random.default_rng(10)
    service_s = MACHINES["a30"].service_s(random, TRANSLATION.network.macs, "fp16", 100_000)
    trip = round_trip(random, REGULAR, *REQUEST_BYTES["mobilebert"], service_s, 100_000)
    latencies_s = trip.transmit_s + trip.wait_s + trip.receive_s
    (truth,) = means("raspberry-pi-5", TRANSLATION, [Action("cloud", "fp16")])
    assert truth.latency_s == pytest.approx(latencies_s.mean(), rel=0.03)
    radio = PROFILES["raspberry-pi-5"].radio
    expected_j = (
        silicon.base_power_w(PROFILES["raspberry-pi-5"], ALONE, 45.0) * latencies_s
        + (radio.transmit_w(-58.0) - radio.idle_w) * trip.transmit_s
        + (radio.receive_w(-58.0) - radio.idle_w) * trip.receive_s
    )
    assert truth.energy_j == pytest.approx(expected_j.mean(), rel=0.03)


def test_the_edge_is_the_slower_server() -> None:
    cloud, edge = means("raspberry-pi-5", TRANSLATION, [Action("cloud", "fp16"), Action("edge", "fp16")])
    assert edge.latency_s > cloud.latency_s


def test_the_same_moment_has_the_same_truth() -> None:
    actions = [Action("cloud", "fp16"), Action("cpu", "int8", 2400e6)]
    assert means("raspberry-pi-5", TRANSLATION, actions) == means("raspberry-pi-5", TRANSLATION, actions)


def test_an_outage_lasts_as_long_as_the_client_waits() -> None:
    (truth,) = means("raspberry-pi-5", TRANSLATION, [Action("cloud", "fp16")], air=OUTAGE)
    assert truth.latency_s == pytest.approx(PATIENCE_S)
    assert truth.p_qos == 0.0
    assert truth.energy_j > PATIENCE_S * PROFILES["raspberry-pi-5"].idle_w


def test_a_network_nobody_loaded_has_no_truth() -> None:
    with pytest.raises(LookupError):
        means("raspberry-pi-5", task("resnet50", 0.05), [Action("cpu", "fp32")])


def test_on_the_pi_a_weak_signal_brings_offloaded_work_home() -> None:
    actions = [Action("cpu", "int8", 2400e6), Action("cpu", "fp32", 2400e6), Action("cloud", "fp16")]
    assert best("raspberry-pi-5", TRANSLATION, actions).target == "cloud"
    assert best("raspberry-pi-5", TRANSLATION, actions, air=WEAK) == actions[0]


def test_on_the_jetson_a_co_runner_makes_haste_pay() -> None:
    actions = [Action("gpu", "fp16", 612e6), Action("gpu", "fp16", 1300.5e6), Action("dla0", "fp16")]
    assert best("jetson-agx-orin", CAMERA, actions).frequency_hz == 612e6
    assert best("jetson-agx-orin", CAMERA, actions, CoRun(0.75, 0.2)).frequency_hz == 1300.5e6


def test_on_the_jetson_the_dla_wins_until_memory_is_busy() -> None:
    actions = [Action("gpu", "int8", 612e6), Action("dla0", "int8")]
    assert best("jetson-agx-orin", CAMERA, actions).target == "dla0"
    assert best("jetson-agx-orin", CAMERA, actions, CoRun(0.1, 0.75)).target == "gpu"
