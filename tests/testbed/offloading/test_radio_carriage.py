"""The virtual radio where a kernel shapes the way: bytes pass as it lets them, and the radio draws power meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from testbed.agent.clock import MonotonicClock
from testbed.agent.contract import Model, Session, TargetFailed
from testbed.agent.targets.kserve import RemoteTarget
from testbed.serve import InferenceServer
from testbed.virtual.air import Air
from testbed.virtual.carriage import Carriage
from testbed.virtual.radio import Play, Radio

AIR = Air(rssi_dbm=-58, rate_up_bps=1e3, rate_down_bps=1e3, delay_s=0.0, jitter_s=0.0, loss=0.5)
"""a law by which nothing here would end in time"""
UP_W, DOWN_W, IDLE_W = 1.5, 1.0, 0.25
SEEN_S = 0.03


class Curve:
    idle_w = IDLE_W

    def transmit_w(self, rssi_dbm: float) -> float:
        return UP_W

    def receive_w(self, rssi_dbm: float) -> float:
        return DOWN_W


class Plays:
    """What the radio was told to draw."""

    def __init__(self) -> None:
        self.drawn_s = {UP_W: 0.0, DOWN_W: 0.0}
        self.seen = {power: threading.Event() for power in self.drawn_s}
        """set once a power was drawn for `SEEN_S`"""

    def __call__(self, start_ns: int, phases: list[tuple[float, float]]) -> None:
        for duration_s, extra_w in phases:
            power_w = extra_w + IDLE_W
            self.drawn_s[power_w] += duration_s
            if self.drawn_s[power_w] >= SEEN_S:
                self.seen[power_w].set()


def radio(url: str, play: Play) -> Radio:
    return Radio(url, Curve(), play, AIR, seed=1, carrier=Carriage)


def session(through: Radio, model: Model, timeout_s: float = 20.0) -> Session:
    return RemoteTarget(through.url, MonotonicClock(), timeout_s).load(model, "fp32")


def test_bytes_pass_intact_at_any_size_and_at_no_time_of_the_law(server: InferenceServer) -> None:
    rng = np.random.default_rng(8)
    with radio(server.url, Plays()) as through:
        names = {"fp32": "f4", "fp16": "f2", "int8": "i1", "uint8": "u1", "int64": "i8"}
        remote = session(through, Model("echo", {}, 0, {}, []))
        for rows in (1, 4000, 25_000):
            inputs = {f"{name}_in": rng.integers(0, 99, (rows, 2)).astype(dtype) for name, dtype in names.items()}
            outputs = remote.run(inputs).outputs
            for name in names:
                np.testing.assert_array_equal(outputs[f"{name}_out"], inputs[f"{name}_in"])
        remote.close()
        assert [trip.up_bytes > 800_000 for trip in through.trips] == [False, False, True]


@contextmanager
def slow_server() -> Iterator[tuple[str, socket.socket]]:
    """One that has room for few bytes, and reads none by itself."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", listener


def read(connection: socket.socket, n_bytes: int) -> None:
    while n_bytes > 0:
        n_bytes -= len(connection.recv(1 << 16))


def test_the_radio_draws_for_as_long_as_bytes_are_under_way(mean_model: Model) -> None:
    plays = Plays()
    with slow_server() as (url, listener), radio(url, plays) as through, ThreadPoolExecutor(1) as client:
        remote = session(through, mean_model)
        running = client.submit(remote.run, mean_model.inputs[0])
        connection, _ = listener.accept()
        with connection:
            assert plays.seen[UP_W].wait(10)
            body = mean_model.inputs[0]["image"].nbytes
            read(connection, body)
            connection.sendall(b"HTTP/1.1 503 x\r\nContent-Length: 20\r\n\r\n" + bytes(10))
            assert plays.seen[DOWN_W].wait(10)
            sent_s = plays.drawn_s[UP_W]
            connection.sendall(bytes(10))
            with pytest.raises(TargetFailed, match="503"):
                running.result(10)
        remote.close()
        (trip,) = through.trips
    assert trip.down_bytes == 20
    assert plays.drawn_s[UP_W] == sent_s == pytest.approx((trip.sent_ns - trip.start_ns) * 1e-9, abs=0.02)
    assert plays.drawn_s[DOWN_W] == pytest.approx((trip.received_ns - trip.answered_ns) * 1e-9, abs=0.02)


def test_what_an_acknowledgement_takes_is_no_sending(server: InferenceServer, mean_model: Model) -> None:
    plays = Plays()
    with radio(server.url, plays) as through:
        through.set_air(replace(AIR, delay_s=60.0))
        remote = session(through, mean_model)
        remote.run(mean_model.inputs[0])
        remote.close()
    assert plays.drawn_s[UP_W] == 0.0


def test_a_client_that_gives_up_stops_the_radio(mean_model: Model) -> None:
    plays = Plays()
    with slow_server() as (url, listener), radio(url, plays) as through:
        remote = session(through, mean_model, timeout_s=0.1)
        with pytest.raises(TargetFailed, match="no answer in time"):
            remote.run(mean_model.inputs[0])
        connection, _ = listener.accept()
        with connection, pytest.raises(ConnectionResetError):
            read(connection, 1 << 30)
        remote.close()
    assert plays.drawn_s[UP_W] >= 0.05


def test_a_server_that_closes_is_passed_on(mean_model: Model) -> None:
    with slow_server() as (url, listener), radio(url, Plays()) as through, ThreadPoolExecutor(1) as client:
        remote = session(through, mean_model)
        running = client.submit(remote.run, mean_model.inputs[0])
        listener.accept()[0].close()
        with pytest.raises(TargetFailed):
            running.result(10)
        remote.close()
        assert not through.trips
