"""What every emulated meter's program has in common: its options, its ready line, and its two ways of living.

Paced, it lives in real time and looks at the supply `lag` behind, by when the board has written what it drew. Stepped,
it has no clock: each line `advance TIME_NS` on stdin is answered `ok TIME_NS` when all that is due by then was
delivered. Either way it ends when stdin does, so a controller that was killed leaves nothing behind.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Protocol

from testbed.virtual.meters.agenda import FaultAction, parse_fault
from testbed.virtual.meters.line import Delivery, Line
from testbed.virtual.supply import SupplyReader

LINE_FAULTS = ("drop", "corrupt", "litter", "unplug")

_PACE_S = 0.01  # waking up costs as much as what is then done
_IDLE_S = 0.05
_STDIN = 0


class Device(Protocol):
    """A meter, living in host time: the time axis of the supply file."""

    def receive(self, data: bytes, time_ns: int) -> None:
        """Take bytes from the controller, which arrived at `time_ns`."""

    def advance(self, time_ns: int) -> None:
        """Live until `time_ns`."""

    @property
    def idle(self) -> bool:
        """True when it does nothing until the controller writes or a fault comes."""

    @property
    def about(self) -> Mapping[str, object]:
        """What its ready line tells of it alone."""


def parser(description: str, fault_kinds: Collection[str]) -> argparse.ArgumentParser:
    """A parser with the options every meter has."""
    options = argparse.ArgumentParser(description=description)
    add = options.add_argument
    add("--supply", required=True, metavar="FILE", help="the board's power, as testbed.virtual.supply writes it")
    add("--seed", type=int, default=0, help="decides all that is random")
    add("--drift-ppm", type=float, default=0.0, help="how much the meter's clock gains on the host's")
    add("--gain-error", type=float, default=0.0, help="of the current, relative")
    add("--noise-steps", type=float, default=0.5, help="rms of the converter's noise, in its own steps (0.5)")
    add("--latency-ms", type=float, default=1.0, help="the least time bytes are under way, each way (1)")
    add("--jitter-ms", type=float, default=1.0, help="on top of it, uniform from 0 (1)")
    add(
        "--lag-ms",
        type=float,
        default=10.0,
        help="how far behind the supply is read; part of the samples' latency (10)",
    )
    add("--queue-bytes", type=int, default=4096, help="what the meter holds for a reader that stalls (4096)")
    add(
        "--link", type=Path, metavar="FILE", help="a name for the port that stays when the cable is pulled and put back"
    )
    add("--stepped", action="store_true", help="take the time from stdin; no lag, and no queue that overflows")
    add(
        "--fault",
        action="append",
        default=[],
        type=partial(parse_fault, kinds=(*LINE_FAULTS, *fault_kinds)),
        metavar="KIND@TIME[:AMOUNT]",
        help=f"{', '.join((*LINE_FAULTS, *fault_kinds))}; TIME in seconds, +TIME from the stream's first start",
    )
    return options


def begins_ns(options: argparse.Namespace) -> int:
    """The host's time at which the device comes to life."""
    return 0 if options.stepped else time.monotonic_ns()


def delivery(options: argparse.Namespace) -> Delivery:
    """How the options have bytes delivered."""
    return Delivery(
        latency_ns=round(options.latency_ms * 1e6),
        jitter_ns=round(options.jitter_ms * 1e6),
        lag_ns=0 if options.stepped else round(options.lag_ms * 1e6),
        queue_bytes=None if options.stepped else options.queue_bytes,
    )


def line_fault_actions(line: Line) -> dict[str, FaultAction]:
    """The faults of the cable."""
    return {
        "drop": lambda time_ns, packets: line.drop(round(packets or 1)),
        "corrupt": lambda time_ns, packets: line.corrupt(round(packets or 1)),
        "litter": lambda time_ns, count: line.litter(time_ns, round(count or 16)),
        "unplug": lambda time_ns, away_s: line.unplug(time_ns + round(away_s * 1e9) if away_s else None),
    }


Build = Callable[[argparse.Namespace, Line, SupplyReader], Device]
"""Makes the device the options describe."""


def main(parser: argparse.ArgumentParser, build: Build, arguments: Sequence[str] | None) -> None:
    """The whole program: print the ready line and live until stdin ends or a signal says so."""
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    with opened(options, build) as (device, line):
        _say(json.dumps({**_ready(options, line), **device.about}))
        if options.stepped:
            _live_stepped(device, line)
        else:
            _live_paced(device, line, delivery(options).lag_ns)


@contextmanager
def opened(options: argparse.Namespace, build: Build) -> Iterator[tuple[Device, Line]]:
    """The device and the line it hangs on."""
    cable = Line(delivery(options), f"{options.seed} line", options.link)
    with SupplyReader(options.supply) as supply, cable as line:
        yield build(options, line, supply), line


def step(device: Device, line: Line, now_ns: int, until_ns: int) -> None:
    """Take what the controller wrote as written at `now_ns`, live until `until_ns`, deliver what is due by then."""
    data, arrival_ns = line.receive(now_ns)
    if data:
        device.receive(data, arrival_ns)
    device.advance(until_ns)
    line.deliver(until_ns)


def _ready(options: argparse.Namespace, line: Line) -> dict[str, object]:
    how = delivery(options)
    return {
        "port": line.port,
        "pid": os.getpid(),
        "seed": options.seed,
        "drift_ppm": options.drift_ppm,
        "lag_s": how.lag_ns / 1e9,
        "latency_s": how.latency_ns / 1e9,
        "jitter_s": how.jitter_ns / 1e9,
        "pace_s": 0.0 if options.stepped else _PACE_S,
        "least_sample_latency_s": (how.lag_ns + how.latency_ns) / 1e9,
        "queue_bytes": how.queue_bytes,
    }


def _live_paced(device: Device, line: Line, lag_ns: int) -> None:
    while True:
        ports = line.files()
        pause_s = _IDLE_S if device.idle and line.idle else _PACE_S
        if line.answer_due_ns is not None:  # it must not stay until the next regular waking
            pause_s = min(pause_s, max(0.0, (line.answer_due_ns - time.monotonic_ns()) / 1e9))
        readable, _, _ = select.select([_STDIN, *ports], [], [], pause_s)
        now_ns = time.monotonic_ns()
        if _STDIN in readable and not os.read(_STDIN, 4096):
            return
        if any(port in readable for port in ports):
            device.receive(*line.receive(now_ns))
        device.advance(now_ns - lag_ns)
        line.deliver(now_ns)


def _live_stepped(device: Device, line: Line) -> None:
    now_ns = 0
    rest = b""
    while True:
        # What the port would not take goes out as the reader makes room.
        readable, _, _ = select.select([_STDIN], line.files() if line.stuck else [], [])
        line.deliver(now_ns)
        if not readable:
            continue
        if not (data := os.read(_STDIN, 4096)):
            return
        *commands, rest = (rest + data).split(b"\n")
        for command in commands:
            until_ns = _asked(command.decode(), now_ns)
            step(device, line, now_ns, until_ns)
            _say(f"ok {until_ns}")
            now_ns = until_ns


def _asked(command: str, now_ns: int) -> int:
    word, _, time_ns = command.partition(" ")
    if word != "advance" or not time_ns.isdigit() or int(time_ns) < now_ns:
        raise SystemExit(f"{command!r} is no step from {now_ns} ns: write 'advance TIME_NS'; time does not go back")
    return int(time_ns)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
