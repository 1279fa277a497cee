"""A board opened for a person's hands: as it stands, without what a bench asks of it for a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.config import Bench
from testbed.config.plugins import Agent
from testbed.errors import BenchError
from testbed.remote import RemoteAgent, RequestFailed

_FOR_RUNS = frozenset({"power_mode", "cores_on", "governor", "caps_hz", "allow_reboot", "marker"})
_OPENERS = {
    "nvidia,tegra": "testbed.agent.boards.jetson:open_board",
    "raspberrypi,": "testbed.agent.boards.raspberry_pi:open_board",
}
"""what the device tree's `compatible` holds -> who opens such a machine"""


def opener_here(root: Path = Path("/")) -> str:
    """`module:function` that opens the machine this runs on."""
    try:
        compatible = (root / "proc/device-tree/compatible").read_text(errors="replace")
    except OSError:
        compatible = ""
    found = (opener for words, opener in _OPENERS.items() if words in compatible)
    return next(found, "testbed.agent.boards.linux:open_board")


@contextmanager
def board_by_hand(bench: Bench | None) -> Iterator[RemoteAgent]:
    """The agent on a bench's board, or on this machine. Raises BenchError for a board without knobs."""
    with tempfile.TemporaryDirectory(prefix="testbed-") as folder, board_on(bench, Path(folder) / "supply") as agent:
        yield agent


@contextmanager
def board_on(bench: Bench | None, supply: Path) -> Iterator[RemoteAgent]:
    """The same; a virtual board writes what it draws to the file `supply`."""
    if bench is None:
        agent = RemoteAgent(Agent(), opener_here(), (), {})
    else:
        board = bench.board
        asked = board.agent_config(supply, 0)
        config = {key: value for key, value in asked.items() if key not in _FOR_RUNS}
        agent = RemoteAgent(board.agent, board.opener, board.packages, config)
    with agent:
        if not agent.ask("identify")["knobs"]:
            raise BenchError("this board has no knobs but its frequencies, which suites set: nothing to do by hand")
        yield agent


def tune(agent: RemoteAgent, knob: str, value: str) -> None:
    """Raises BenchError where the board refuses."""
    try:
        agent.ask("tune", patience_s=120.0, knob=knob, value=value)
    except RequestFailed as failure:
        raise BenchError(f"{failure}") from None
