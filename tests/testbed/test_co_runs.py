"""Recorded utilisation: what is shipped, and files of the user's own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.co_runs import SHIPPED, parse_recording, read_recording
from testbed.config import load_suite
from testbed.errors import BenchError

shares = st.floats(0, 1)
rows = st.lists(st.tuples(st.floats(0.01, 100), shares, shares), min_size=1, max_size=20)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_can_be_replayed_and_says_that_nobody_recorded_it(name: str) -> None:
    recording = read_recording(name)
    assert recording.origin.startswith("A proposal, recorded nowhere: ")
    assert recording.length_s >= 20
    assert len(set(recording.loads)) > 2


@given(rows=rows, rounds=st.integers(0, 3))
def test_each_row_holds_until_the_next_round_and_round(rows: list[tuple[float, float, float]], rounds: int) -> None:
    time_s, lines = 0.0, ["# mine", "time_s,cpu,memory"]
    for lasts_s, cpu, memory in rows:
        lines.append(f"{time_s!r},{cpu!r},{memory!r}")
        time_s += lasts_s
    recording = parse_recording(lines, "mine.csv")
    assert recording.origin == "mine"
    for i, (begins_s, (_, cpu, memory)) in enumerate(zip(recording.times_s, rows, strict=True)):
        ends_s = recording.times_s[i + 1] if i + 1 < len(rows) else recording.length_s
        middle_s = (begins_s + ends_s) / 2 + rounds * recording.length_s
        assert recording.at(middle_s) == (cpu, memory)


@given(st.lists(st.text(max_size=30), max_size=6))
def test_what_is_no_recording_is_refused_in_one_message(lines: list[str]) -> None:
    with suppress(BenchError):
        assert parse_recording(lines, "mine.csv").loads


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cpu,memory\n0,0\n", "its first row must be time_s,cpu,memory"),
        ("time_s,cpu,memory\n", "holds no row"),
        ("time_s,cpu,memory\n0,0.1\n", ":2: '0,0.1' is not three numbers"),
        ("time_s,cpu,memory\n0,10,0\n", ":2: cpu and memory are shares, from 0 to 1"),
        ("time_s,cpu,memory\n5,0,0\n", ":2: times must begin at 0, not 5 s"),
        ("# who\ntime_s,cpu,memory\n0,0,0\n0,0,0\n", ":4: times must go on after 0, not 0 s"),
        ("time_s,cpu,memory\n0,nan,0\n", ":2: cpu and memory are shares"),
        ("\x00\xff", "its first row must be"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text)
    with pytest.raises(BenchError, match="mine.csv") as refusal:
        read_recording(str(file))
    assert said in str(refusal.value)


def test_a_file_that_is_not_there_is_told_with_those_that_are_shipped(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"cannot be read: No such file.*shipped are: music-player, web-browser"):
        read_recording(str(tmp_path / "gone.csv"))


def test_a_file_lies_beside_the_suite_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "name: s\nworkloads: [{name: a, model: resnet50, qos_s: 50 ms}]\nactions: [cpu/fp32]\n"
        "policies: [{name: cloud, trials: 1}]\n"
        "environments: [{name: e, co_runner: [{replay: mine.csv}, {replay: web-browser}, {cpu: 10 %}]}]\n"
    )
    (environment,) = load_suite(tmp_path / "suite.yaml").environments
    assert not isinstance(environment, str)
    states = environment.co_runner
    assert isinstance(states, list)
    assert [state.replay for state in states] == [str(tmp_path / "mine.csv"), "web-browser", None]
