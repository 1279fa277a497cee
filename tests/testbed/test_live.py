"""A run followed from outside, and the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.browser import Browser, found
from power import Channel, Kind, MonitorSpec, Samples
from results import ConditionRecord, RunStore, StoreError
from testbed.cli import run_command_line
from testbed.errors import BenchError
from testbed.live.feed import Feed
from testbed.live.server import require_safe, serving
from testbed.live.tail import RunTail, newest_run, state_of
from testbed.live.watch import MeterWatch, RunWatch
from tests.results import conftest as synthetic
from tests.results.test_timeline import LOST

TOKEN = "0123456789abcdef"
LOCAL = "127.0.0.1"


@contextmanager
def writing(path: Path, planned: int = 8) -> Iterator[RunStore]:
    with RunStore.create(path, synthetic.header(suite={"name": "watched"}), synthetic.plan(planned)) as store:
        yield store


def add(store: RunStore, **changes: object) -> None:
    index = len(store.trials)
    store.append(synthetic.trial(index, **changes), synthetic.columns(synthetic.lead_in_ns(index), first=20 * index))


def everything(feed: Feed) -> dict[str, Any]:
    found = feed.since(None, 0.0)
    assert found is not None
    (whole,) = found[1]
    assert whole["reset"]
    return whole


def test_what_becomes_durable_is_seen_once(tmp_path: Path) -> None:
    with writing(tmp_path / "run") as store:
        add(store)
        tail = RunTail(store.path)
        first = tail.look()
        assert ([trial.index for trial in first.trials], first.done, first.state) == ([0], 1, "running")
        assert [len(table) for table in first.samples] == [20]
        assert tail.look().trials == ()
        add(store)
        add(store)
        again = tail.look()
        assert [trial.index for trial in again.trials] == [1, 2]
        assert [table["trial"][0].as_py() for table in again.samples] == [1, 2]
    assert tail.look().state == "stopped"


def test_a_torn_line_and_a_torn_batch_wait(tmp_path: Path) -> None:
    with writing(tmp_path / "run") as store:
        add(store)
    lines, segment = (tmp_path / "run" / name for name in ("trials.jsonl", "samples-0001.arrows"))
    tail = RunTail(tmp_path / "run")
    assert tail.look().done == 1
    with lines.open("ab") as file, segment.open("ab") as samples:
        file.write(b'{"index":1,')
        samples.write(b"\xff\xff\xff\xff\x10\x00")
    news = tail.look()
    assert (news.trials, news.samples, news.done) == ((), (), 1)


def test_a_run_that_is_resumed_goes_on_and_one_that_ends_is_complete(tmp_path: Path) -> None:
    with writing(tmp_path / "run", planned=3) as store:
        add(store)
    tail = RunTail(tmp_path / "run")
    assert tail.look().state == "stopped"
    with RunStore.open_for_resume(tmp_path / "run") as store:
        add(store)
        news = tail.look()
        assert (news.state, news.done, [len(table) for table in news.samples]) == ("running", 2, [20])
        add(store)
        store.finish()
    news = tail.look()
    assert (news.state, news.done) == ("complete", 3)
    late = RunTail(tmp_path / "run").look()
    assert sum(len(table) for table in late.samples) == 60  # from the packed samples


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a run"):
        RunTail(tmp_path)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with writing(tmp_path / "run") as store:
        add(store)
    with (tmp_path / "run" / "trials.jsonl").open("ab") as file:
        file.write(b'{"index":1}\n')
    with pytest.raises(StoreError, match=r"trials\.jsonl: not a TrialRecord"):
        RunTail(tmp_path / "run").look()


def test_the_run_going_on_is_found_by_its_bench(tmp_path: Path) -> None:
    with writing(tmp_path / "old") as store:
        assert newest_run(tmp_path, "mine") is None
        assert newest_run(tmp_path) == store.path
    with RunStore.create(tmp_path / "new", synthetic.header(bench={"name": "mine"}), synthetic.plan(1)) as store:
        assert newest_run(tmp_path, "mine") == store.path
    assert newest_run(tmp_path, "mine") is None
    assert state_of(tmp_path / "new") == "stopped"


def test_the_feed_tells_power_windows_progress_and_alarms(tmp_path: Path) -> None:
    with writing(tmp_path / "run") as store:
        feed = Feed({"title": "watched"})
        watch = RunWatch(RunTail(store.path), feed)
        add(store)
        add(
            store,
            observed={"frequency_hz": 1.0e9, "throttled": True, "temperature_c": 91.0},
            energy=synthetic.energy(present=0.9),
            condition=ConditionRecord(asked={}, applied={}, observed={}, strayed=("cloud: too slow",)),
        )
        watch.look()
        whole = everything(feed)
        assert {alarm["kind"] for alarm in whole["alarms"]} == {"samples lost", "throttling", "mismatch", "strayed"}
        assert whole["windows"][1]["from_s"] == pytest.approx(0.02)
        assert whole["now"]["left_s"] == pytest.approx(6 * 0.02)
        assert whole["now"]["last"]["action"] == "cpu/fp32@1500MHz"
        at_s, power_w = whole["power"]["channel 0"]
        assert (at_s[0], power_w[0]) == (pytest.approx(-0.005), 5.0)
        number = feed.since(None, 0.0)[0]
        add(store, outcome="failed", note="no answer")
        watch.look()
        _, changes = feed.since(number, 0.0)
        assert [change["alarms"][0]["text"] for change in changes] == ["no answer"]
        watch.look()
        assert feed.since(number + 1, 0.0) == (number + 1, [])  # nothing new, nothing told
        add(store, **LOST)
        watch.look()
        assert everything(feed)["now"]["last"]["action"] == "lost"


def test_a_clock_that_began_again_starts_the_picture_anew(tmp_path: Path) -> None:
    with writing(tmp_path / "run") as store:
        feed = Feed({})
        watch = RunWatch(RunTail(store.path), feed)
        add(store)
        watch.look()
        store.append(
            synthetic.trial(1, start_ns=synthetic.MS, end_ns=2 * synthetic.MS), synthetic.columns(synthetic.MS, 5)
        )
        watch.look()
        whole = everything(feed)
        assert [window["from_s"] for window in whole["windows"]] == [0.0]
        assert whole["power"]["channel 0"][0] == pytest.approx([0.0, 0.001, 0.002, 0.003, 0.004])


def test_a_meter_alone_is_told_with_its_losses() -> None:
    spec = MonitorSpec(
        name="made up",
        rate_hz=1000.0,
        channels=(Channel("supply", 1e-3, 0.01, 1e-3),),
        kind=Kind.AVERAGING,
        aperture_s=1e-3,
        shortest_window_s=0.025,
    )
    feed = Feed({})
    watch = MeterWatch(spec, 0, feed)
    index = np.array([0, 1, 2, 7, 8], np.int64)
    watch.take(Samples(index, index * 1_000_000, np.zeros(5, np.uint8), np.full(5, 2.0)))
    whole = everything(feed)
    assert whole["power"]["supply"] == [[0.0, 0.001, 0.002, 0.007, 0.008], [2.0] * 5]
    assert whole["now"]["power_w"] == 2.0
    assert [alarm["kind"] for alarm in whole["alarms"]] == ["samples lost"]


def test_what_is_kept_has_bounds() -> None:
    feed = Feed({})
    at_s = np.arange(5000, dtype=np.float64)
    for _ in range(20):
        feed.tell(power={"a": (at_s, at_s % 7)}, alarms=[{"at": "", "kind": "x", "text": ""}] * 50)
    whole = everything(feed)
    assert len(whole["power"]["a"][0]) <= 4000
    assert len(whole["alarms"]) == 100


def ask(address: str, path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = HTTPConnection(address.split("/")[2])
    try:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_on_loopback_only_this_machine_by_its_own_name() -> None:
    with serving(Feed({}), LOCAL, 0, None) as address:
        status, page = ask(address, "/")
        assert status == 200
        assert b"<title>testbed live</title>" in page
        assert ask(address, "/", "evil.example")[0] == 403  # a name that was made to point here
        assert ask(address, "/events", "evil.example")[0] == 403
        assert ask(address, "/../etc/passwd")[0] == 404
        assert ask(address, "/plotly.js")[0] == 200


def test_with_a_token_nobody_gets_in_without_it() -> None:
    with serving(Feed({}), LOCAL, 0, TOKEN) as address:
        assert address.endswith(f"/?token={TOKEN}")
        assert [ask(address, path)[0] for path in ("/", "/?token=wrong", "/events", f"/?token={TOKEN}")] == [
            *(403, 403, 403, 200)
        ]
        assert ask(address, f"/?token={TOKEN}", "board.example")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "board.example"])
def test_beyond_this_machine_a_token_is_asked_for(host: str) -> None:
    with pytest.raises(BenchError, match="lets others in: give a token"):
        require_safe(host, None)
    with pytest.raises(BenchError, match="16 characters at least"):
        require_safe(host, "short")
    require_safe(host, TOKEN)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["live", "--out", str(tmp_path), "--host", "0.0.0.0"]) == 1
    assert "lets others in" in capsys.readouterr().err
    assert run_command_line(["live", "--out", str(tmp_path)]) == 1
    assert "there is no run in" in capsys.readouterr().err
    with serving(Feed({}), LOCAL, 0, None) as address:
        port = address.rpartition(":")[2].strip("/")
        with writing(tmp_path / "run"):
            assert run_command_line(["live", "--out", str(tmp_path), "--port", port]) == 1
    assert "choose another --port" in capsys.readouterr().err


def test_a_reader_gets_everything_and_then_what_comes() -> None:
    feed = Feed({"title": "mine"})
    with serving(feed, LOCAL, 0, None) as address:
        connection = HTTPConnection(address.split("/")[2])
        connection.request("GET", "/events")
        lines = (line for line in iter(connection.getresponse().readline, b"") if line.startswith(b"data: "))
        assert json.loads(next(lines)[6:])["about"] == {"title": "mine"}
        feed.tell(now={"done": 3})
        assert json.loads(next(lines)[6:])["now"] == {"done": 3}
        connection.close()


def test_the_page_shows_the_run_and_finds_back_after_a_break(tmp_path: Path) -> None:
    program = found()
    if program is None:
        pytest.skip("needs a Chromium; on Debian: the package chromium")
    with Browser(program) as browser, writing(tmp_path / "run") as store:
        feed = Feed({"title": "watched", "caution": "made up"})
        watch = RunWatch(RunTail(store.path), feed)
        add(store, note="made again after attempt 1", outcome="failed")
        browser.look(390, 900, dark=True)
        text = "document.body.innerText"
        with serving(feed, LOCAL, 0, None) as address:
            port = int(address.rpartition(":")[2].strip("/"))
            browser.open(address)
            watch.look()
            browser.wait_for(f"{text}.includes('1 of 8') && {text}.includes('made again after attempt 1')")
            browser.wait_for(
                "document.querySelector('#power .main-svg') && document.querySelector('#power .shapelayer path')"
            )
            assert browser.run("document.documentElement.scrollWidth") == 390
            assert "5 W" in browser.run("document.getElementById('power').getAttribute('aria-label')")
            assert browser.complaints == []
        browser.wait_for(f"{text}.includes('connection lost')")
        fresh = Feed({"title": "watched"})
        with serving(fresh, LOCAL, port, None):
            add(store)
            RunWatch(RunTail(store.path), fresh).look()
            browser.wait_for(f"{text}.includes('2 of 8') && {text}.includes('connected')")
