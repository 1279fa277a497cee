"""Trials start within a band of temperatures, on a virtual board whose heat comes and goes in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.contract import Action
from testbed.agent.agent import Agent
from testbed.agent.boards import linux
from testbed.agent.contract import Board, CoRun
from testbed.agent.footing import Footing
from testbed.agent.life import SignsOfLife
from testbed.agent.store import ModelStore
from testbed.config import Suite
from testbed.errors import BenchError
from testbed.virtual.board import VirtualBoard, open_board
from testbed.warmth import Discipline, Wait, require_temperature

CONFIG = {"profile": "raspberry-pi-5", "seed": 3, "thermal_time_scale": 1e-4}


class Here:
    """The board's agent, without a wire between."""

    def __init__(self, board: Board, folder: Path) -> None:
        self._agent = Agent(board, ModelStore(folder), SignsOfLife())
        self.asked: list[str] = []

    def ask(self, method: str, **arguments: object) -> Any:
        self.asked.append(method)
        return getattr(self._agent, method)(**arguments)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with open_board({**CONFIG, "supply": str(tmp_path / "supply")}) as board:
        yield board


@pytest.fixture
def agent(board: VirtualBoard, tmp_path: Path) -> Here:
    return Here(board, tmp_path / "models")


def suite(**changes: object) -> Suite:
    return Suite.model_validate(
        {
            "name": "s",
            "workloads": [{"name": "a", "model": "resnet50", "qos_s": 0.05}],
            "environments": ["S1"],
            "actions": ["cpu/fp32@max"],
            "policies": [{"name": "edge-cpu-fp32", "trials": 1}],
            **changes,
        }
    )


def discipline(agent: Here, told: list[str], **changes: object) -> Discipline:
    return Discipline(agent, suite(**changes), time.monotonic_ns, told.append)  # type: ignore[arg-type]


def temperature_c(board: VirtualBoard) -> float:
    found = board.warmth().temperature_c
    assert found is not None
    return found


def around(middle_c: float) -> dict[str, Any]:
    return {"band_c": [f"{middle_c - 2} C", f"{middle_c + 2} °C"], "wait_s": "5 s"}


def test_a_trial_within_the_band_is_not_put_off(agent: Here, board: VirtualBoard) -> None:
    told: list[str] = []
    wait = Wait()
    discipline(agent, told, thermal=around(temperature_c(board))).await_band(wait)
    assert (told, wait.waited_s, wait.strayed) == ([], 0.0, ())
    assert wait.as_facts()["temperature_c"] == [temperature_c(board)]


def test_a_board_that_is_too_hot_is_left_to_cool(agent: Here, board: VirtualBoard) -> None:
    cool_c = temperature_c(board)
    told: list[str] = []
    wait = Wait()
    hot = discipline(agent, told, thermal=around(cool_c))
    board.co_run(CoRun(1.0, 1.0))
    while temperature_c(board) < cool_c + 3.0:
        pass
    agent.asked.clear()

    def cooling(text: str) -> None:
        told.append(text)
        board.co_run(None)  # the load goes away while the trial waits

    hot._tell = cooling
    hot.await_band(wait)
    assert wait.strayed == ()
    assert wait.waited_s > 0.0
    assert "waiting for" in told[0]
    assert told[-1] == ""
    assert "pulse" not in agent.asked
    facts = wait.as_facts()
    assert len(facts["time_ns"]) == len(facts["temperature_c"]) > 1
    assert facts["temperature_c"][0] > facts["temperature_c"][-1]


def test_a_board_that_is_too_cold_is_loaded_until_it_is_warm(agent: Here, board: VirtualBoard) -> None:
    wait = Wait()
    idle_c = temperature_c(board)
    band = {"band_c": [idle_c + 0.5, idle_c + 20.0], "wait_s": 5.0}
    discipline(agent, [], thermal=band).await_band(wait)
    assert "pulse" in agent.asked
    assert wait.strayed == ()


@pytest.mark.parametrize("otherwise", ["tag", "stop"])
def test_a_band_that_is_not_reached_in_time_tags_or_stops(agent: Here, board: VirtualBoard, otherwise: str) -> None:
    wait = Wait()
    vain = discipline(agent, [], thermal={"band_c": [-20.0, -10.0], "wait_s": 0.01, "otherwise": otherwise})
    if otherwise == "stop":
        with pytest.raises(BenchError, match=r"would have started at .* °C, outside -20 to -10 °C.*resume the run"):
            vain.await_band(wait)
        return
    vain.await_band(wait)
    (reason,) = wait.strayed
    assert reason.startswith(f"started at {temperature_c(board):.1f} °C, outside -20 to -10 °C, after ")


def test_cooling_down_is_told_and_on_record(agent: Here) -> None:
    told: list[str] = []
    wait = discipline(agent, told, cool_down_s="20 ms").cool_down()
    assert wait.cooled_s >= 0.02
    assert told[0].startswith("cooling down: ")
    assert len(wait.readings) >= 2


def test_a_band_needs_a_sensor(agent: Here, tmp_path: Path) -> None:
    require_temperature(agent, suite(thermal=around(40.0)))  # type: ignore[arg-type]
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text("cpu  1 0 1 1 1 0 0 0\n")
    with linux.open_board({"threads": 1, "root": tmp_path, "leases": tmp_path}) as bare:
        without = Here(bare, tmp_path / "models")
        require_temperature(without, suite())  # type: ignore[arg-type]
        with pytest.raises(BenchError, match="this board has no temperature sensor"):
            require_temperature(without, suite(thermal=around(40.0)))  # type: ignore[arg-type]


def test_throttling_tags_a_trial(tmp_path: Path) -> None:
    with open_board({**CONFIG, "supply": str(tmp_path / "hot"), "ambient_c": 90.0}) as board:
        footing = Footing(board)
        footing.take(Action("cpu", "fp32", None))
        told, strayed = footing.leave()
    assert told["throttled"] is True
    assert [reason.partition(":")[0] for reason in strayed] == ["throttled"]
