"""The virtual radio between the real client and a real server: the plan is the law's, and what is seen keeps to it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, Session, TargetFailed
from testbed.agent.targets.kserve import RemoteTarget
from testbed.agent.targets.kserve_http import encode_request
from testbed.serve import InferenceServer
from testbed.virtual.air import Air, download_s, one_way_s, upload_s
from testbed.virtual.radio import Radio

BRISK = Air(rssi_dbm=-58, rate_up_bps=200e6, rate_down_bps=200e6, delay_s=0.002, jitter_s=0.001, loss=0.0)
OUTAGE = replace(BRISK, rate_up_bps=0.0)


class Curve:
    idle_w = 0.25

    def transmit_w(self, rssi_dbm: float) -> float:
        return 1.25 - rssi_dbm / 100

    def receive_w(self, rssi_dbm: float) -> float:
        return 1.0


class Plays:
    """What the radio was told to draw."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, float, float]] = []

    def __call__(self, start_ns: int, phases: Sequence[tuple[float, float]]) -> None:
        for duration_s, power_w in phases:
            self.pieces.append((start_ns, duration_s, power_w))
            start_ns += round(duration_s * 1e9)

    def total_s(self, power_w: float) -> float:
        return sum(duration_s for _, duration_s, power in self.pieces if power == pytest.approx(power_w))


def session(radio: Radio, model: Model, timeout_s: float = 10.0) -> Session:
    return RemoteTarget(radio.url, MonotonicClock(), timeout_s).load(model, "fp32")


def test_the_plan_is_drawn_from_the_law(server: InferenceServer, mean_model: Model) -> None:
    law = np.random.default_rng(3)
    with Radio(server.url, Curve(), Plays(), BRISK, seed=3) as radio:
        remote = session(radio, mean_model)
        for tensors in mean_model.inputs:
            remote.run(tensors)
        remote.close()
        trips = list(radio.trips)
    assert len(trips) == 2
    for trip in trips:
        assert trip.up_bytes == sum(map(len, encode_request(mean_model.inputs[0])))
        upload = upload_s(law, BRISK, trip.up_bytes, 1)[0]
        up_delay, down_delay = one_way_s(law, BRISK, 2)
        download = download_s(law, BRISK, trip.down_bytes, 1)[0]
        assert (trip.sent_ns - trip.start_ns) * 1e-9 == pytest.approx(upload, abs=1e-9)
        assert (trip.arrived_ns - trip.sent_ns) * 1e-9 == pytest.approx(up_delay, abs=1e-9)
        assert (trip.answered_ns - trip.replied_ns) * 1e-9 >= down_delay - 1e-9
        assert (trip.received_ns - trip.answered_ns) * 1e-9 == pytest.approx(download, abs=1e-9)
        assert trip.replied_ns > trip.arrived_ns


def test_what_the_client_sees_never_runs_ahead_of_the_plan(server: InferenceServer, mean_model: Model) -> None:
    with Radio(server.url, Curve(), Plays(), BRISK, seed=4) as radio:
        remote = session(radio, mean_model)
        for tensors in mean_model.inputs * 2:
            result = remote.run(tensors)
            np.testing.assert_allclose(result.outputs["mean"], tensors["image"].mean((2, 3)), rtol=1e-5)
            trip = radio.trips[-1]
            spans = {span.name: span for span in result.spans}  # of two named "wait", the later
            transmit, wait, receive = spans["transmit"], spans["wait"], spans["receive"]
            assert transmit.start_ns <= trip.start_ns
            assert transmit.end_ns >= trip.sent_ns  # the client notices that its bytes leave slowly
            assert wait.end_ns >= trip.answered_ns
            assert receive.end_ns >= trip.received_ns
        remote.close()


def test_bytes_pass_intact_at_any_size(server: InferenceServer) -> None:
    rng = np.random.default_rng(8)
    with Radio(server.url, Curve(), Plays(), replace(BRISK, rate_up_bps=2e9), seed=5) as radio:
        names = {"fp32": "f4", "fp16": "f2", "int8": "i1", "uint8": "u1", "int64": "i8"}
        remote = session(radio, Model("echo", {}, 0, {}, []))
        for rows in (1, 100, 4000, 30_000):
            inputs = {f"{name}_in": rng.integers(0, 99, (rows, 2)).astype(dtype) for name, dtype in names.items()}
            outputs = remote.run(inputs).outputs
            for name in names:
                np.testing.assert_array_equal(outputs[f"{name}_out"], inputs[f"{name}_in"])
        assert radio.trips[-1].down_bytes > 900_000
        remote.close()


