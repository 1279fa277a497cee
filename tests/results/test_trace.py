"""A trace on file: whole, broken off, and as other programs read it."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from results import StoreError, StoreFull, Trace, TraceChannel, TraceHeader, TraceWriter
from results import write_csv as to_csv
from results import write_parquet as to_parquet
from results import write_perfetto as to_perfetto


@dataclass
class Columns:
    index: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    channel: NDArray[np.uint8]
    power_w: NDArray[np.float64]
    voltage_v: NDArray[np.float64] | None
    current_a: NDArray[np.float64] | None
    mark: NDArray[np.uint8] | None


def channel(name: str) -> TraceChannel:
    return TraceChannel(name=name, power_lsb_w=1e-3, gain_standard_uncertainty=0.01, offset_standard_uncertainty_w=1e-3)


HEADER = TraceHeader(
    created="2026-01-02T03:04:05+00:00",
    created_ns=1_000_000_000,
    monitor="made up on /dev/null",
    specimen={"serial": "42", "firmware": "1.0"},
    rate_hz=1000.0,
    aperture_s=1e-3,
    channels=(channel("cpu"), channel("gpu")),
    total=(0, 1),
    mark_lines=1,
    clock_standard_uncertainty_s=1e-4,
    calibrations=(),
    bench={"name": "made-up"},
    versions={},
    provenance="virtual",
)


def rows(index: list[int], volts: bool = True) -> Columns:
    """2 W on cpu, 3 W on gpu; the mark line is up from index 2 on."""
    at = np.repeat(np.array(index, np.int64), 2)
    number = np.tile(np.array([0, 1], np.uint8), len(index))
    power_w = 2.0 + number
    return Columns(
        at,
        2_000_000_000 + at * 1_000_000,
        number,
        power_w,
        np.full(len(at), 5.0) if volts else None,
        power_w / 5.0 if volts else None,
        (at >= 2).astype(np.uint8) if volts else None,
    )


@pytest.fixture
def recorded(tmp_path: Path) -> Trace:
    """10 rows with a gap of 4 in them."""
    path = tmp_path / "trace.parquet"
    with TraceWriter(path, HEADER) as writer:
        writer.append(rows([0, 1, 2]))
        writer.append(rows([7, 8, 9, 10, 11, 12, 13]))
        writer.finish()
    return Trace.read(path)


def test_what_was_recorded_is_read_back(recorded: Trace) -> None:
    assert recorded.header == HEADER
    assert recorded.header.caution is not None
    assert recorded.samples.num_rows == 20
    assert recorded.channel(1)["power_w"].to_pylist() == [3.0] * 10
    assert recorded.total["power_w"].to_pylist() == [5.0] * 10
    assert recorded.energy_j()[-1] == pytest.approx(5.0 * 0.013)
    assert [file.name for file in recorded.path.parent.iterdir()] == ["trace.parquet"]


def test_a_row_that_lacks_a_channel_is_no_total(tmp_path: Path) -> None:
    torn = rows([0, 1])
    part = Columns(*(None if column is None else column[:3] for column in vars(torn).values()))  # type: ignore[arg-type]
    with TraceWriter(tmp_path / "trace.parquet", HEADER) as writer:
        writer.append(part)
        assert Trace.read(writer.growing).total["index"].to_pylist() == [0]


KILLED = """
import os, sys
from pathlib import Path
from results import TraceWriter
from tests.results.test_trace import HEADER, rows
writer = TraceWriter(Path(sys.argv[1]), HEADER)
writer.append(rows([0, 1, 2]))
writer.append(rows([3, 4]))
os.kill(os.getpid(), 9)
"""


def test_a_killed_recording_keeps_what_was_appended_and_its_torn_tail_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -9
    growing = path.with_suffix(".arrows")
    whole = Trace.read(growing)
    assert whole.samples.num_rows == 10
    growing.write_bytes(growing.read_bytes()[:-7])
    torn = Trace.read(growing)
    assert torn.samples.num_rows == 6
    to_parquet(torn, path)
    assert Trace.read(path).samples.equals(torn.samples)
    assert Trace.read(path).header == HEADER


def test_a_full_disk_keeps_what_was_appended(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TraceWriter(tmp_path / "trace.parquet", HEADER) as writer:
        writer.append(rows([0, 1, 2]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (writer.growing.stat().st_size + 100, before[1]))
        try:
            with pytest.raises(StoreFull, match="What was recorded is safe"):
                writer.append(rows([3, 4]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert Trace.read(writer.growing).samples.num_rows == 6


def test_a_name_that_is_taken_is_refused(recorded: Trace) -> None:
    with pytest.raises(StoreError, match="exists already"):
        TraceWriter(recorded.path, HEADER)


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    for name in ("gone.parquet", "gone.arrows"):
        with pytest.raises(StoreError, match="there is no trace"):
            Trace.read(tmp_path / name)
    for name in ("text.parquet", "text.arrows"):
        (tmp_path / name).write_text("not a trace at all")
        with pytest.raises(StoreError, match="is no trace"):
            Trace.read(tmp_path / name)


def test_a_trace_of_another_format_is_refused(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.parquet", replace(HEADER, format_version=99)) as writer:
        writer.append(rows([0]))
        with pytest.raises(StoreError, match="trace format 99"):
            Trace.read(writer.growing)


def test_csv_has_a_line_for_each_sample(recorded: Trace, tmp_path: Path) -> None:
    to_csv(recorded, tmp_path / "trace.csv")
    with (tmp_path / "trace.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 20
    assert lines[1]["channel_name"] == "gpu"
    assert float(lines[1]["power_w"]) == 3.0


def chrome(trace: Trace, path: Path) -> dict[str, object]:
    to_perfetto(trace, path)
    found: dict[str, object] = json.loads(path.read_text())
    return found


def test_the_chrome_trace_is_one_by_the_formats_description(recorded: Trace, tmp_path: Path) -> None:
    """Trace Event Format: the keys each phase must have, and their types."""
    found = chrome(recorded, tmp_path / "trace.json")
    assert found["displayTimeUnit"] in ("ms", "ns")
    events = found["traceEvents"]
    assert isinstance(events, list)
    for event in events:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["ts"], int | float)
        assert event["ts"] >= 0
        if event["ph"] == "C":
            assert event["args"]
            assert all(isinstance(value, float) for value in event["args"].values())
        elif event["ph"] == "i":
            assert event["s"] in ("g", "p", "t")
            assert isinstance(event["tid"], int)
        else:
            assert event["ph"] == "M"
            assert event["name"] in ("process_name", "thread_name")
            assert isinstance(event["args"]["name"], str)


def test_the_chrome_trace_tells_what_was_recorded(recorded: Trace, tmp_path: Path) -> None:
    found = chrome(recorded, tmp_path / "trace.json")
    assert found["otherData"]["provenance"] == "virtual"  # type: ignore[index]
    assert found["otherData"]["specimen"]["serial"] == "42"  # type: ignore[index]
    events: list[dict[str, object]] = found["traceEvents"]  # type: ignore[assignment]
    counters = {event["name"] for event in events if event["ph"] == "C"}
    of_cpu = {"cpu power", "cpu voltage", "cpu current"}
    assert counters == {*of_cpu, "gpu power", "gpu voltage", "gpu current", "total power", "energy"}
    instants = [(event["name"], event["ts"]) for event in events if event["ph"] == "i"]
    assert ("mark 0 up", 2000.0) in instants
    assert ("cpu: 4 samples lost", 2000.0) in instants
    (*_, last) = (event["args"]["J"] for event in events if event["name"] == "energy")  # type: ignore[index]
    assert last == pytest.approx(0.065)


def test_what_was_not_measured_makes_no_track(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.parquet", HEADER) as writer:
        writer.append(rows([0, 1], volts=False))
        trace = Trace.read(writer.growing)
    events: list[dict[str, object]] = chrome(trace, tmp_path / "trace.json")["traceEvents"]  # type: ignore[assignment]
    assert {event["name"] for event in events if event["ph"] == "C"} == {
        "cpu power",
        "gpu power",
        "total power",
        "energy",
    }


def test_an_empty_trace_can_be_exported(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.parquet", HEADER) as writer:
        writer.finish()
    trace = Trace.read(tmp_path / "trace.parquet")
    to_csv(trace, tmp_path / "trace.csv")
    events = chrome(trace, tmp_path / "trace.json")["traceEvents"]
    assert isinstance(events, list)
    assert [event["ph"] for event in events] == ["M"]
