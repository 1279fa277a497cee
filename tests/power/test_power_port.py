from __future__ import annotations

import os
import tty
from collections.abc import Iterator

import pytest

from power import MonitorGone, PortBusy, PortMissing
from power.port import Port


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """The far end of a serial line, and the path of the near one."""
    master, slave = os.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    os.close(slave)
    yield master, path
    os.close(master)


def test_everything_that_has_arrived_is_read(line: tuple[int, str]) -> None:
    far_end, path = line
    with Port(path, 115200) as port:
        os.write(far_end, b"abc")
        received = b""
        while len(received) < 3:
            received += port.read(1.0)
        assert received == b"abc"
        assert port.read(0.0) == b""
        port.write(b"xyz")
        assert os.read(far_end, 10) == b"xyz"


def test_a_second_opener_is_told_that_the_port_is_busy(line: tuple[int, str]) -> None:
    _, path = line
    with Port(path, 115200), pytest.raises(PortBusy, match=path):
        Port(path, 115200)


def test_a_closed_port_is_free_again(line: tuple[int, str]) -> None:
    _, path = line
    port = Port(path, 115200)
    port.close()
    port.close()
    with Port(path, 115200):
        pass


def test_an_absent_port_is_named() -> None:
    with pytest.raises(PortMissing, match="/dev/ttyNONE7"):
        Port("/dev/ttyNONE7", 115200)


@pytest.mark.parametrize("act", [lambda port: port.read(10.0), lambda port: port.write(b"x")])
def test_a_vanished_device_raises_and_does_not_hang(act: object) -> None:
    master, slave = os.openpty()
    path = os.ttyname(slave)
    os.close(slave)
    with Port(path, 115200) as port:
        os.close(master)
        with pytest.raises(MonitorGone, match=path):
            act(port)  # type: ignore[operator]
