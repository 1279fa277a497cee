"""The report as a reader meets it: in a headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bench.browser import Browser, found
from results.report import write_comparison, write_report
from results.run import Run
from tests.results.test_report import make_run

PHONE = 390


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = found()
    if program is None:
        pytest.skip("needs a Chromium; on Debian: the package chromium")
    with Browser(program) as opened:
        yield opened


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, synthetic: ModuleType) -> Run:
    return make_run(tmp_path_factory.mktemp("browser") / "run", synthetic)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    path = run.path / "report.html"
    write_report(run, path)
    return path.as_uri()


def shown(browser: Browser, url: str, width: int = 1200, *, dark: bool = False) -> None:
    """Open, and have every figure in sight."""
    browser.complaints.clear()
    browser.look(width, 900, dark=dark)
    browser.open(url)
    browser.look(width, browser.run("document.documentElement.scrollHeight") + 600, dark=dark)
    browser.wait_for("[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))")


def test_every_figure_is_drawn_and_nothing_complains(browser: Browser, page: str) -> None:
    shown(browser, page)
    assert browser.run("document.querySelectorAll('.plot .main-svg').length") >= 13
    assert browser.run("document.documentElement.scrollWidth") == 1200
    assert browser.complaints == []


def test_a_phone_need_not_scroll_sideways(browser: Browser, page: str) -> None:
    shown(browser, page, PHONE)
    assert browser.run("document.documentElement.scrollWidth") == PHONE
    ends = "[...document.querySelectorAll('.plot .main-svg')].map((svg) => svg.getBoundingClientRect().right)"
    assert browser.run(f"Math.max(...{ends})") <= PHONE
    assert browser.complaints == []


def test_in_the_dark_text_and_lines_stand_out(browser: Browser, page: str) -> None:
    shown(browser, page, dark=True)
    contrasts = browser.run(
        """(() => {
            const light = (rgb) => rgb.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
                .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            const paper = light(getComputedStyle(document.body).backgroundColor);
            const contrast = (rgb) => (light(rgb) + 0.05) / (paper + 0.05);
            const all = (query, of) => [...document.querySelectorAll(query)]
                .map((each) => contrast(getComputedStyle(each)[of]));
            return {
                paper,
                text: Math.min(...all("p, h1, h2, h3, td, th, figcaption, summary, a, button", "color")),
                ticks: Math.min(...all(".xtick text, .ytick text", "fill")),
                lines: Math.min(...all("#figure-stretch .js-line, #figure-learning-0 .js-line", "stroke")),
            };
        })()"""
    )
    assert contrasts["paper"] < 0.05
    assert contrasts["text"] >= 4.5
    assert contrasts["ticks"] >= 4.5
    assert contrasts["lines"] >= 3


def test_the_keyboard_reaches_every_figure_and_zooms_a_trace(browser: Browser, page: str) -> None:
    shown(browser, page)
    figures = set(browser.run("[...document.querySelectorAll('.drawing')].map((drawing) => drawing.id)"))
    reached: set[str] = set()
    for _ in range(400):
        browser.press("Tab")
        at = browser.run("(document.activeElement.matches('.plot') && document.activeElement.parentNode.id) || ''")
        reached |= {at} - {""}
        if at == "figure-stretch":
            spread = "(() => { const [a, b] = document.activeElement.layout.xaxis.range; return b - a; })()"
            before = browser.run(spread)
            browser.press("+")
            browser.wait_for(f"{spread} < {before} * 0.6")
        if reached == figures:
            break
    assert reached == figures


def test_a_screen_reader_has_names_headings_and_tables(browser: Browser, page: str) -> None:
    shown(browser, page)
    lacking = browser.run(
        """(() => {
            const all = (query) => [...document.querySelectorAll(query)];
            const levels = all("h1, h2, h3").map((heading) => +heading.tagName[1]);
            return {
                landmarks: ["header", "nav", "main"].filter((tag) => !document.querySelector(tag)),
                figures: all(".plot").filter((plot) => !plot.getAttribute("aria-label")).length,
                tables: all(".drawing").filter((each) => !each.querySelector("caption") || !each.querySelector("td")),
                scopes: all("th").filter((th) => !th.scope).length,
                headings: levels.filter((level, i) => i && level - levels[i - 1] > 1).length,
                targets: all("nav a").filter((a) => !document.querySelector(a.getAttribute("href"))).length,
            };
        })()"""
    )
    assert lacking == {"landmarks": [], "figures": 0, "tables": [], "scopes": 0, "headings": 0, "targets": 0}


def test_a_figure_is_saved_as_drawing_and_as_data(browser: Browser, page: str) -> None:
    shown(browser, page, dark=True)
    browser.run(
        "window.kept = [];"
        "URL.createObjectURL = (blob) => { blob.text().then((text) => kept.push(text)); return 'blob:x'; };"
        "HTMLAnchorElement.prototype.click = function () {}; 0"
    )
    browser.run("document.querySelector('#figure-efficiency-0 [data-save=csv]').click()")
    browser.wait_for("kept.length === 1")
    header, *lines = browser.run("kept[0]").splitlines()
    assert header == "series,x,times Edge (CPU FP32),low,high"
    series, environment, efficiency, *_ = lines[0].split(",")
    assert (series, environment, float(efficiency)) == ("Cloud", "S1", pytest.approx(1.5))
    svg = browser.run(
        "Plotly.toImage(document.querySelector('#figure-efficiency-0 .plot'), {format: 'svg'}).then(decodeURIComponent)"
    )
    assert svg.startswith("data:image/svg+xml,<svg")


def test_runs_are_compared_on_a_page_of_their_own(
    browser: Browser, run: Run, tmp_path: Path, synthetic: ModuleType
) -> None:
    other = make_run(tmp_path / "other", synthetic)
    path = tmp_path / "comparison.html"
    write_comparison([run, other], path)
    shown(browser, path.as_uri(), PHONE)
    assert browser.run("document.documentElement.scrollWidth") == PHONE
    assert "+0.0" in browser.run("document.querySelector('main table').textContent")
    assert browser.complaints == []
