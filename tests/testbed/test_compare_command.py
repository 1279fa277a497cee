"""`testbed compare` and `testbed show` as a gate of continuous integration: tables, JSON, exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.cli import run_command_line
from tests.results import conftest as synthetic

FAILED, USAGE, GATE = 1, 2, 3


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    """Before and after: the cloud's energies are up by a fifth."""
    for name, factor in (("before", 1.0), ("after", 1.2)):
        synthetic.recorded(
            tmp_path / name,
            *(
                {"block": block, "policy": policy, "energy": synthetic.energy(0.1 * share * (1 + 0.01 * block))}
                for block in range(4)
                for policy, share in (("edge-cpu-fp32", 3.0), ("cloud", factor))
                for _ in range(2)
            ),
        )
    return str(tmp_path / "before"), str(tmp_path / "after")


def test_what_changed_is_shown(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", *runs]) == 0
    shown = capsys.readouterr().out
    assert "+20.0\u00a0%" in shown
    assert "virtual bench: simulated silicon" in shown


def test_the_gate_has_a_status_of_its_own(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", *runs, "--fail-if", "energy_j>+5%"]) == GATE
    told = capsys.readouterr().err
    assert "Cloud: +20.0\u00a0%" in told
    assert "fails: the whole interval lies beyond" in told
    assert "Edge (CPU FP32): +0.0\u00a0%" in told
    assert run_command_line(["compare", *runs, "--fail-if", "energy_j>+5%", "--policy", "edge-cpu-fp32"]) == 0
    assert run_command_line(["compare", *runs, "--fail-if", "energy_j>+50%", "--fail-if", "latency_s>+1%"]) == 0


def test_json_holds_the_judgement(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", *runs, "--json", "--fail-if", "energy_j>+5%"]) == GATE
    told = json.loads(capsys.readouterr().out)
    assert {each["where"]: each["verdict"] for each in told["conditions"]} == {
        "Edge (CPU FP32)": "holds",
        "Cloud": "fails",
    }
    assert told["overall"][1]["energy"]["value"] == pytest.approx(1.2)


def test_levels_of_one_run(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["show", runs[1], "--policy", "cloud", "--fail-if", "energy_j>110 mJ"]) == GATE
    assert "Cloud in mobilenet, S1" in capsys.readouterr().err
    assert run_command_line(["show", runs[1], "--json", "--fail-if", "latency_s>33 ms"]) == 0
    assert [each["verdict"] for each in json.loads(capsys.readouterr().out)["conditions"]] == ["holds"] * 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compare", "A"], "give pairs of runs"),
        (["compare", "A", "B", "--fail-if", "energy>+5%"], "there are energy_j, latency_s, qos_violations"),
        (["compare", "A", "B", "--fail-if", "energy_j>5 J"], "is no change"),
        (["show", "A", "--fail-if", "energy_j>+5%"], "testbed compare"),
        (["compare", "A", "B", "--policy", "nobody"], "there are: edge-cpu-fp32, cloud"),
    ],
)
def test_a_wrong_call_is_told_in_one_message(
    runs: tuple[str, str], arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = dict(zip("AB", runs, strict=True))
    assert run_command_line([paths.get(each, each) for each in arguments]) == USAGE
    told = capsys.readouterr().err
    assert says in " ".join(told.replace("│", " ").split())
    assert "Traceback" not in told


def test_too_few_blocks_are_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic.recorded(tmp_path / "run", {"block": 0}, {"block": 1})
    run = str(tmp_path / "run")
    assert run_command_line(["compare", run, run, "--fail-if", "energy_j>+5%"]) == FAILED
    assert "cannot be judged" in capsys.readouterr().err


def test_a_comparison_page_and_a_timeline_are_written(runs: tuple[str, str], tmp_path: Path) -> None:
    assert run_command_line(["report", *runs, "--out", str(tmp_path / "both.html")]) == 0
    assert "2 runs compared" in (tmp_path / "both.html").read_text()
    assert run_command_line(["timeline", runs[0]]) == 0
    assert json.loads((Path(runs[0]) / "timeline.perfetto.json").read_text())["traceEvents"]
