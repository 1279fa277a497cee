from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs

from bench.many_trials import make_run as make_many
from results import figures, formats
from results.analysis import analyse
from results.records import VIRTUAL_LABEL, ActionRecord, CalibrationFacts, ConditionRecord, RewardRecord
from results.report import render, write_report
from results.report.spread import envelope, spread
from results.run import Run
from results.statistics import Estimate
from results.store import RunStore
from tests.results.test_timeline import LOST

REWARD = RewardRecord(name="published", value=-1.0)


def observed(index: int) -> dict[str, object]:
    """Warming up; from trial 60 on the board throttles to a lower frequency than asked for."""
    hot = index >= 60
    return {"frequency_hz": 1.2e9 if hot else 1.5e9, "temperature_c": 40.0 + index / 2, "throttled": hot}


def make_run(path: Path, synthetic: ModuleType, **header: object) -> Run:
    """Two environments, three policies, one of which learns; with samples."""
    trials = []
    for environment in ("S1", "S4"):
        for step in range(12):
            trials += [
                {"environment": environment, "energy": synthetic.energy(0.3)},
                {"environment": environment, "policy": "cloud", "energy": synthetic.energy(0.2)},
                {
                    "environment": environment,
                    "policy": "autoscale",
                    "energy": synthetic.energy(0.3 if step < 6 else 0.1),
                    "action": ActionRecord(target="cpu" if step < 6 else "gpu", precision="fp16", frequency_hz=None),
                    "reward": REWARD,
                },
            ]
    with RunStore.create(path, synthetic.header(**header), synthetic.plan(len(trials))) as store:
        for index, changes in enumerate(trials):
            store.append(
                synthetic.trial(index, block=index // 9, observed=observed(index), **changes),
                synthetic.columns(synthetic.lead_in_ns(index)),
            )
            if index % 9 == 0:
                store.append_block(synthetic.block(index // 9))
        store.finish()
    return Run.read(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, synthetic: ModuleType) -> Run:
    return make_run(tmp_path_factory.mktemp("report") / "run", synthetic)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return without_library(render(run))


def without_library(page: str) -> str:
    assert page.count(get_plotlyjs()) == 1
    return page.replace(get_plotlyjs(), "")


class References(HTMLParser):
    """Collects whatever a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fetching = {"src", "href", "srcset", "data", "poster", "action", "background", "xlink:href"}
        self.found += [f"<{tag} {name}={value}>" for name, value in attrs if name in fetching and value[:1] != "#"]
        self.found += [f"<{tag}>"] if tag in ("link", "iframe", "object", "embed", "base") else []


def test_the_page_fetches_nothing(page: str) -> None:
    references = References()
    references.feed(page)
    assert references.found == []
    assert not re.search(r"url\(|@import|import\s*\(|fetch\s*\(|XMLHttpRequest", page)
    assert not re.search(r"https?://", page)


def test_every_caption_of_a_virtual_run_says_so(page: str) -> None:
    captions = re.findall(r"<figcaption>.*?</figcaption>", page, re.DOTALL)
    assert len(captions) == 15
    assert all(VIRTUAL_LABEL in caption for caption in captions)
    assert VIRTUAL_LABEL in page[: page.index("</header>")]
    assert "thermal constants shortened" in page


def test_a_measured_run_is_not_called_virtual(tmp_path: Path, synthetic: ModuleType) -> None:
    page = render(make_run(tmp_path / "run", synthetic, provenance="measured", labels=()))
    assert VIRTUAL_LABEL not in page
    assert "measured on hardware" in page


def test_the_calibration_behind_the_energies_is_cited_and_kept(tmp_path: Path, synthetic: ModuleType) -> None:
    facts = CalibrationFacts(says="ina-bridge B7, checked 2026-01-02 against 10 Ohm", record={"serial": "B7"})
    run = make_run(tmp_path / "run", synthetic, calibrations=(facts,))
    assert "calibrated meter: ina-bridge B7, checked 2026-01-02 against 10 Ohm" in render(run)
    assert Run.read(run.path).header.calibrations == (facts,)


def test_a_mixture_is_named_at_every_caption(tmp_path: Path, synthetic: ModuleType) -> None:
    page = render(make_run(tmp_path / "run", synthetic, provenance="board measured, cloud virtual"))
    captions = re.findall(r"<figcaption>.*?</figcaption>", page, re.DOTALL)
    assert all("board measured, cloud virtual" in caption for caption in captions)


def test_the_headline_is_what_was_measured(page: str) -> None:
    headline = page[page.index('id="headline"') : page.index("Energy efficiency</h2>")]
    assert "<b>3.00\u00d7</b><span>the energy efficiency of Edge (CPU FP32)</span>" in headline
    assert "<b>2.00\u00d7</b><span>the energy efficiency of Cloud</span>" in headline


def test_each_figure_is_there_once(page: str) -> None:
    drawings = re.findall(r'<div id="figure-([a-z0-9-]+)"', page)
    assert drawings == [
        *("efficiency-0", "energy-0", "latency-0", "decisions-0", "learning-0", "power", "stretch"),
        *("trace-0", "trace-1", "trace-2", "residuals", "truth", "temperature"),
    ]


def test_the_same_run_gives_the_same_page(run: Run, page: str) -> None:
    assert without_library(render(run)) == page


def test_the_page_is_written_whole(run: Run, tmp_path: Path) -> None:
    write_report(run, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_energy_without_a_monitor_is_not_measured(tmp_path: Path, synthetic: ModuleType) -> None:
    blind = {"energy": None, "opt": None, "truth_energy_j": None, "estimated_energy_j": None}
    run = synthetic.recorded(tmp_path / "run", blind, blind | {"policy": "autoscale", "reward": REWARD})
    page = without_library(render(run))
    table = page[page.index('id="figures"') : page.index("How far to trust")]
    assert table.count("not measured") == 2 * 3  # energy, efficiency and idle-subtracted energy of two policies
    assert not re.search(r"\b0(\.0+)?\s*[mµn]?J\b", page)


def test_a_run_that_has_hardly_begun_is_shown(tmp_path: Path, synthetic: ModuleType) -> None:
    page = without_library(render(synthetic.recorded(tmp_path / "run")))
    assert "0 of 1 trials, unfinished" in page
    assert "No trial of a policy is recorded yet" in page


def test_an_unfinished_run_is_shown_as_far_as_it_goes(unfinished: Path) -> None:
    page = without_library(render(Run.read(unfinished)))
    assert "3 of 6 trials, unfinished" in page


def test_a_lost_trial_is_counted_and_breaks_nothing(tmp_path: Path, synthetic: ModuleType) -> None:
    page = without_library(render(synthetic.recorded(tmp_path / "run", {}, LOST, LOST | {"policy": "autoscale"})))
    assert "1 lost with the board" in page


@given(st.lists(st.floats(0, 50), min_size=1, max_size=400), st.integers(2, 60))
def test_a_line_over_the_run_is_bounded_and_hides_no_extreme(values: list[float], most: int) -> None:
    time_s, all_values = np.arange(len(values), dtype=np.float64), np.array(values)
    found = spread(time_s, all_values, most)
    assert len(found.middle) <= most or len(values) <= most
    assert (found.low.min(), found.high.max()) == (min(values), max(values))
    assert ((found.low <= found.middle) & (found.middle <= found.high)).all()
    assert (np.diff(found.time_s) > 0).all()


@given(st.lists(st.floats(0, 50), min_size=1, max_size=400), st.integers(2, 60))
def test_a_trace_is_bounded_and_hides_no_extreme(values: list[float], most: int) -> None:
    time_s, power_w = envelope(np.arange(len(values), dtype=np.float64), np.array(values), most)
    assert len(power_w) <= max(most, 2) or len(values) <= most
    assert (power_w.min(), power_w.max()) == (min(values), max(values))
    assert (np.diff(time_s) > 0).all()


def test_the_benchmarks_run_is_one(tmp_path: Path) -> None:
    page = without_library(render(Run.read(make_many(tmp_path / "run", 60))))
    assert "60 of 61 trials, unfinished" in page
    assert 'id="figure-stretch"' in page


def test_names_from_outside_stay_text(tmp_path: Path, synthetic: ModuleType) -> None:
    evil = "</script><script>alert(1)</script>"
    changes = {"workload": evil, "environment": evil, "policy": evil, "reward": REWARD, "note": evil}
    run = synthetic.recorded(
        tmp_path / "run",
        *(changes | {"action": ActionRecord(target=evil, precision=evil, frequency_hz=None)} for _ in range(3)),
        changes,
        {"workload": evil, "environment": evil},
        suite={"name": evil},
        bench={"name": evil, evil: evil},
        provenance=evil,
    )
    assert "<script>alert" not in without_library(render(run))


def test_the_trace_shows_the_window_its_marks_and_the_baseline(run: Run) -> None:
    trial = run.trials[-1]
    figure = figures.power_trace(trial, run.samples_of(trial.index))
    window, first, last, baseline = figure.layout.shapes
    assert (window.x0, window.x1) == (0, 10.0)
    assert (first.x0, last.x0) == (0, 10.0)
    assert baseline.y0 == 2.0
    (line,) = figure.data
    assert list(line.x) == [float(ms) for ms in range(-4, 15)]  # half a window about it, of the 20 ms sampled


def test_shares_of_decisions_add_up(run: Run) -> None:
    rows = [row for row in analyse(run).rows if row.policy == "autoscale"]
    figure = figures.decisions(rows)
    assert {bar.name for bar in figure.data} == {"cpu/fp16", "gpu/fp16"}
    assert [sum(shares) for shares in zip(*(bar.x for bar in figure.data), strict=True)] == [100.0] * len(rows)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0123, "12.3 mJ"),
        (1.0, "1.00 J"),
        (0.0, "0 J"),
        (-0.002, "-2.00 mJ"),
        (1234.5, "1,234 J"),
        (None, "not measured"),
    ],
)
def test_energies_are_worded(value: float | None, words: str) -> None:
    assert formats.joules(value).replace(formats.SPACE, " ") == words


def test_ratios_and_fractions_are_worded() -> None:
    assert formats.times(Estimate(6.123, 5.0, 7.0)) == "6.12\u00d7"
    assert formats.times_interval(Estimate(6.123, 5.0, 7.0)) == "5.00\u20137.00"
    assert formats.times_interval(Estimate(6.123, None, None)) == ""
    assert formats.signed_percent(-0.0001) == "+0.0\u00a0%"
    assert formats.signed_percent(-0.02) == "\u22122.0\u00a0%"
    assert formats.with_uncertainty(0.0392, 0.00047) == "39.2\u00a0\u00b1\u00a00.47\u00a0mJ"


def test_a_path_that_strayed_is_told_with_its_trial_and_reason(tmp_path: Path, synthetic: ModuleType) -> None:
    strayed = ConditionRecord(asked={}, applied={}, observed={}, strayed=("cloud: goodput 90 Mbit/s up, 5 asked",))
    page = without_library(render(one_cell(tmp_path, synthetic, [{}, {"condition": strayed}, {}])))
    assert "1 trials in S1, such as trial 1: cloud: goodput 90 Mbit/s up, 5 asked" in page
    assert "1 off their condition" in page


def test_the_modelled_penalty_has_a_column_of_its_own_where_a_link_is_emulated(
    tmp_path: Path, synthetic: ModuleType
) -> None:
    emulated = one_cell(tmp_path / "emulated", synthetic, [{"radio_penalty_j": 0.25}, {"radio_penalty_j": None}])
    (row,) = analyse(emulated).rows
    assert row.radio_penalty_j == 0.125  # an inference on the board adds nothing
    assert "radio, modelled" in without_library(render(emulated))
    plain = one_cell(tmp_path / "plain", synthetic, [{}, {}])
    assert analyse(plain).rows[0].radio_penalty_j is None
    assert "radio, modelled" not in without_library(render(plain))


def one_cell(path: Path, synthetic: ModuleType, trials: list[dict[str, object]]) -> Run:
    with RunStore.create(path / "run", synthetic.header(), synthetic.plan(len(trials))) as store:
        for index, changes in enumerate(trials):
            store.append(synthetic.trial(index, environment="S1", energy=synthetic.energy(0.3), **changes), None)
        store.finish()
    return Run.read(path / "run")
