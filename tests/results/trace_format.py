"""What the Trace Event Format asks of its JSON object form, as its description has it; nothing beyond it passes."""

from __future__ import annotations

import json
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

_KEYS = {
    "C": {"ph", "name", "pid", "ts", "args"},
    "X": {"ph", "name", "pid", "tid", "ts", "dur", "cat", "args"},
    "i": {"ph", "name", "pid", "tid", "ts", "s", "cat"},
    "M": {"ph", "name", "pid", "tid", "ts", "args"},
}
_METADATA = {"process_name": {"name": str}, "thread_name": {"name": str}, "thread_sort_index": {"sort_index": int}}
_TOUCH_US = 1e-3
"""slices of a thread may touch within the nanosecond that viewers count in"""


def checked(path: Path) -> list[dict[str, Any]]:
    """The events of a file; fails at the first that the format does not allow."""
    trace = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    slices: dict[int, list[tuple[float, float]]] = {}
    for event in trace["traceEvents"]:
        kind = event["ph"]
        assert set(event) - {"args"} == _KEYS[kind] - {"args"}, event
        assert isinstance(event["name"], str)
        assert event["name"]
        assert isinstance(event["pid"], int)
        assert isfinite(event["ts"])
        if kind == "C":
            assert all(isinstance(value, (int, float)) for value in event["args"].values())
        elif kind == "X":
            assert event["dur"] >= 0
            slices.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
        elif kind == "i":
            assert event["s"] in "gpt"
        else:
            ((key, of),) = _METADATA[event["name"]].items()
            assert isinstance(event["args"][key], of)
    for own in slices.values():
        own.sort()
        for (_, end), (begin, _) in pairwise(own):
            assert begin >= end - _TOUCH_US, "slices of one thread overlap, and do not lie in each other"
    return list(trace["traceEvents"])


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
