"""Runs a program of this package on a board, with an order and files, and hears its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from testbed.config.plugins import Agent
from testbed.errors import BenchError
from testbed.ssh import python_of, run_there

BOOTSTRAP = (
    "import json,sys;i=sys.stdin.buffer;o=json.loads(i.readline().decode());n={'__name__':'board_end'};"
    "exec(o['program'],n);print(json.dumps(n['main'](o['order'],{f:i.read(s) for f,s in o['payload']})))"
)
"""all that the command line carries, for any Python from 3.6 on; the rest follows on stdin"""
_NOT_FOUND = 127
"""a shell's exit status where there is no such command"""


def run_program(
    agent: Agent, name: str, order: Mapping[str, object], patience_s: float, payload: Mapping[str, bytes] | None = None
) -> dict[str, Any]:
    """What the program's `main(order, payload)` returns there.

    Raises BenchError where it fails or there is no Python, `testbed.ssh.Unreachable` where there is no way.
    """
    payload = payload or {}
    head = {
        "program": files("testbed.deploy").joinpath(name).read_text(encoding="utf-8"),
        "order": dict(order),
        "payload": [(file, len(content)) for file, content in payload.items()],
    }
    stdin = b"".join([json.dumps(head).encode(), b"\n", *payload.values()])
    python = python_of(agent)
    done = run_there(agent, [python, "-c", BOOTSTRAP], patience_s, stdin)
    if done.returncode == _NOT_FOUND:
        raise BenchError(
            f"there is no {python} on {agent.via}: install one (on Debian: sudo apt-get install python3-venv), or name "
            "another with --python"
        )
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        words = (done.stderr.decode(errors="replace").strip() or "it said nothing").splitlines()
        raise BenchError(f"{python} on {agent.via} failed (status {done.returncode}): {words[-1]}")
    if "failed" in answer:
        raise BenchError(f"on {agent.via}: {answer['failed']}")
    return answer
