"""What `doctor` says of a board at the end of SSH, and of what cuts its supply."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from testbed.config import bench_schema
from testbed.config.plugins import Agent
from testbed.doctor import examine
from testbed.finding import Finding
from tests.testbed.conftest import Way

HUB = """
echo "$@" >> $CALLS
echo "Current status for hub 1-1 [0bda:5411 Generic USB2.1 Hub, USB 2.10, 4 ports, ppps]"
echo "  Port 2: 0503 power highspeed enable connect [1d6b:0002]"
"""
NO_HUB = """
echo "No compatible devices detected at location 1-1!" >&2
exit 1
"""


def look(ssh: Agent, switch: Mapping[str, object]) -> Mapping[str, Finding]:
    agent = ssh.model_dump(mode="json")
    board = {"kind": "linux", "threads": 1, "supply_voltage_v": 5.0, "agent": agent, "power": switch}
    return {found.what: found for found in examine(bench_schema().model_validate({"name": "bench", "board": board}))}


def test_the_agent_its_version_its_clock_and_the_switch_are_looked_at(ssh: Agent, way: Way) -> None:
    way.program("uhubctl", HUB)
    found = look(ssh, {"kind": "uhubctl", "location": "1-1", "port": 2})
    assert {name: found[name].verdict for name in ("agent", "python", "packages", "clock step", "power switch")} == {
        "agent": "ok",
        "python": "ok",
        "packages": "ok",
        "clock step": "ok",
        "power switch": "ok",
    }
    assert found["restoring"].verdict == "doubtful"
    assert way.calls("uhubctl.calls") == ["-l 1-1 -p 2"], "nothing was switched"


@pytest.mark.parametrize(
    ("program", "port", "words"),
    [
        (HUB, 3, "the hub at 1-1 has no port 3"),
        (NO_HUB, 2, "'uhubctl -l 1-1 -p 2' ended with status 1: No compatible devices detected at location 1-1!"),
        (None, 2, "there is no program uhubctl here; on Debian: sudo apt-get install uhubctl"),
    ],
)
def test_a_hub_that_cannot_cut_the_supply_is_named(
    ssh: Agent, way: Way, program: str | None, port: int, words: str
) -> None:
    if program is not None:
        way.program("uhubctl", program)
    way.refuse(1)  # the board itself is not what is looked at here
    found = look(ssh, {"kind": "uhubctl", "location": "1-1", "port": port})
    assert found["power switch"].verdict == "wrong"
    assert words in found["power switch"].detail
    assert "cannot be reached" in found["bench"].detail


def test_a_switch_by_command_needs_its_programs(ssh: Agent, way: Way) -> None:
    way.program("relay", "exit 0")
    way.refuse(2)
    there = look(ssh, {"kind": "command", "off": ["relay", "0"], "on": ["relay", "1"]})
    assert there["power switch"].detail == "'relay 0': the program is there, nothing was switched"
    missing = look(ssh, {"kind": "command", "off": ["relay", "0"], "on": ["no-such-relay", "1"]})
    assert "there is no program no-such-relay here" in missing["power switch"].detail
