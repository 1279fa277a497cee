"""What the page shows, kept in bounds: power, windows, what is under way, alarms; a reader may come late, or again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.report.spread import envelope

POINTS_AT_ONCE = 400
"""of power, in one piece of one channel"""
KEPT_POINTS, KEPT_WINDOWS, KEPT_ALARMS = 4000, 200, 100

Json = dict[str, Any]


@dataclass
class _Kept:
    power: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    windows: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT_WINDOWS))
    alarms: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT_ALARMS))
    now: Json = field(default_factory=dict)


class Feed:
    """Written by one thread, read by many."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        """`about` is what never changes: a title, the caution that goes with every figure."""
        self._about = dict(about)
        self._kept = _Kept()
        self._changed = threading.Condition()
        self._number = 0
        self._latest: deque[tuple[int, Json]] = deque(maxlen=16)
        """changes with their numbers; who is further behind gets everything anew"""
        self._closed = False

    def tell(
        self,
        now: Mapping[str, Any] | None = None,
        power: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None,
        windows: Sequence[Json] = (),
        alarms: Sequence[Json] = (),
    ) -> None:
        """Add power of channels as (seconds, watts), windows {from_s, to_s, text}, alarms {at, kind, text}."""
        pieces = {
            name: tuple(part.tolist() for part in envelope(np.round(at_s, 4), np.round(power_w, 4), POINTS_AT_ONCE))
            for name, (at_s, power_w) in (power or {}).items()
        }
        with self._changed:
            for name, (at_s, power_w) in pieces.items():
                line = self._kept.power.setdefault(name, deque(maxlen=KEPT_POINTS))
                line.extend(zip(at_s, power_w, strict=True))
            self._kept.windows.extend(windows)
            self._kept.alarms.extend(alarms)
            self._kept.now.update(now or {})
            self._publish(
                {"now": self._kept.now | {}, "power": pieces, "windows": list(windows), "alarms": list(alarms)}
            )

    def begin_anew(self) -> None:
        """Forget power and windows: the clock began again."""
        with self._changed:
            self._kept.power.clear()
            self._kept.windows.clear()
            self._latest.clear()
            self._number += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let every reader go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def since(self, number: int | None, patience_s: float) -> tuple[int, list[Json]] | None:
        """What came after change `number`, or all for a new reader; nothing after `patience_s`. None: it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or number is None or self._number > number, patience_s)
            if self._closed:
                return None
            if number is None or (self._number > number and (not self._latest or self._latest[0][0] > number + 1)):
                return self._number, [self._everything()]
            return self._number, [change for at, change in self._latest if at > number]

    def _publish(self, change: Json) -> None:
        self._number += 1
        self._latest.append((self._number, change))
        self._changed.notify_all()

    def _everything(self) -> Json:
        return {
            "reset": True,
            "about": self._about,
            "now": self._kept.now | {},
            "power": {
                name: [[at_s for at_s, _ in line], [power_w for _, power_w in line]]
                for name, line in self._kept.power.items()
            },
            "windows": list(self._kept.windows),
            "alarms": list(self._kept.alarms),
        }
