"""What commands write on, how they end, and arguments that several take."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

FAILED, UNHEALTHY, INTERRUPTED = 1, 4, 130
PIPE_COLUMNS = 120
"""width of what goes to a file or a pipe"""
_WIDTH = None if sys.stdout.isatty() else PIPE_COLUMNS
SCREEN = Console(highlight=False, width=_WIDTH)
LINES = Console(highlight=False, soft_wrap=True, width=_WIDTH)
"""the same, for those who write lines, which are never broken"""
ERRORS = Console(stderr=True, soft_wrap=True, highlight=False)

BenchFile = Annotated[Path, typer.Option("--bench", help="The bench file: everything on the table.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, as `testbed run` makes it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def print_json(value: Any) -> None:
    """Indented, on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
