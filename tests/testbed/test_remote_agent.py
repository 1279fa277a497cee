"""The agent at the other end: over a local process, and over a real SSH server on loopback."""

from __future__ import annotations

import gc
import io
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from testbed.config.plugins import Agent
from testbed.errors import BenchError
from testbed.marks import BoardClock
from testbed.remote import RemoteAgent, RequestFailed

OPENER = "testbed.agent.boards.linux:open_board"


def agent(settings: Agent, config: dict[str, object] | None = None) -> RemoteAgent:
    return RemoteAgent(settings, OPENER, (), config or {"threads": 1})


def test_a_local_agent_tells_of_its_board() -> None:
    with agent(Agent()) as remote:
        assert remote.hello["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
        assert remote.ask("identify")["processors"]["cpu"]


def test_nothing_of_ours_needs_to_be_installed_where_the_agent_runs(tmp_path: Path) -> None:
    """An interpreter that sees numpy and no other package of this environment."""
    import numpy

    (tmp_path / "site").mkdir()
    libraries = Path(numpy.__file__).parent.parent
    for entry in libraries.glob("numpy*"):
        (tmp_path / "site" / entry.name).symlink_to(entry)
    python = tmp_path / "python"
    real = Path(sys.executable).resolve()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "site"} exec {real} -S "$@"\n')
    python.chmod(0o755)
    with agent(Agent(python=str(python))) as remote:
        assert remote.ask("identify")["model"]


def test_what_a_target_says_while_it_loads_reaches_the_controller() -> None:
    tensors = io.BytesIO()
    np.savez(tensors, x=np.zeros(1, np.float32))
    network = {"name": "m", "conv_layers": 1, "fc_layers": 0, "rc_layers": 0, "macs": 1, "input_bytes": 4}
    constraints = {"qos_s": 1.0, "period_s": None, "accuracy_target": 0.0, "accuracy": {"fp32": 1.0}}
    told: list[str] = []
    with agent(Agent()) as remote:
        remote.on_told = told.append
        remote.ask("endpoint", name="cloud", url="http://127.0.0.1:1", timeout_s=5.0, terms={})
        remote.ask(
            "workload",
            name="w",
            network=network,
            files={"fp32": "0" * 64},
            bytes_moved={"fp32": 4},
            inputs=[tensors.getvalue()],
            constraints=constraints,
        )
        assert remote.ask("load", workload="w", target="cloud", precision="fp32") is None
        assert remote.ask("identify")["processors"]
    (line,) = told
    assert line.startswith("not warmed: ")
    assert "127.0.0.1:1" in line


def test_an_agent_over_ssh_answers_and_its_clock_is_mapped(ssh: Agent) -> None:
    with agent(ssh) as remote:
        assert remote.ask("identify")["processors"]["cpu"]
        fit = BoardClock(remote, time.monotonic_ns).fit
    # The same machine at both ends: the two clocks are one.
    assert abs(fit.device_ns - fit.controller_ns) < 5e-3 * 1e9
    assert fit.standard_uncertainty_s < 5e-3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # execnet drops ssh's pipes unclosed
def test_a_host_that_refuses_is_named(ssh: Agent) -> None:
    with pytest.raises(BenchError, match=r"ssh://127\.0\.0\.1:1 cannot be reached"):
        agent(ssh.model_copy(update={"via": "ssh://127.0.0.1:1"})).__enter__()
    gc.collect()  # now, while the warning is expected


def test_an_interpreter_that_is_not_there_is_named() -> None:
    with pytest.raises(BenchError, match="/nowhere/python"):
        agent(Agent(python="/nowhere/python")).__enter__()


def test_a_board_that_cannot_be_opened_says_why() -> None:
    with pytest.raises(BenchError, match="unknown settings of a linux board: thread"):
        agent(Agent(), {"thread": 1}).__enter__()


def test_a_request_that_fails_leaves_the_agent_alive() -> None:
    with agent(Agent()) as remote:
        with pytest.raises(RequestFailed) as caught:
            remote.ask("load", workload="none", target="cpu", precision="fp32")
        assert caught.value.kind == "KeyError"
        assert remote.ask("identify")["model"]
