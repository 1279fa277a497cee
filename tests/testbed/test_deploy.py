"""The agent's place on a board, put there over a real SSH server, with the real pip and wheels made here."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import signal
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.cli import run_command_line
from testbed.config.plugins import Agent
from testbed.deploy import checks, deployment
from testbed.errors import BenchError
from testbed.finding import Finding
from testbed.remote import RemoteAgent
from tests.testbed.conftest import BOARD_FOLDERS, Way

PLACE = Path("board/XDG_DATA_HOME/edge-energy-testbed")
UNITS = Path("board/SYSTEMD_UNIT_PATH")


def wheel(folder: Path, name: str, version: str, libraries: str) -> None:
    """A wheel that leads to the package as it is installed here, so that nothing is downloaded."""
    info = f"{name}-{version}.dist-info"
    members = {
        f"{name}-here.pth": f"{libraries}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {file: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for file, text in members.items()}
    record = [f"{file},sha256={digest.decode().rstrip('=')},{len(members[file])}" for file, digest in digests.items()]
    members[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for file, text in members.items():
            archive.writestr(file, text)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("numpy", "onnxruntime"):
        wheel(folder, name, "1.99", sysconfig.get_path("purelib"))
    return folder


@pytest.fixture
def testbed(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs a command of the command line; returns its status, stdout and stderr."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: str) -> tuple[int, str, str]:
        return run_command_line(arguments), *capsys.readouterr()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def quiet(text: str) -> None: ...


def test_deploying_twice_running_an_agent_there_and_taking_it_away(
    testbed: Callable[..., tuple[int, str, str]], tmp_path: Path, ssh: Agent, wheels: Path
) -> None:
    board = [ssh.via, "--ssh-config", str(ssh.ssh_config), "--python", str(ssh.python)]
    (wheels / "numpy-1.99-py3-none-any.whl").rename(tmp_path / "numpy-1.99-py3-none-any.whl")
    with pytest.raises(
        BenchError, match=r"(?s)No matching distribution found for numpy.*wheels from here; have them by"
    ):
        list(deployment.deploy(ssh, quiet, wheels=wheels))
    (tmp_path / "numpy-1.99-py3-none-any.whl").rename(wheels / "numpy-1.99-py3-none-any.whl")

    status, out, err = testbed("agent", "deploy", *board, "--wheels", str(wheels))
    assert status == 0, out + err
    assert "ok  packages: numpy 1.99, onnxruntime 1.99" in out
    assert "what puts things back unattended is not running" in out or "looks every minute" in out
    block = yaml.safe_load("board:\n" + out.rpartition("of a bench file:")[2].strip("\n"))["board"]["agent"]
    with RemoteAgent(Agent(**block), "testbed.agent.boards.linux:open_board", (), {"threads": 1}) as remote:
        assert remote.ask("identify")["processors"]["cpu"]
    unit = (tmp_path / UNITS / "testbed-restore.service").read_text()
    assert f"ExecStart={block['python']} -m testbed.agent.guard sweep" in unit
    assert f"PYTHONPATH={tmp_path / PLACE}/agent.zip" in unit

    made = (tmp_path / PLACE / "venv" / "pyvenv.cfg").stat().st_mtime_ns
    # Nothing is missing the second time: no wheels are needed, no index is asked, what is there stays.
    found = {each.what: each for each in deployment.deploy(ssh, quiet)}
    assert (tmp_path / PLACE / "venv" / "pyvenv.cfg").stat().st_mtime_ns == made
    assert found["restoring"].detail == f"version {version('edge-energy-testbed')}, the same as here"

    told = json.loads((tmp_path / PLACE / "deployed.json").read_text())
    (tmp_path / PLACE / "deployed.json").write_text(json.dumps(told | {"version": "0.0.1", "digest": "of another"}))
    status, out, _ = testbed("agent", "check", ssh.via, "--ssh-config", str(ssh.ssh_config))
    assert status == 1
    assert "wrong  restoring: " in out
    assert "`testbed agent deploy` again" in out

    status, out, err = testbed("agent", "remove", *board)
    assert (status, out) == (0, f"removed {tmp_path / PLACE} from {ssh.via}\n"), err
    left = [path for name in (*BOARD_FOLDERS, UNITS.name) for path in (tmp_path / "board" / name).rglob("*")]
    assert [path for path in left if path.is_file() and "pip" not in path.parts] == []
    assert deployment.remove(ssh) == [f"nothing was deployed on {ssh.via}"]


def test_a_folder_without_wheels_is_answered_with_how_to_fill_it(ssh: Agent, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no wheels; have them by `pip download --only-binary :all:") as told:
        list(deployment.deploy(ssh, quiet, wheels=tmp_path))
    assert f"--platform manylinux_2_28_{os.uname().machine}" in str(told.value)
    assert "'numpy>=" in str(told.value)


def test_a_host_without_that_python_or_without_a_way_is_named(
    testbed: Callable[..., tuple[int, str, str]], ssh: Agent, way: Way
) -> None:
    config = ["--ssh-config", str(ssh.ssh_config)]
    _, _, err = testbed("agent", "check", ssh.via, *config, "--python", "python3.99")
    assert f"there is no python3.99 on {ssh.via}" in err
    way.refuse(1)
    _, _, err = testbed("agent", "check", ssh.via, *config)
    assert f"{ssh.via} cannot be reached by ssh without a password (ssh: connect to host board" in err
    assert "Connection refused" in err
    assert "'a b' is no host" in testbed("agent", "check", "a b")[2]


FACTS: dict[str, Any] = {
    "python": [3, 11, 2],
    "agent": {"python": [3, 11, 2], "packages": {"numpy": "2.0", "onnxruntime": "1.22", "tensorrt": None}},
    "agent_python": "/home/pi/venv/bin/python",
    "l4t": "",
    "user": "pi",
    "base": "/home/pi/.local/share/edge-energy-testbed",
    "free_bytes": 10**10,
    "synchronised": "yes",
    "permissions": [{"found": 1, "path": None, "group": None}] * 4,
    "deployed": None,
}


def findings(clock_off_s: float = 0.0, **changes: object) -> Mapping[str, Finding]:
    return {found.what: found for found in checks.judge(checks.Survey({**FACTS, **changes}, clock_off_s, 0.5))}


@pytest.mark.parametrize(
    ("number", "l4t", "words"),
    [
        ([3, 6, 9], "# R32 (release)", "JetPack 4, whose TensorRT is for its own Python 3.6"),
        ([3, 8, 10], "# R35 (release)", "JetPack 5, whose TensorRT is for its own Python 3.8"),
        ([3, 13, 5], "", "the agent needs 3.10 to 3.12"),
    ],
)
def test_a_python_too_old_or_too_new_is_named_with_the_cure(number: list[int], l4t: str, words: str) -> None:
    found = findings(python=number, agent=None, l4t=l4t)["python"]
    assert found.verdict == "wrong"
    assert words in found.detail
    assert "--python" in found.detail


def test_a_missing_right_is_named_with_the_command_that_grants_it() -> None:
    by_group = {"found": 2, "path": "/dev/gpiochip0", "group": "gpio"}
    by_nobody = {"found": 1, "path": "/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "group": None}
    granted = {"found": 0, "path": None, "group": None}
    found = findings(permissions=[by_nobody, granted, by_group, granted])
    assert "sudo usermod -aG gpio pi, then log in again" in found["GPIO lines"].detail
    assert "sudo chmod a+w /sys/devices/system/cpu/cpufreq/policy*/scaling_m[ai]?_freq" in found["CPU clocks"].detail
    assert "I2C buses" not in found, "what the board has not is no trouble"


def test_a_wrong_date_and_a_full_disk_are_doubtful() -> None:
    assert findings()["date"].verdict == "ok"
    assert findings(clock_off_s=-86400.0)["date"].verdict == "doubtful"
    assert findings(synchronised="no")["date"].verdict == "doubtful"
    assert findings(free_bytes=10**8)["disk of the board"].verdict == "doubtful"


def test_the_survey_is_written_for_the_oldest_python_that_must_be_told_it_is_too_old() -> None:
    source = Path(checks.__file__).with_name("board_survey.py").read_text()
    ast.parse(source, feature_version=(3, 6))


def test_what_the_agent_needs_is_what_this_distribution_states() -> None:
    assert [need.partition(">")[0] for need in deployment.needs(["gpiod"])] == ["numpy", "onnxruntime", "gpiod"]


def test_an_agent_of_another_version_that_was_loaded_before_is_named(ssh: Agent, tmp_path: Path) -> None:
    """A start-up file on the board imports a package of our name: the code that was sent would not be what runs."""
    other = tmp_path / "other" / "testbed" / "agent"
    other.mkdir(parents=True)
    for folder in (other, other.parent):
        (folder / "__init__.py").touch()
    (other / "main.py").touch()
    (tmp_path / "other" / "sitecustomize.py").write_text("import testbed.agent.main\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "other"} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    settings = ssh.model_copy(update={"python": str(python)})
    with pytest.raises(BenchError, match=r"has loaded another version of the agent, .*other/testbed/agent/main\.py"):
        RemoteAgent(settings, "testbed.agent.boards.linux:open_board", (), {}).__enter__()
