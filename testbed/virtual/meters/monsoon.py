"""A Monsoon LVPM with its stock (serial) firmware, emulated: it feeds a virtual board and streams the board's current.

Run as `python -m testbed.virtual.meters.monsoon --supply FILE --output main --output-voltage 4.2`. Where the public
sources are silent it does the following: a sample is the mean of the current over its own 200 us, calibrations take no
samples' time, a data packet's output flag is that of the output which feeds the board.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from testbed.virtual.marker import MarkerInput
from testbed.virtual.meters import monsoon_frames as wire
from testbed.virtual.meters import program
from testbed.virtual.meters.agenda import Agenda, Fault, Faults
from testbed.virtual.meters.line import Line
from testbed.virtual.meters.monsoon_analog import OUTPUTS, Instrument
from testbed.virtual.supply import SupplyReader

_SAMPLE_NS = 200_000
_MOST_SAMPLES = 7
_EMPTY_PACKET_EVERY = 64
_SPLIT_PACKET_EVERY = 16
_STALE_PACKETS = 2
_STOP_SAMPLES = 10  # what is still measured and sent after a stop
_UNLIMITED = 0xFFFF_FFFF
_HISTORY_NS = 100_000_000
_GET_STATUS, _SET_VOLTAGE, _PASSTHROUGH = 0x00, 0x01, 0x10
_START_UP_LIMIT, _RUN_TIME_LIMIT = (0x08, 0x09), (0x0A, 0x0B)
_WRITE, _START, _STOP = 1, 2, 3


@dataclass(frozen=True, slots=True)
class SampleClock:
    """The crystal behind the samples: sample n ends at `origin_ns + (n + phase) * period_ns`."""

    origin_ns: int
    period_ns: float
    phase: float

    def samples_by(self, time_ns: int) -> int:
        """How many samples have ended."""
        return math.floor((time_ns - self.origin_ns) / self.period_ns - self.phase) + 1

    def bounds_ns(self, first: int, end: int) -> NDArray[np.int64]:
        """When samples `first - 1` to `end - 1` end: each sample's window lies between two of these."""
        since_origin_ns = (np.arange(first - 1, end) + self.phase) * self.period_ns
        return np.asarray(self.origin_ns + np.rint(since_origin_ns).astype(np.int64))


