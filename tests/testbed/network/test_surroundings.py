"""What goes on a trial's record of its surroundings, under a link that leaves the board's radio where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from testbed.agent.agent import Agent
from testbed.agent.boards.linux import open_board
from testbed.agent.life import SignsOfLife
from testbed.agent.store import ModelStore
from testbed.config.bench import NetemLinkSettings
from testbed.moment import Moment
from testbed.network.conditions import Applied, Condition
from testbed.serve import InferenceServer
from testbed.surroundings import Surroundings

WEAK, OUTAGE = Moment(0.0, 0.0, -78.0, -58.0), Moment(0.0, 0.0, -90.0, -58.0)


class Unshaped:
    """A link that says it did as it was told, and does nothing."""

    targets = ("cloud",)
    labels = ()
    moves_radio = False

    def apply(self, condition: Condition, target: str) -> Applied:
        return Applied(condition, condition, 7)

    def require_held(self) -> None: ...

    def restore(self) -> None: ...

    def __enter__(self) -> Unshaped:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Here:
    """The board's agent, without a wire between."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def ask(self, method: str, patience_s: float = 60.0, **arguments: object) -> Any:
        return getattr(self._agent, method)(**arguments)


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text("cpu  1 0 1 1 1 0 0 0\n")
    settings = NetemLinkSettings(kind="netem", interface="eth0", at="endpoint", probe=True)
    with InferenceServer({}) as server, open_board({"threads": 1, "root": tmp_path, "leases": tmp_path}) as board:
        agent = Agent(board, ModelStore(tmp_path / "models"), SignsOfLife())
        agent.endpoint("cloud", server.url, 30.0, terms={})
        yield Surroundings(Here(agent), Unshaped(), settings, {"cloud": server.url})  # type: ignore[arg-type]


def test_policies_see_the_signal_the_link_stands_for(surroundings: Surroundings) -> None:
    surroundings.impose(WEAK, anew=True)
    assert surroundings.signals() == {"rssi_dbm": -78.0}


def test_a_path_that_is_not_as_the_link_says_is_found_out(surroundings: Surroundings) -> None:
    surroundings.impose(WEAK, anew=True)
    record = surroundings.as_met(radio_dbm=-40.0, board=[])
    assert record.asked.keys() == {"co_runner", "link"}
    assert record.applied["link"]["time_ns"] == 7
    assert record.observed.keys() == {"link", "rssi_dbm"}
    # The radio's own signal is no stray: this link leaves it alone.
    (reason,) = record.strayed
    assert reason.startswith("cloud: goodput ")
    assert reason.endswith("Mbit/s up, 2.64 Mbit/s asked")


def test_the_penalty_is_that_of_the_path_an_inference_took(surroundings: Surroundings) -> None:
    assert surroundings.penalty_j("cloud", 150_000) is None
    surroundings.impose(WEAK, anew=True)
    assert surroundings.penalty_j("cpu", 150_000) is None
    assert (surroundings.penalty_j("cloud", 150_000) or 0.0) > 0.1


def test_an_outage_is_not_probed(surroundings: Surroundings) -> None:
    surroundings.impose(OUTAGE, anew=True)
    assert surroundings.as_met(-40.0, []).observed == {"rssi_dbm": -40.0}
    assert surroundings.condition.strayed == ()


def test_a_condition_in_force_is_left_alone_unless_it_is_to_be_imposed_anew(surroundings: Surroundings) -> None:
    surroundings.impose(WEAK, anew=True)
    first = surroundings.condition
    surroundings.impose(WEAK, anew=False)
    assert surroundings.condition is first
    surroundings.impose(WEAK, anew=True)
    assert surroundings.condition is not first


def test_a_co_runner_is_looked_at_before_each_trial_and_gone_while_the_board_rests(surroundings: Surroundings) -> None:
    player = Moment(0.0, 0.0, -58.0, -58.0, co_command=("sleep", "1000"))
    surroundings.impose(player, anew=True)
    first = surroundings.condition
    assert first.asked["co_runner"] == {"command": ["sleep", "1000"]}
    assert first.applied["co_runner"]["program"] == ["sleep", "1000"]
    surroundings.impose(player, anew=False)
    assert surroundings.condition is not first
    assert surroundings.condition.applied["link"] == first.applied["link"]  # which was left alone
    surroundings.rest()
    surroundings.impose(Moment(0.0, 0.0, -58.0, -58.0), anew=False)
    assert surroundings.condition.applied["co_runner"]["program"] == []