def test_the_radio_draws_power_while_it_sends_and_receives(server: InferenceServer, mean_model: Model) -> None:
    plays = Plays()
    slow = replace(BRISK, rate_up_bps=30e6)
    with Radio(server.url, Curve(), plays, slow, seed=6) as radio:
        remote = session(radio, mean_model)
        remote.run(mean_model.inputs[0])
        remote.close()
        (trip,) = radio.trips
    sending_w, receiving_w = 1.25 + 0.58 - 0.25, 1.0 - 0.25
    assert plays.total_s(sending_w) == pytest.approx((trip.sent_ns - trip.start_ns) * 1e-9, abs=1e-6)
    assert plays.total_s(receiving_w) == pytest.approx((trip.received_ns - trip.answered_ns) * 1e-9, abs=1e-6)
    sent = [piece for piece in plays.pieces if piece[2] == pytest.approx(sending_w)]
    assert len(sent) > 1  # in pieces, without gaps
    assert sent[0][0] == trip.start_ns
    for earlier, later in pairwise(sent):
        assert earlier[0] + round(earlier[1] * 1e9) == later[0]


def test_new_air_takes_effect_with_the_next_request(server: InferenceServer, mean_model: Model) -> None:
    with Radio(server.url, Curve(), Plays(), BRISK, seed=7) as radio:
        remote = session(radio, mean_model)
        remote.run(mean_model.inputs[0])
        slower = replace(BRISK, rate_up_bps=60e6)
        radio.set_air(slower)
        remote.run(mean_model.inputs[0])
        remote.close()
        assert [trip.air for trip in radio.trips] == [BRISK, slower]


@pytest.mark.parametrize("way", ["up", "down"])
def test_in_an_outage_nothing_passes_until_the_client_gives_up(
    server: InferenceServer, mean_model: Model, way: str
) -> None:
    plays = Plays()
    outage = OUTAGE if way == "up" else replace(BRISK, rate_down_bps=0.0)
    with Radio(server.url, Curve(), plays, outage, seed=9) as radio:
        remote = session(radio, mean_model, timeout_s=0.2)
        with pytest.raises(TargetFailed, match="no answer in time"):
            remote.run(mean_model.inputs[0])
        radio.set_air(BRISK)
        assert remote.run(mean_model.inputs[0]).outputs["mean"].shape == (1, 3)
        remote.close()
    tried_w = 1.58 if way == "up" else 0.75
    assert plays.total_s(tried_w) >= 0.1


def test_a_dead_server_is_passed_on(mean_model: Model, engines: dict[str, Any]) -> None:
    with InferenceServer(engines) as server:
        radio = Radio(server.url, Curve(), Plays(), BRISK, seed=1)
        with radio:
            remote = session(radio, mean_model)
            remote.run(mean_model.inputs[0])
            server.refuse()
            with pytest.raises(TargetFailed):
                remote.run(mean_model.inputs[0])
            with pytest.raises(TargetFailed):
                remote.run(mean_model.inputs[0])
            remote.close()


def test_a_server_that_dies_over_a_request_is_passed_on(mean_model: Model, engines: dict[str, Any]) -> None:
    def die(model: str, received_ns: int) -> None:
        server.refuse()

    with (
        InferenceServer(engines, before_reply=die) as server,
        Radio(server.url, Curve(), Plays(), BRISK, seed=1) as radio,
    ):
        remote = session(radio, mean_model)
        with pytest.raises(TargetFailed, match="closed"):
            remote.run(mean_model.inputs[0])
        assert not radio.trips
        remote.close()


def test_a_hanging_server_is_passed_on(mean_model: Model, engines: dict[str, Any]) -> None:
    def hang(model: str, received_ns: int) -> None:
        server.stopping.wait()

    with (
        InferenceServer(engines, before_reply=hang) as server,
        Radio(server.url, Curve(), Plays(), BRISK, seed=1) as radio,
    ):
        remote = session(radio, mean_model, timeout_s=0.3)
        with pytest.raises(TargetFailed, match="no answer in time"):
            remote.run(mean_model.inputs[0])
        remote.close()


def test_leaving_ends_requests_under_way_and_every_thread(server: InferenceServer, mean_model: Model) -> None:
    failures: list[BaseException] = []
    begun = threading.Event()

    def play(start_ns: int, phases: Sequence[tuple[float, float]]) -> None:
        begun.set()

    def run() -> None:
        try:
            remote.run(mean_model.inputs[0])
        except TargetFailed as failure:
            failures.append(failure)

    before = set(threading.enumerate())
    with Radio(server.url, Curve(), play, OUTAGE, seed=1) as radio:
        remote = session(radio, mean_model)
        client = threading.Thread(target=run)
        client.start()
        assert begun.wait(10)
    client.join(10)
    remote.close()
    assert len(failures) == 1
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("radio")]


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "127.0.0.1:1"])
def test_only_plain_http_passes(url: str) -> None:
    with pytest.raises(ValueError, match="http://host:port only"):
        Radio(url, Curve(), Plays(), BRISK, seed=1)
