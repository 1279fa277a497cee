"""What the bridge's firmware carries, in emulated time: `python -m bench firmware_rates`.

The firmware runs in its emulator, whose I2C and UART take the time they take. Conversions are counted, each once.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Figure
from bench.firmware_end import built, events, firmware_end
from bench.waveform import Segment, Waveform
from power import BridgeInput
from power.bridge_protocol import SAMPLE_TYPES, Decoder, Frame, SampleFrame, Type

STEP_NS = 1_000_000
BOOT_STEPS, STREAM_STEPS, PATIENCE_STEPS = 20, 1000, 60
TWELVE_BITS_S = 532e-6


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to read an INA219, and what is hoped of it."""

    name: str
    sensor: BridgeInput
    goal_hz: float | None
    """at 1 Mbaud"""


def _ina219(bus_divisor: int, conversion_s: float | None = None) -> BridgeInput:
    return BridgeInput(shunt_ohm=0.1, supply_v=5.0, bus_divisor=bus_divisor, conversion_s=conversion_s)


MODES = (
    Mode("9 bits, shunt and bus each", _ina219(1), None),
    Mode("9 bits, bus every 4th", _ina219(4), None),
    Mode("9 bits, bus every 16th", _ina219(16), 5000.0),
    Mode("9 bits, bus every 100th", _ina219(100), 5000.0),
    Mode("12 bits, shunt and bus each", _ina219(1, TWELVE_BITS_S), 900.0),
)
BAUDS = 500_000, 1_000_000


def figures() -> list[Figure]:
    """Of each mode and baud rate the shunt conversions a second that arrive."""
    try:
        folders = {baud: built(baud) for baud in BAUDS}
    except RuntimeError as error:
        return [Figure("firmware rates", None, "1/s", None, None, None, f"not built: {error}")]
    return [_figure(mode, baud, folders[baud]) for mode in MODES for baud in BAUDS]


def _figure(mode: Mode, baud: int, folder: Path) -> Figure:
    fresh, received, lost = _measure(mode.sensor, folder)
    limit_hz = 1.0 / mode.sensor.chip.period_s
    goal_hz = mode.goal_hz if baud == max(BAUDS) else None
    return Figure(
        name=f"INA219 {mode.name}, {baud // 1000} kbaud",
        value=fresh,
        unit="conversions/s",
        reference=f"the sensor's limit {limit_hz:.0f}/s; {received:.0f} samples/s received, {lost} lost",
        goal=None if goal_hz is None else f">= {goal_hz:.0f}",
        holds=None if goal_hz is None else fresh >= goal_hz,
        provenance="emulated: the real firmware, ATmega328P at 16 MHz, 400 kHz I2C, typical conversion times",
    )


def _measure(sensor: BridgeInput, folder: Path) -> tuple[float, float, int]:
    """Different conversions received and samples received, each a second, and samples lost, over a second of stream."""
    with tempfile.TemporaryDirectory() as place:
        supply, log = Path(place) / "supply", Path(place) / "events"
        Waveform([Segment(100.0, 1.0, 1.0)]).write(supply)
        wiring = {"supply-voltage": 5.0, "shunt-ohm": 0.1, "sensor": "ina219@0x40", "conversion-error": 0.0}
        with firmware_end(folder, {**wiring, "supply": supply, "events": log}) as far_end:
            port = os.open(far_end.port(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            decoder = Decoder()

            def heard(steps: int) -> Iterator[Frame]:
                for _ in range(steps):
                    far_end.advance(STEP_NS)
                    try:
                        yield from decoder.feed(os.read(port, 65536))
                    except BlockingIOError:
                        continue

            for _ in heard(BOOT_STEPS):
                pass
            for kind, payload in ((Type.CONFIGURE, sensor.configuration.encode()), (Type.BEGIN, b"")):
                os.write(port, Frame(kind, 1, payload).encode())
                next(frame for frame in heard(PATIENCE_STEPS) if frame.type == kind | 0x80)
            blocks = [SampleFrame.decode(frame) for frame in heard(STREAM_STEPS) if frame.type in SAMPLE_TYPES]
            os.close(port)
        shown = [event.what[3] for event in events(log) if event.what[:3] == ("read", "0x40", "shunt")]
    first, end = blocks[0].index, blocks[-1].index + len(blocks[-1].shunt)
    received = sum(len(block.shunt) for block in blocks)
    seconds = float(blocks[-1].ticks[-1] - blocks[0].ticks[0]) * 4e-6
    numbers = {shown[index] for block in blocks for index in range(block.index, block.index + len(block.shunt))}
    return len(numbers) / seconds, received / seconds, end - first - received
