"""What happens to a device and when: commands as they arrive, faults as they were asked for."""

from __future__ import annotations

import argparse
import heapq
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


class Agenda:
    """Things due at a time, done in the order of their times."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._added = 0

    def at(self, time_ns: int, action: Callable[[int], None]) -> None:
        """Have `action(time_ns)` done at `time_ns`."""
        self._added += 1
        heapq.heappush(self._due, (time_ns, self._added, action))

    def live_until(self, time_ns: int, live: Callable[[int], None]) -> None:
        """Do all that is due by `time_ns`, and call `live(t)` for the stretches between."""
        while self._due and self._due[0][0] <= time_ns:
            due_ns, _, action = heapq.heappop(self._due)
            live(due_ns)
            action(due_ns)
        live(time_ns)

    def __len__(self) -> int:
        return len(self._due)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong. Written `kind@time[:amount]`, as in `gap@+1.5:0.02`."""

    kind: str
    after_ns: int
    streaming: bool
    """counted from the moment the stream first starts (written `+time`), else from the start of the program"""
    amount: float | None
    """seconds or packets, by kind"""


_FAULT = re.compile(r"(?P<kind>[a-z]+)@(?P<plus>\+?)(?P<time>[0-9.]+)(:(?P<amount>[0-9.]+))?")


def parse_fault(text: str, kinds: Iterable[str]) -> Fault:
    """The fault `text` describes. Raises argparse.ArgumentTypeError for any but the `kinds` a device has."""
    match = _FAULT.fullmatch(text)
    if match is None or match["kind"] not in kinds:
        known = ", ".join(sorted(kinds))
        raise argparse.ArgumentTypeError(f"{text!r} is no fault: write kind@[+]seconds[:amount]; kinds are {known}")
    amount = None if match["amount"] is None else float(match["amount"])
    return Fault(match["kind"], round(float(match["time"]) * 1e9), bool(match["plus"]), amount)


FaultAction = Callable[[int, float | None], None]
"""Does a fault at a time in ns, with its amount or the kind's own default."""


class Faults:
    """Puts a device's faults on its agenda."""

    def __init__(self, faults: Iterable[Fault], actions: Mapping[str, FaultAction], agenda: Agenda) -> None:
        self._waiting = list(faults)
        self._actions = actions
        self._agenda = agenda

    def begin(self, time_ns: int, *, streaming: bool) -> None:
        """The program, or its stream, starts; the second start of a stream changes nothing."""
        for fault in [fault for fault in self._waiting if fault.streaming == streaming]:
            self._waiting.remove(fault)
            self._agenda.at(time_ns + fault.after_ns, self._action(fault))

    def _action(self, fault: Fault) -> Callable[[int], None]:
        action = self._actions[fault.kind]
        return lambda time_ns: action(time_ns, fault.amount)