class Monsoon:
    """The firmware: commands, packets, and the sample clock."""

    def __init__(
        self,
        line: Line,
        supply: SupplyReader,
        marker: MarkerInput,
        instrument: Instrument,
        clock: SampleClock,
        faults: Iterable[Fault],
        serial_number: int,
        passthrough_delay_ns: int,
        seed: int,
    ) -> None:
        self._line = line
        self._supply = supply
        self._marker = marker
        self._instrument = instrument
        self._clock = clock
        self._serial_number = serial_number
        self._passthrough_delay_ns = passthrough_delay_ns
        self._random = random.Random(f"{seed} packets")
        self._scanner = wire.CommandScanner()
        self._registers: dict[int, int] = {}
        self._next = 0
        self._last = 0
        """first sample not yet taken, first sample not to be taken"""
        self._ends_ns = np.empty(0, np.int64)
        self._words = np.empty((0, 4), np.int32)
        self._packet_size = 0
        self._sequence = 0
        self._packets = 0
        self._stale = [wire.data_packet(11, output_on=True, tripped=False, kind=wire.DATA, samples=bytes(8))]
        self._calibrate_every_ns = 0
        self._calibrate_ns = 0
        self._deaf_until_ns = 0
        self._agenda = Agenda()
        actions = {"gap": self._gap, "trip": self._trip}
        self._faults = Faults(faults, {**program.line_fault_actions(line), **actions}, self._agenda)
        self._faults.begin(clock.origin_ns, streaming=False)

    @property
    def idle(self) -> bool:
        """True when it neither streams nor has anything coming."""
        return not (self._instrument.sampling or self._agenda)

    @property
    def about(self) -> Mapping[str, object]:
        """What its ready line tells of it."""
        return {"device": "monsoon-lvpm", "output": self._instrument.output, "phase": self._clock.phase}

    def receive(self, data: bytes, time_ns: int) -> None:
        """Carry out commands when life has come that far."""
        for payload in self._scanner.scan(data, time_ns):
            self._agenda.at(time_ns, partial(self._obey, payload))

    def advance(self, time_ns: int) -> None:
        """Live until `time_ns`."""
        self._supply.refresh()
        self._marker.refresh()
        self._agenda.live_until(time_ns, self._stream_until)
        self._supply.forget_before(time_ns - _HISTORY_NS)

    def _obey(self, payload: bytes, time_ns: int) -> None:
        if payload[0] == _WRITE and len(payload) == 3:
            self._write(payload[1], payload[2], time_ns)
        elif payload[0] == _START and len(payload) == 7:
            self._start(int.from_bytes(payload[1:5], "big"), int.from_bytes(payload[5:7], "big"), time_ns)
        elif payload[0] == _STOP:
            self._last = min(self._last, self._next + _STOP_SAMPLES)

    def _write(self, register: int, value: int, time_ns: int) -> None:
        if register == _GET_STATUS:
            self._line.post(time_ns, self._status(time_ns).packet())
        elif register == _SET_VOLTAGE:
            self._instrument.set_main(value)
        elif register == _PASSTHROUGH:
            self._pass_through(value, time_ns)
        else:
            self._registers[register] = value

    def _pass_through(self, mode: int, time_ns: int) -> None:
        if self._passthrough_delay_ns:
            self._agenda.at(time_ns + self._passthrough_delay_ns, lambda _: self._instrument.pass_through(mode))
        else:  # a status asked for right behind it tells
            self._instrument.pass_through(mode)

    def _status(self, time_ns: int) -> wire.Status:
        now_ns = np.array([time_ns])
        main, usb, aux, main_voltage = self._instrument.samples(now_ns - _SAMPLE_NS, now_ns)[0].tolist()
        return wire.Status(
            currents=(main, usb, aux),
            main_voltage=main_voltage,
            output_voltage_setting=self._instrument.main_setting,
            serial_number=self._serial_number,
            power_up_current_limit=self._limit(_START_UP_LIMIT),
            run_time_current_limit=self._limit(_RUN_TIME_LIMIT),
            passthrough=self._instrument.passthrough,
            hardware_revision=self._instrument.hardware_revision,
        )

    def _limit(self, registers: tuple[int, int]) -> int:
        low, high = registers
        return self._registers.get(high, 0) << 8 | self._registers.get(low, 0)

    def _start(self, samples: int, calibrate_every_ms: int, time_ns: int) -> None:
        self._instrument.sampling = True
        self._next = self._clock.samples_by(time_ns)
        self._last = self._next + samples if samples != _UNLIMITED else 2**62
        self._ends_ns, self._words = self._ends_ns[:0], self._words[:0]
        self._sequence = 0
        self._packet_size = self._draw_size()
        for packet in self._stale:
            self._line.post(time_ns, packet)
        self._calibrate_every_ns = calibrate_every_ms * 1_000_000 or 2**62
        self._calibrate(time_ns)
        self._faults.begin(time_ns, streaming=True)

    def _stream_until(self, time_ns: int) -> None:
        if not self._instrument.sampling:
            return
        end = min(self._last, self._clock.samples_by(time_ns))
        if end > self._next:
            bounds_ns = self._clock.bounds_ns(self._next, end)
            self._next = end
            self._ends_ns = np.concatenate([self._ends_ns, bounds_ns[1:]])
            self._words = np.concatenate([self._words, self._instrument.samples(bounds_ns[:-1], bounds_ns[1:])])
            self._send_whole_packets()
        if self._next >= self._last:
            self._instrument.sampling = False

    def _send_whole_packets(self) -> None:
        data = self._words.astype(">i2").tobytes()
        sent = 0
        while len(self._ends_ns) - sent >= self._packet_size:
            end = sent + self._packet_size
            sent_ns = int(self._ends_ns[end - 1])
            self._send(sent_ns, wire.DATA, data[8 * sent : 8 * end])
            if sent_ns >= self._calibrate_ns:
                self._calibrate(sent_ns)
            sent = end
            self._packet_size = self._draw_size()
        self._ends_ns, self._words = self._ends_ns[sent:], self._words[sent:]

    def _draw_size(self) -> int:
        return 1 + int(_MOST_SAMPLES * self._random.random())

    def _calibrate(self, time_ns: int) -> None:
        self._calibrate_ns = time_ns + self._calibrate_every_ns
        for kind, reference in ((wire.ZERO_CALIBRATION, False), (wire.REFERENCE_CALIBRATION, True)):
            words = self._instrument.calibration(2 * self._random.randint(1, 2), reference=reference)
            self._send(time_ns, kind, words.astype(">i2").tobytes())

    def _send(self, time_ns: int, kind: int, samples: bytes) -> None:
        """One packet; now and then an empty one before it, or its second part on its own."""
        on, tripped = self._instrument.feeding, self._instrument.tripped
        packet = wire.data_packet(self._sequence, output_on=on, tripped=tripped, kind=kind, samples=samples)
        self._sequence += 1
        if time_ns < self._deaf_until_ns:
            return
        self._packets += 1
        self._stale = [*self._stale, packet][-_STALE_PACKETS:]
        if self._packets % _EMPTY_PACKET_EVERY == 0:
            self._line.post(time_ns, b"\0")
        nth, rest = divmod(self._packets, _SPLIT_PACKET_EVERY)
        cut = None if rest else 1 + nth % (len(packet) - 1)
        self._line.post(time_ns, packet, cut)

    def _gap(self, time_ns: int, duration_s: float | None) -> None:
        """Packets are lost inside the device for a while; the sequence runs on."""
        self._deaf_until_ns = time_ns + round((duration_s or 0.1) * 1e9)

    def _trip(self, time_ns: int, amount: float | None) -> None:
        """Over-current: the output goes off until main is set to 0 and on again."""
        self._instrument.tripped = True


