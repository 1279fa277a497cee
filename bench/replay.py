"""Monsoons that replay a stream encoded beforehand, on a port each: `python -m bench.replay PORTS SECONDS SEED`.

The cheapest far end that is still one: every port answers the commands, and sends so many packets as a sample clock of
5 kHz has ended, from its own start on. Prints the ports as JSON and ends with its stdin.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import tty

import numpy as np

from bench.monsoon_frames import RATE_HZ, mixed, packets
from testbed.virtual.meters.monsoon_frames import CommandScanner, Status

PACE_S = 0.005
SEQUENCES = 16
_GET_STATUS, _START, _STOP = b"\x01\x00\x00", 2, 3


class Stream:
    """The bytes, and how many of them are out after so many samples; it repeats without a break in the sequence."""

    def __init__(self, seconds: int, seed: int) -> None:
        found = packets(seconds * RATE_HZ, mixed(seed), seed)
        found = found[: len(found) // SEQUENCES * SEQUENCES]
        self._bytes = b"".join(found)
        samples = [(packet[0] - 6) // 8 if packet[2] == 0 else 0 for packet in found]
        ended, sent = np.cumsum(samples), np.cumsum([len(packet) for packet in found])
        self._samples = int(ended[-1])
        behind = np.searchsorted(ended, np.arange(self._samples), side="right")
        self._out = [0, *sent.tolist()]
        self._packets = [*behind.tolist(), len(found)]

    def between(self, sent: int, samples: int) -> bytes:
        """What comes behind the first `sent` bytes until so many samples have ended."""
        rounds, rest = divmod(samples, self._samples)
        until = rounds * len(self._bytes) + self._out[self._packets[rest]]
        at, missing = sent % len(self._bytes), until - sent
        data = self._bytes[at : at + missing]
        return data if len(data) == missing else data + self._bytes[: missing - len(data)]


class Replay:
    """One port."""

    def __init__(self, stream: Stream, serial_number: int) -> None:
        self._stream = stream
        self._scanner = CommandScanner()
        self._status = Status((0, 0, 0), 32_000, 200, serial_number, 0, 0, 1, 3).packet()
        self._started_ns: int | None = None
        self._sent = 0
        self._waiting = b""
        self.file, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.file, False)
        self.port = os.ttyname(self._slave)

    def obey(self) -> None:
        """Read commands and do them."""
        now_ns = time.monotonic_ns()
        for payload in self._scanner.scan(os.read(self.file, 4096), now_ns):
            if payload == _GET_STATUS:
                self._waiting += self._status
            elif payload[0] == _START:
                self._started_ns, self._sent = now_ns, 0
            elif payload[0] == _STOP:
                self._started_ns, self._waiting = None, b""

    def send(self) -> None:
        """What is due, as far as the port takes it."""
        if self._started_ns is not None:
            samples = (time.monotonic_ns() - self._started_ns) * RATE_HZ // 1_000_000_000
            data = self._stream.between(self._sent, samples)
            self._sent += len(data)
            self._waiting += data
        if self._waiting:
            try:
                self._waiting = self._waiting[os.write(self.file, self._waiting) :]
            except BlockingIOError:
                return


def main(ports: int, seconds: int, seed: int) -> None:
    """Until stdin ends."""
    stream = Stream(seconds, seed)
    replays = {replay.file: replay for replay in (Replay(stream, 1000 + number) for number in range(ports))}
    print(json.dumps([replay.port for replay in replays.values()]), flush=True)
    due_s = time.monotonic()
    while True:
        due_s = max(due_s + PACE_S, time.monotonic())
        while (rest_s := due_s - time.monotonic()) > 0:
            readable, _, _ = select.select([0, *replays], [], [], rest_s)
            if 0 in readable and not os.read(0, 64):
                return
            for file in readable:
                if file:
                    replays[file].obey()
        for replay in replays.values():
            replay.send()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
