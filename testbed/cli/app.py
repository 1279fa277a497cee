"""Commands, and what their failures look like: one message on stderr, an exit status, no traceback."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import FrameType, MappingProxyType
from typing import Any

import typer
from rich.logging import RichHandler
from typer.core import TyperGroup
from typer.main import get_command, get_group

from testbed.cli.screen import ERRORS, FAILED

_COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "run": ("running", "run"),
        "report": ("figures", "report"),
        "show": ("figures", "show"),
        "compare": ("compare", "compare_"),
        "live": ("live_page", "live"),
        "timeline": ("figures", "timeline"),
        "collect": ("running", "collect"),
        "export": ("dataset", "export"),
        "dataset": ("dataset", "dataset"),
        "doctor": ("looking", "doctor"),
        "schema": ("looking", "schema"),
        "board": ("board", "board"),
        "agent": ("agent", "agent"),
        "monitor": ("monitor", "monitor"),
        "calibrate": ("calibrate", "calibrate"),
        "net": ("net", "net"),
        "serve": ("serve", "serve"),
        "models": ("models", "models"),
        "arena": ("arena", "arena"),
    }
)
"""command -> module of this package, and the function or group in it"""


class Commands(TyperGroup):
    """Imports a command when it is asked for: to import them all takes a second, and five on a Raspberry Pi."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of a day's work."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """None where there is no such command."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        found = getattr(import_module(f"testbed.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            return get_group(found)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(cmd_name)(found)
        return get_command(alone)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def testbed() -> None:
    """Measures, models and minimises the energy of DNN inference on Jetson and Raspberry Pi boards."""


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_interrupt)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=ERRORS, show_time=False, show_path=False)],
    )
    try:
        app(list(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else FAILED
    except _expected() as error:
        ERRORS.print(f"error: {error}", markup=False, style="red")
    except OSError as error:
        ERRORS.print(f"error: {error.filename or ''}: {error.strerror or error}", markup=False, style="red")
    return FAILED


def _expected() -> tuple[type[Exception], ...]:
    """Not imported before something has failed."""
    from testbed.cli.expected import EXPECTED

    return EXPECTED


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
