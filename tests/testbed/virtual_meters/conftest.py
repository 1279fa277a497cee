"""A stepped meter at the far end of a raw port, for tests that speak its protocol byte by byte."""

from __future__ import annotations

import importlib
import os
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.virtual.meters import program
from testbed.virtual.meters.line import Line
from testbed.virtual.supply import SupplyWriter

MS = 1_000_000


class Stepped:
    """A meter that lives in steps, and its port, held open raw."""

    def __init__(self, device: program.Device, line: Line) -> None:
        self._device = device
        self._line = line
        self.now_ns = 0
        self.port = os.open(line.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.port)

    def write(self, data: bytes) -> None:
        assert os.write(self.port, data) == len(data)

    def read(self) -> bytes:
        """What the port shows now. Raises EOFError when the far end hung up."""
        data = b""
        while True:
            self._line.deliver(self.now_ns)
            try:
                chunk = os.read(self.port, 65536)
            except BlockingIOError:
                return data
            if not chunk:
                raise EOFError
            data += chunk

    def run(self, until_ns: int, step_ns: int = 50 * MS, after: bytes = b"") -> bytes:
        """Write `after`, then live to `until_ns` in steps; all that came."""
        self.write(after)
        heard = b""
        for time_ns in [*range(self.now_ns, until_ns, step_ns), until_ns]:
            program.step(self._device, self._line, self.now_ns, time_ns)
            self.now_ns = time_ns
            heard += self.read()
        return heard


Start = Callable[..., Stepped]


@pytest.fixture
def supply_path(tmp_path: Path) -> Path:
    return tmp_path / "supply"


@pytest.fixture
def supply(supply_path: Path) -> Iterator[SupplyWriter]:
    """A board whose past can still be written: its clock stands at 0."""
    with SupplyWriter(supply_path, clock=lambda: 0) as writer:
        yield writer


@pytest.fixture
def start(supply: SupplyWriter, supply_path: Path) -> Iterator[Start]:
    """Starts stepped meters, by module and options; `supply` is what they measure."""
    with ExitStack() as stack:

        def start_one(module: str, *arguments: str) -> Stepped:
            meter = importlib.import_module(f"testbed.virtual.meters.{module}")
            options = meter.options().parse_args(["--stepped", f"--supply={supply_path}", *arguments])
            stepped = Stepped(*stack.enter_context(program.opened(options, meter.build)))
            stack.callback(os.close, stepped.port)
            return stepped

        yield start_one
