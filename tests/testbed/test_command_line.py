"""The command line as a whole: what it costs to start, and that every command can be reached."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from testbed.cli import run_command_line
from testbed.cli.app import app


def test_a_start_imports_no_room() -> None:
    heavy = "{'numpy', 'pyarrow', 'onnx', 'pydantic', 'power', 'results', 'scheduler'}"
    script = f"import sys, testbed.cli.app; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


def test_every_command_tells_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    group = typer.main.get_group(app)
    names = group.list_commands(typer.Context(group))
    for name in names:
        assert run_command_line([name, "--help"]) == 0
        told = capsys.readouterr().out
        assert told.startswith("Usage: ")
        assert f" {name} " in told.splitlines()[0]
    assert run_command_line(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in names)


def test_a_command_that_is_none_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["shwo"]) == 2
    assert "No such command 'shwo'" in capsys.readouterr().err
