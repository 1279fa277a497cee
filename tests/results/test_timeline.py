"""A whole run on one time axis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from results import Run, RunStore, Trace, TraceWriter, write_perfetto, write_timeline
from tests.results.test_trace import HEADER, rows
from tests.results.trace_format import checked

LOST = {
    **{"action": None, "n": 0, "latencies_s": (), "qos_met": 0, "accuracy": None, "energy": None, "learnt": None},
    **{"opt": None, "truth_energy_j": None, "estimated_energy_j": None, "clock": None, "state": {}, "observed": {}},
    **{"outcome": "lost", "note": "the board went away"},
}


def events_of(run: Run) -> list[dict[str, Any]]:
    path = run.path / "timeline.json"
    write_timeline(run, path)
    return checked(path)


@pytest.mark.parametrize("complete", [True, False])
def test_everything_lies_on_one_axis(tmp_path: Path, synthetic: ModuleType, complete: bool) -> None:
    with RunStore.create(tmp_path / "run", synthetic.header(), synthetic.plan(4 if complete else 5)) as store:
        store.append_block(synthetic.block())
        synthetic.record_all(store, 4)
        if complete:
            store.finish()
    run = Run.read(tmp_path / "run")
    events = events_of(run)
    trials = [event for event in events if event.get("cat") == "trial"]
    assert [(event["ts"], event["dur"]) for event in trials] == [(20_000.0 * index, 10_000.0) for index in range(4)]
    inferences = [event for event in events if event.get("cat") == "inference"]
    assert [event["ts"] for event in inferences[:4]] == pytest.approx([0.0, 2500.0, 4900.0, 7500.0])
    (condition,) = [event for event in events if event.get("cat") == "condition"]
    assert (condition["name"], condition["ts"], condition["dur"]) == ("S1", 0.0, 70_000.0)
    assert condition["args"]["asked"] == {"rssi_dbm": -55.0}
    decisions = [event["name"] for event in events if event.get("cat") == "decision"]
    assert decisions == ["Edge (CPU FP32): cpu/fp32@1500MHz"] * 4
    power = [event for event in events if event["name"] == "power, channel 0"]
    assert len(power) == 4 * 20 - 5  # what lies before the first window is left out
    assert (power[0]["ts"], power[0]["args"]) == (0.0, {"W": 5.0})
    assert "virtual" in events[0]["args"]["name"]


def test_temperature_and_strays_are_told(tmp_path: Path, synthetic: ModuleType) -> None:
    condition = replace(synthetic.trial(0).condition, strayed=("cloud: too slow",))
    run = synthetic.recorded(
        tmp_path / "run", {"observed": {"temperature_c": 41.5}}, {"condition": condition, "observed": {}}
    )
    events = events_of(run)
    assert [event["args"] for event in events if event["name"] == "temperature"] == [{"°C": 41.5}]
    assert [event["ts"] for event in events if event["name"] == "strayed: cloud: too slow"] == [20_000.0]


def test_inferences_that_do_not_fill_their_window_are_not_made_up(tmp_path: Path, synthetic: ModuleType) -> None:
    run = synthetic.recorded(tmp_path / "run", {"latencies_s": (1e-3,) * 4})
    assert not [event for event in events_of(run) if event.get("cat") == "inference"]


def test_a_clock_that_began_again_does_not_turn_time_back(tmp_path: Path, synthetic: ModuleType) -> None:
    before = {"start_ns": 50_000_000_000, "end_ns": 50_010_000_000}
    run = synthetic.recorded(tmp_path / "run", before, {"start_ns": 7_000_000, "end_ns": 17_000_000})
    trials = [event["ts"] for event in events_of(run) if event.get("cat") == "trial"]
    assert trials == [0.0, 1_010_000.0]


def test_a_lost_trial_has_its_place_and_no_decision(tmp_path: Path, synthetic: ModuleType) -> None:
    run = synthetic.recorded(tmp_path / "run", {}, LOST)
    events = events_of(run)
    assert [event["name"] for event in events if event.get("cat") == "trial"][1] == "mobilenet on a lost board"
    assert len([event for event in events if event.get("cat") == "decision"]) == 1


def test_a_run_that_has_hardly_begun_has_a_timeline(tmp_path: Path, synthetic: ModuleType) -> None:
    assert {event["ph"] for event in events_of(synthetic.recorded(tmp_path / "run"))} == {"M"}


def test_a_recorded_trace_keeps_to_the_format_too(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.parquet", HEADER) as writer:
        writer.append(rows([0, 1, 2, 7]))
        writer.finish()
    write_perfetto(Trace.read(tmp_path / "trace.parquet"), tmp_path / "trace.json")
    assert checked(tmp_path / "trace.json")
