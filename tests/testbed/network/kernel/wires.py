"""Two network namespaces with a wire between them, and packets on it that tell how they fared."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")
NEAR, FAR = "near0", "far0"
NEAR_ADDRESSES = {4: "198.18.0.1", 6: "fd00:5e::1"}
FAR_ADDRESSES = {4: "198.18.0.2", 6: "fd00:5e::2"}
"""the IPv4 ones of the block for benchmarks (RFC 2544)"""
PORT, OTHER_PORT = 8000, 22
_CLONE_NEWNET = 0x40000000
_HEADERS_BYTES = {4: 14 + 20 + 8, 6: 14 + 40 + 8}
_SO_TIMESTAMPNS = 35
"""include/uapi/asm-generic/socket.h: SO_TIMESTAMPNS_OLD"""
_SOCKET_HOLDS = 80
"""frames that net.core.rmem_default, 208 KiB, has room for at 2.3 kB each"""
_STAMP = struct.Struct("=Qq")


def run(*command: str) -> str:
    """The output of a command that must work."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


class FarSide:
    """A network namespace of its own, in a thread that does what it is asked there."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self.call(_leave_namespace)
        tid = self.call(threading.get_native_id)
        self.namespace = f"/proc/{os.getpid()}/task/{tid}/ns/net"

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        return self._thread.submit(function, *arguments).result()

    def close(self) -> None:
        self._thread.shutdown()


def _leave_namespace() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


@dataclass
class Wire:
    """The near side is this process's own; the endpoint of every test is on the far one."""

    far: FarSide

    def sockets(self, port: int = PORT, family: int = 4) -> tuple[socket.socket, socket.socket]:
        """UDP, connected with each other: near, far."""
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        far = self.far.call(socket.socket, kind, socket.SOCK_DGRAM)
        far.bind((FAR_ADDRESSES[family], port))
        near = socket.socket(kind, socket.SOCK_DGRAM)
        for end in (near, far):
            end.settimeout(10)
        near.bind((NEAR_ADDRESSES[family], 0))
        near.connect((FAR_ADDRESSES[family], port))
        far.connect((NEAR_ADDRESSES[family], near.getsockname()[1]))
        return near, far


@contextmanager
def wire() -> Iterator[Wire]:
    far = FarSide()
    try:
        run("ip", "link", "add", NEAR, "type", "veth", "peer", "name", FAR)
        run("ip", "link", "set", FAR, "netns", far.namespace)
        for side, name, addresses in (
            (run, NEAR, NEAR_ADDRESSES),
            (lambda *command: far.call(run, *command), FAR, FAR_ADDRESSES),
        ):
            side("ip", "addr", "add", f"{addresses[4]}/30", "dev", name)
            side("ip", "addr", "add", f"{addresses[6]}/64", "dev", name, "nodad")
            side("ip", "link", "set", name, "up")
        made = Wire(far)
        for family in (4, 6):
            _warm(*made.sockets(port=9, family=family))
        yield made
    finally:
        subprocess.run(["ip", "link", "del", NEAR], stderr=subprocess.DEVNULL)
        far.close()


def _warm(near: socket.socket, far: socket.socket) -> None:
    """The first packets wait for the neighbour's address."""
    with near, far:
        for sender, receiver in ((near, far), (far, near)):
            while not select.select([receiver], [], [], 0.05)[0]:
                sender.send(b"hello")


def one_way_s(sender: socket.socket, receiver: socket.socket, count: int) -> list[float]:
    """How long packets take that are sent one at a time, in order of time: the load of the machine lengthens some."""
    taken = []
    for number in range(count):
        sender.send(_STAMP.pack(number, time.monotonic_ns()))
        _, sent_ns = _STAMP.unpack(receiver.recv(100))
        taken.append((time.monotonic_ns() - sent_ns) * 1e-9)
    return sorted(taken)


def rate_bps(sender: socket.socket, receiver: socket.socket, family: int, asked_bps: float) -> float:
    """The rate at which queued packets pass, by the kernel's stamps; headers from Ethernet's on counted.

    The median of a few batches, each of 40 ms within ten and eighty packets: a busy machine spoils one or two.
    """
    payload = bytes(1400)
    frame_bits = 8 * (len(payload) + _HEADERS_BYTES[family])
    count = min(max(10, round(0.04 * asked_bps / frame_bits)), _SOCKET_HOLDS)
    full = max(2, count // 10)  # the bucket is, at first
    receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    rates = []
    for _ in range(5):
        for _ in range(count):
            sender.send(payload)
        stamps_ns = [_stamped_ns(receiver) for _ in range(count)]
        rates.append(1e9 * frame_bits * (count - 1 - full) / (stamps_ns[-1] - stamps_ns[full]))
    return median(rates)


def _stamped_ns(receiver: socket.socket) -> int:
    _, [(_, _, stamp)], _, _ = receiver.recvmsg(2000, 64)
    seconds, nanoseconds = struct.unpack("=qq", stamp)
    return int(seconds) * 10**9 + int(nanoseconds)


def arrivals(sender: socket.socket, receiver: socket.socket, count: int) -> list[bool]:
    """Which of the packets sent arrived."""
    arrived = [False] * count
    for number in range(count):
        sender.send(_STAMP.pack(number, 0))
        if number % 50 == 49:
            _collect(receiver, arrived, 0.0)
    _collect(receiver, arrived, 0.3)
    return arrived


def _collect(receiver: socket.socket, arrived: list[bool], patience_s: float) -> None:
    while select.select([receiver], [], [], patience_s)[0]:
        arrived[_STAMP.unpack(receiver.recv(100))[0]] = True


def until(true: Callable[[], bool]) -> float:
    """Seconds until it is."""
    start_s = time.monotonic()
    while not true():
        assert time.monotonic() < start_s + 20
        os.sched_yield()  # there is one CPU
    return time.monotonic() - start_s


def kernel_state() -> str:
    """Every device, queue and filter of this namespace, but for counters."""
    shows = ["qdisc show", *(f"filter show dev {NEAR} {side}" for side in ("ingress", "egress"))]
    told = subprocess.run(["tc", "-batch", "-"], input="\n".join(shows), capture_output=True, text=True, check=True)
    return "\n".join([*sorted(os.listdir("/sys/class/net")), told.stdout])  # noqa: PTH208 - names alone
