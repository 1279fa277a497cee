"""The INA bridge, emulated: a microcontroller that streams what INA219, INA226, INA228 sensors read of a virtual board.

Run as `python -m testbed.virtual.meters.bridge --supply FILE --supply-voltage 15 --sensor ina226@0x40
--shunt-ohm 0.005`. It speaks the protocol of docs/reference/bridge-protocol.md on a PTY.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from testbed.virtual.marker import MarkerInput
from testbed.virtual.meters import bridge_frames as wire
from testbed.virtual.meters import program
from testbed.virtual.meters.agenda import Agenda, Fault, Faults
from testbed.virtual.meters.bridge_channel import TICK_NS, WORD, Channel, SampleFrame, TickClock
from testbed.virtual.meters.ina import CHIPS, Chip, Sensor, Wiring
from testbed.virtual.meters.line import Line
from testbed.virtual.supply import SupplyReader

_HISTORY_NS = 100_000_000
_WATCHDOG = 8
_MOST_SENSORS = 8


class Bridge:
    """The microcontroller."""

    def __init__(
        self,
        line: Line,
        supply: SupplyReader,
        sensors: Iterable[Sensor],
        clock: TickClock,
        faults: Iterable[Fault],
        serial: str,
        marker: MarkerInput,
    ) -> None:
        self._line = line
        self._supply = supply
        self._marker = marker
        self._sensors = {sensor.address: sensor for sensor in sensors}
        self._silent: set[int] = set()
        self._clock = clock
        self._serial = serial.encode("ascii")
        self._scanner = wire.CommandScanner()
        self._channels: dict[int, Channel] = {}
        self._streaming = False
        self._set_is_old = False
        self._sequence = 0
        self._agenda = Agenda()
        actions = {"gap": self._gap, "nack": self._nack, "restart": self._restart}
        self._faults = Faults(faults, {**program.line_fault_actions(line), **actions}, self._agenda)
        self._faults.begin(clock.origin_ns, streaming=False)

    @property
    def idle(self) -> bool:
        """True when it neither streams nor has anything coming."""
        return not (self._streaming or self._agenda)

    @property
    def about(self) -> Mapping[str, object]:
        """What its ready line tells of it."""
        errors = {f"{address:#04x}": sensor.wiring.conversion_error for address, sensor in self._sensors.items()}
        return {"device": "ina-bridge", "conversion_errors": errors}

    def receive(self, data: bytes, time_ns: int) -> None:
        """Answer sync at once; carry out other commands when life has come that far."""
        for command in self._scanner.scan(data):
            if command.kind == wire.SYNC and not command.payload:
                tick = struct.pack("<I", self._clock.tick(time_ns) & WORD)
                answer = wire.frame(wire.REPLY | wire.SYNC, command.sequence, tick)
                self._line.post_at_once(time_ns, answer)
            else:
                self._agenda.at(time_ns, partial(self._obey, command))

    def advance(self, time_ns: int) -> None:
        """Live until `time_ns`."""
        self._supply.refresh()
        self._marker.refresh()
        self._agenda.live_until(time_ns, self._stream_until)
        longest_ns = max(sensor.period_ns for sensor in self._sensors.values())
        self._supply.forget_before(time_ns - round(longest_ns) - _HISTORY_NS)

    def _stream_until(self, time_ns: int, flush: bool = False) -> None:
        if not self._streaming:
            return
        frames: list[SampleFrame] = []
        for channel in self._channels.values():
            channel.read_until(time_ns)
            frames += channel.frames(time_ns, self._clock, flush)
        for frame in sorted(frames, key=lambda frame: frame.sent_ns):
            self._send(frame)

    def _send(self, frame: SampleFrame) -> None:
        channel, payload, sequence = frame.channel, frame.payload, self._sequence
        report = b""
        if channel.lost:
            report = wire.frame(wire.ERROR, sequence, bytes((wire.OVERRUN, min(channel.lost, 255))))
            payload = payload[:9] + bytes((payload[9] | 2,)) + payload[10:]
            sequence += 1
        if self._line.post(frame.sent_ns, report + wire.frame(channel.kind, sequence, payload)):
            channel.lost = 0
            self._sequence = sequence + 1
        else:
            channel.lost += frame.count

    def _obey(self, command: wire.Command, time_ns: int) -> None:
        obey = {
            wire.IDENTIFY: self._identify,
            wire.CONFIGURE: self._configure,
            wire.START: self._start,
            wire.STOP: self._stop,
            wire.SELF_TEST: self._self_test,
        }.get(command.kind)
        expected = 12 if command.kind == wire.CONFIGURE else 0
        if obey is None and command.kind != wire.SYNC:
            kind, payload = wire.ERROR, bytes((wire.UNKNOWN_COMMAND, command.kind))
        elif obey is None or len(command.payload) != expected:
            kind, payload = wire.ERROR, bytes((wire.MALFORMED, command.kind))
        else:
            kind, payload = obey(command.payload, time_ns)
        self._line.post(time_ns, wire.frame(kind, command.sequence, payload))

    def _identify(self, payload: bytes, time_ns: int) -> tuple[int, bytes]:
        present = sum(1 << address - 0x40 for address in self._sensors if address not in self._silent)
        ticks_per_s = 1_000_000_000 // TICK_NS
        return 0x81, struct.pack("<BBBIH8s", 2, 1, 0, ticks_per_s, present, self._serial)

    def _configure(self, payload: bytes, time_ns: int) -> tuple[int, bytes]:
        address, model, value, bus_value, range_value, divisor, _, flagged = struct.unpack("<BBHHHBHB", payload)
        if self._streaming:
            return wire.ERROR, bytes((wire.STREAMING, wire.CONFIGURE))
        known = 0x40 <= address <= 0x4F and model in {chip.model for chip in CHIPS.values()}
        if not known or not divisor or flagged > 1:
            return wire.ERROR, bytes((wire.MALFORMED, wire.CONFIGURE))
        if self._set_is_old:
            self._set_is_old = False
            self._channels.clear()
        if address not in self._channels and len(self._channels) == _MOST_SENSORS:
            return wire.ERROR, bytes((wire.TOO_MANY, wire.CONFIGURE))
        if address not in self._sensors or address in self._silent:
            return wire.ERROR, bytes((wire.NO_ANSWER, address))
        sensor = self._sensors[address]
        value = sensor.configure(value, bus_value, range_value, time_ns)
        self._channels[address] = Channel(sensor, self._marker, divisor, in_turn=payload[2:4] == payload[4:6])
        return 0x82, payload[:2] + struct.pack("<H", value) + payload[4:]

    def _start(self, payload: bytes, time_ns: int) -> tuple[int, bytes]:
        if self._streaming:
            return wire.ERROR, bytes((wire.STREAMING, wire.START))
        channels = self._channels.values()
        round_ns = sum(channel.reading_ns for channel in channels)
        slowest_ns = max((channel.sensor.period_ns for channel in channels), default=0.0)
        for channel in channels:
            stride = max(1.0, max(round_ns, slowest_ns) / (channel.sensor.period_ns or math.inf))
            channel.start(time_ns, stride if len(channels) > 1 else math.ceil(stride))
        self._streaming = True
        self._faults.begin(time_ns, streaming=True)
        return 0x83, b""

    def _stop(self, payload: bytes, time_ns: int) -> tuple[int, bytes]:
        self._stream_until(time_ns, flush=True)
        self._streaming = False
        self._set_is_old = True
        return 0x84, b""

    def _self_test(self, payload: bytes, time_ns: int) -> tuple[int, bytes]:
        no_sensor = not self._sensors.keys() - self._silent
        return 0x86, struct.pack("<BH", no_sensor << 1, 5000)

    def _gap(self, time_ns: int, duration_s: float | None) -> None:
        """Every sensor's samples are lost for a while."""
        self._lose(time_ns, duration_s or 0.1, self._sensors)

    def _nack(self, time_ns: int, duration_s: float | None) -> None:
        """The first sensor answers no more, or not for a while."""
        address = next(iter(self._sensors))
        self._silent.add(address)
        self._lose(time_ns, duration_s, [address])
        if duration_s:
            self._agenda.at(time_ns + round(duration_s * 1e9), lambda _: self._silent.discard(address))
        if self._streaming and address in self._channels:
            self._report(time_ns, wire.NO_ANSWER, address)

    def _lose(self, time_ns: int, duration_s: float | None, addresses: Iterable[int]) -> None:
        self._stream_until(time_ns, flush=True)
        channels = [self._channels[address] for address in addresses if address in self._channels]
        for channel in channels:
            channel.answers = False

        def find_again(_: int) -> None:
            for channel in channels:
                channel.answers = True

        if duration_s:
            self._agenda.at(time_ns + round(duration_s * 1e9), find_again)

    def _restart(self, time_ns: int, amount: float | None) -> None:
        self._streaming = False
        self._channels.clear()
        self._clock.restart(time_ns)
        self._sequence = 0
        self._report(time_ns, wire.RESTARTED, _WATCHDOG)

    def _report(self, time_ns: int, code: int, detail: int) -> None:
        self._sequence += self._line.post(time_ns, wire.frame(wire.ERROR, self._sequence, bytes((code, detail))))