def options() -> argparse.ArgumentParser:
    """The program's options."""
    parser = program.parser("An emulated Monsoon LVPM.", ("gap", "trip"))
    add = parser.add_argument
    add("--output", choices=OUTPUTS, default="main", help="which output the board hangs on (main)")
    add("--output-voltage", type=float, required=True, metavar="V", help="what it really gives; main may be set anew")
    add("--offset-a", type=float, default=0.0, help="of the current")
    add("--phase", type=float, help="of the sample clock, in samples; by default drawn from [0, 1)")
    add("--hardware-revision", type=int, default=3, help="1 counts volts twice as finely (3)")
    add("--passthrough-delay-s", type=float, default=0.0, help="how long USB passthrough takes to change (0)")
    add("--serial-number", type=int, default=12345, help="12345")
    return parser


def build(options: argparse.Namespace, line: Line, supply: SupplyReader) -> Monsoon:
    """The LVPM the options describe."""
    drawn = random.Random(f"{options.seed} phase").random()
    clock = SampleClock(
        origin_ns=program.begins_ns(options),
        period_ns=_SAMPLE_NS / (1.0 + options.drift_ppm * 1e-6),
        phase=drawn if options.phase is None else options.phase,
    )
    marker = MarkerInput(options.supply)
    instrument = Instrument(
        supply,
        marker,
        output=options.output,
        output_voltage_v=options.output_voltage,
        hardware_revision=options.hardware_revision,
        gain_error=options.gain_error,
        offset_a=options.offset_a,
        noise_steps=options.noise_steps,
        seed=options.seed,
    )
    return Monsoon(
        line,
        supply,
        marker,
        instrument,
        clock,
        options.fault,
        serial_number=options.serial_number,
        passthrough_delay_ns=round(options.passthrough_delay_s * 1e9),
        seed=options.seed,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The program."""
    program.main(options(), build, arguments)


if __name__ == "__main__":
    main()
