"""The Wi-Fi signal, from what a kernel said.

As Linux 6.1 gave it: `nl80211_*.json` hold each request with the kernel's datagrams, `proc_net_wireless.txt` its file,
of a station of mac80211_hwsim that receives an access point at -58 dBm, and of the same without a connection.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.wireless import rssi_dbm

HERE = Path(__file__).parent
PROC = HERE / "proc_net_wireless.txt"
NOWHERE = HERE / "not-there"
NO_FAMILY = bytes.fromhex("24000000020000000000000000000000feffffff20000000100005000000000000000000")
"""NLMSG_ERROR with ENOENT: a kernel without cfg80211"""

Talk = Mapping[bytes, list[bytes]]


def talk(name: str) -> dict[bytes, list[bytes]]:
    captured = json.loads((HERE / f"nl80211_{name}.json").read_text())
    return {bytes.fromhex(each["request"]): [bytes.fromhex(answer) for answer in each["answers"]] for each in captured}


def kernel(answers: Talk) -> Callable[[], socket.socket]:
    """Opens a socket whose far end answers each request as captured, and any other as a kernel that refuses."""

    def serve(far: socket.socket) -> None:
        with far, suppress(OSError):  # the near end may leave before all is said
            while request := far.recv(1 << 16):
                for datagram in answers.get(request, [NO_FAMILY]):
                    far.send(datagram)

    def connect() -> socket.socket:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(target=serve, args=(far,), daemon=True).start()
        return near

    return connect


def test_the_signal_of_the_access_point_is_read() -> None:
    assert rssi_dbm(NOWHERE, kernel(talk("connected"))) == -58.0


def test_a_station_without_a_connection_has_no_signal() -> None:
    assert rssi_dbm(NOWHERE, kernel(talk("disconnected"))) is None


def test_the_kernels_own_file_says_the_same() -> None:
    assert rssi_dbm(PROC, None) == -58.0


def test_without_nl80211_the_older_interface_is_read() -> None:
    assert rssi_dbm(PROC, kernel({})) == -58.0


def test_without_any_there_is_no_signal() -> None:
    assert rssi_dbm(NOWHERE, kernel({})) is None


def test_a_kernel_without_netlink_is_no_failure() -> None:
    def refuse() -> socket.socket:
        raise OSError(93, "Protocol not supported")

    assert rssi_dbm(PROC, refuse) == -58.0


@given(st.data())
def test_a_mangled_answer_is_never_a_failure(data: st.DataObject) -> None:
    answers = talk("connected")
    request = data.draw(st.sampled_from(sorted(answers)))
    datagram = bytearray(answers[request][0])
    for _ in range(data.draw(st.integers(1, 4))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    answers[request][0] = bytes(datagram[: data.draw(st.integers(1, len(datagram)))])
    # A dump whose end is gone would be waited for: it gets one.
    done = bytes.fromhex("14000000030002000000000000000000") + bytes(4)
    answers[request].append(done)
    told = rssi_dbm(NOWHERE, kernel(answers))
    assert told is None or -128 <= told < 128


@pytest.mark.parametrize(
    ("level", "dbm"), [("-56.", -56.0), ("-56", -56.0), ("200.", -56.0), ("0.", None), ("43.", None), ("x", None)]
)
def test_a_level_that_is_no_dbm_is_no_signal(tmp_path: Path, level: str, dbm: float | None) -> None:
    lines = PROC.read_text().splitlines()
    proc = tmp_path / "wireless"
    proc.write_text("\n".join([*lines[:2], lines[2].replace("-58.", level, 1)]) + "\n")
    assert rssi_dbm(proc, None) == dbm


def test_the_first_interface_that_tells_is_taken(tmp_path: Path) -> None:
    lines = PROC.read_text().splitlines()
    proc = tmp_path / "wireless"
    proc.write_text("\n".join([*lines[:2], " wlan0: 0000    0.", *lines[2:]]) + "\n")
    assert rssi_dbm(proc, None) == -58.0