_SENSOR = re.compile(r"(ina219|ina226|ina228)@(0x4[0-9a-fA-F])")


def _sensor(text: str) -> tuple[Chip, int]:
    match = _SENSOR.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no sensor: write ina219@0x40, ina226 or ina228, addresses to 0x4F"
        )
    return CHIPS[match[1]], int(match[2], 16)


def options() -> argparse.ArgumentParser:
    """The program's options."""
    parser = program.parser("An emulated INA bridge.", ("gap", "nack", "restart"))
    add = parser.add_argument
    add("--supply-voltage", type=float, required=True, metavar="V", help="what the board is fed with")
    add("--sensor", type=_sensor, action="append", required=True, metavar="CHIP@ADDRESS", help="may be given often")
    add("--shunt-ohm", type=float, required=True, help="of every sensor: they stand in one line")
    add("--offset-v", type=float, default=0.0, help="a sensor's offset, at the shunt")
    add("--bus-gain-error", type=float, default=0.0, help="of the bus voltage, relative")
    add("--conversion-error", type=float, help="of the conversion times, relative; by default drawn, at most 0.1")
    add("--clock-offset-s", type=float, default=0.0, help="the bridge's clock when the program starts")
    add("--serial", default="VIRTUAL1", help="at most 8 characters")
    return parser


def build(options: argparse.Namespace, line: Line, supply: SupplyReader) -> Bridge:
    """The bridge and the sensors the options describe."""
    draw = random.Random(f"{options.seed} conversion")
    begins_ns = program.begins_ns(options)
    sensors: list[Sensor] = []
    for chip, address in options.sensor:
        drawn = max(-0.1, min(0.1, draw.gauss(0.0, 0.03)))
        wiring = Wiring(
            supply_voltage_v=options.supply_voltage,
            shunt_ohm=options.shunt_ohm,
            gain_error=options.gain_error,
            offset_v=options.offset_v,
            bus_gain_error=options.bus_gain_error,
            conversion_error=drawn if options.conversion_error is None else options.conversion_error,
            noise_steps=options.noise_steps,
        )
        sensors.append(Sensor(chip, address, wiring, supply, begins_ns, options.seed))
    clock = TickClock(begins_ns, options.drift_ppm, options.clock_offset_s)
    return Bridge(line, supply, sensors, clock, options.fault, options.serial, MarkerInput(options.supply))


def main(arguments: Sequence[str] | None = None) -> None:
    """The program."""
    program.main(options(), build, arguments)


if __name__ == "__main__":
    main()
