from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.far_end import FarEnd
from bench.firmware_end import Event, built, events, firmware_end
from bench.waveform import Segment, Waveform
from tests.firmware.wire import Wire

QUIET = {"noise-steps": 0.0, "conversion-error": 0.0}


@pytest.fixture(scope="session")
def folder() -> Path:
    """The firmware and its emulator, built once."""
    try:
        return built()
    except RuntimeError as error:
        if "install it with" in str(error):
            pytest.skip(f"no firmware without its tools: {error}")
        raise


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], list[Event]]:
    """What really happened, as far as the emulator has come."""
    return lambda: events(tmp_path / "events")


@pytest.fixture
def emulate(folder: Path, tmp_path: Path) -> Iterator[Callable[..., FarEnd]]:
    """Starts the firmware in its emulator, the board's power a ramp from 1 W at 1 W/s."""
    ends: list[FarEnd] = []
    supply = tmp_path / "supply"
    Waveform([Segment(100.0, 1.0, 101.0)]).write(supply)

    def start(*, firmware: str = "bridge.elf", **options: object) -> FarEnd:
        wiring = {"supply-voltage": 5.0, "sensor": "ina219@0x40", "shunt-ohm": 0.1, "supply": supply}
        named = {name.replace("_", "-"): value for name, value in options.items()}
        log = {"events": tmp_path / "events"}
        ends.append(firmware_end(folder, {**wiring, **QUIET, **log, **named}, firmware))
        return ends[-1]

    yield start
    for end in ends:
        end.__exit__(None, None, None)


@pytest.fixture
def wire(emulate: Callable[..., FarEnd]) -> Iterator[Callable[..., Wire]]:
    """The same, at the other end of its bare wire."""
    wires: list[Wire] = []

    def start(**options: object) -> Wire:
        wires.append(Wire(emulate(**options)))
        return wires[-1]

    yield start
    for each in wires:
        each.close()
