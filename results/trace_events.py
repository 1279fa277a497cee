"""Events of the Trace Event Format (Google, "Trace Event Format"), which ui.perfetto.dev and chrome://tracing open.

Times are microseconds, of an origin that the writer chooses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Event = dict[str, Any]

_PROCESS = 1
_MAIN = 1
"""thread of what belongs to none"""


def write_events(path: Path, about: Mapping[str, Any], events: Iterable[Event]) -> None:
    """The JSON object form, one event a line; `about` is kept with it."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"displayTimeUnit":"ms","otherData":{json.dumps(about)},"traceEvents":[\n')
        for number, event in enumerate(events):
            file.write((",\n" if number else "") + json.dumps(event, separators=(",", ":"), allow_nan=False))
        file.write("\n]}\n")


def counter(name: str, unit: str, at_us: NDArray[np.float64], values: NDArray[np.float64]) -> Iterator[Event]:
    """A value over time."""
    for ts, value in zip(at_us.tolist(), values.tolist(), strict=True):
        yield {"ph": "C", "name": name, "pid": _PROCESS, "ts": ts, "args": {unit: value}}


def slice_of(name: str, thread: int, begin_us: float, end_us: float, kind: str, args: Mapping[str, Any]) -> Event:
    """A stretch of time on a thread."""
    about = {"cat": kind, "args": dict(args)}
    return {"ph": "X", "name": name, "pid": _PROCESS, "tid": thread, "ts": begin_us, "dur": end_us - begin_us, **about}


def instant(name: str, at_us: float, kind: str = "mark") -> Event:
    """A moment of the whole process."""
    return {"ph": "i", "name": name, "pid": _PROCESS, "tid": _MAIN, "ts": at_us, "s": "p", "cat": kind}


def moment(name: str, thread: int, at_us: float, kind: str, args: Mapping[str, Any]) -> Event:
    """A moment on a thread."""
    about = {"cat": kind, "args": dict(args)}
    return {"ph": "i", "name": name, "pid": _PROCESS, "tid": thread, "ts": at_us, "s": "t", **about}


def named(what: str, name: str, thread: int = _MAIN) -> Event:
    """`process_name` or `thread_name`."""
    return {"ph": "M", "name": what, "pid": _PROCESS, "tid": thread, "ts": 0, "args": {"name": name}}


def ordered(thread: int, place: int) -> Event:
    """Where a thread stands among the others."""
    return {
        "ph": "M",
        "name": "thread_sort_index",
        "pid": _PROCESS,
        "tid": thread,
        "ts": 0,
        "args": {"sort_index": place},
    }
