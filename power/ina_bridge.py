"""The INA bridge: INA219, INA226 and INA228 current sensors that a microcontroller reads and streams."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from power import bridge_protocol as protocol
from power.bridge_clock import BridgeClock
from power.bridge_input import BridgeInput
from power.bridge_protocol import Configuration, Decoder, ErrorCode, Frame, Identity, SampleFrame, Type
from power.clock import ClockFit, known
from power.errors import (
    BridgeRestarted,
    MonitorSilent,
    PowerError,
    SensorFault,
    TransientError,
    Unintelligible,
    WrongDevice,
)
from power.monitor import SHORTEST_WINDOW_SAMPLES, Kind, MonitorSpec, Specimen
from power.port import Port
from power.samples import Samples

log = logging.getLogger(__name__)

REPLY_NS = 100_000_000
"""twice the time in which a bridge answers"""
BOOT_NS = 3_000_000_000
"""opening the port resets many microcontroller boards; so long the boot loader may take"""
SILENCE_NS = 1_000_000_000


class InaBridge:
    """A `PowerMonitor` with a channel for each of the `inputs`, which are read in turn, each once in a round.

    `total` are the inputs whose powers add up to what the board draws; all, by default. `baud` is what the firmware was
    built for. `ValueError` for no input, too many, or two at one address.
    """

    def __init__(
        self,
        port: str,
        *inputs: BridgeInput,
        total: Sequence[int] | None = None,
        baud: int = protocol.BAUD,
        wait_s: float = 0.005,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._numbers = {each.address: number for number, each in enumerate(inputs)}
        if not 1 <= len(inputs) <= protocol.MOST_SENSORS or len(self._numbers) < len(inputs):
            raise ValueError(f"a bridge has 1 to {protocol.MOST_SENSORS} sensors, each at an address of its own")
        self._inputs = inputs
        self._path, self._baud, self._wait_s, self._now = port, baud, wait_s, clock
        self._spec = _spec(f"ina-bridge on {port}", inputs, total)
        self._port: Port | None = None
        self._decoder = Decoder()
        self._specimen: Specimen | None = None
        self._sequence = 0
        self._ticks_per_second = protocol.TICKS_PER_SECOND
        self._clock = BridgeClock(self._ticks_per_second)
        self._next_index: dict[int, int] = {}
        """by channel"""
        self._latest_tick: dict[int, int] = {}
        """by channel"""
        self._pending = Samples.empty()
        """waiting for the clock, or for the other channels; their times are ticks"""
        self._rate_known = False
        self._heard_ns = 0
        self._in_range_ns: dict[int, int] = {}
        """by channel"""

    @property
    def spec(self) -> MonitorSpec:
        """How well it measures. Until samples come, the rate is the sensor's own, which the bridge may not reach."""
        return self._spec

    @property
    def clock(self) -> ClockFit:
        """How the bridge's clock is mapped to the controller's. Raises `MonitorSilent` before the first samples."""
        return known(self._clock.fit, self._spec.name)

    @property
    def specimen(self) -> Specimen | None:
        """Serial number and firmware of the bridge; None before `open`."""
        return self._specimen

    def open(self) -> None:
        """Take the port, end a stream that a killed process left running, configure the sensors."""
        self.close()
        self._port = Port(self._path, self._baud)
        self._decoder = Decoder()
        try:
            self._ask(Type.STOP, patience_ns=BOOT_NS)
            identity = Identity.decode(self._ask(Type.IDENTIFY).payload)
        except (MonitorSilent, Unintelligible) as error:
            raise WrongDevice(f"{self._spec.name}: no INA bridge answers there; is it the right port?") from error
        self._accept(identity)
        self._specimen = Specimen(identity.serial, identity.firmware_version)
        for each in self._inputs:
            self._configure(each)
        self._ticks_per_second = identity.ticks_per_second

    def start(self) -> None:
        """Begin sampling at index 0. Samples come once the clock has settled: after 0.25 s."""
        self._clock = BridgeClock(self._ticks_per_second)
        self._next_index.clear()
        self._latest_tick.clear()
        self._pending = Samples.empty()
        self._rate_known = False
        self._ask(Type.BEGIN)
        self._in_range_ns.clear()
        self._heard_ns = self._now()

    def read(self) -> Samples:
        """The samples that came, oldest first.

        Raises `BridgeRestarted`, `SensorFault`, `MonitorSilent`, `MonitorGone`, `Unintelligible`.
        """
        parts = [self._pending]
        for frame, arrival_ns in self._receive():
            if frame.type in protocol.SAMPLE_TYPES:
                self._heard_ns = arrival_ns
                parts.append(self._taken(SampleFrame.decode(frame), arrival_ns))
            else:
                self._attend(frame, arrival_ns)
        self._pending = Samples.concatenate(parts)
        now_ns = self._now()
        if now_ns - self._heard_ns > max(SILENCE_NS, 10 * round(self._spec.period_s * 1e9)):
            raise MonitorSilent(f"{self._spec.name} has sent no sample for {(now_ns - self._heard_ns) * 1e-9:.1f} s")
        if self._clock.due(now_ns):
            self._send(Type.SYNC)
        return self._placed() if self._clock.settled else Samples.empty()

    def stop(self) -> None:
        """End sampling; samples still under way are dropped."""
        self._ask(Type.STOP)

    def close(self) -> None:
        """Give the port back."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _accept(self, identity: Identity) -> None:
        if identity.protocol != protocol.VERSION:
            raise WrongDevice(
                f"{self._spec.name} speaks protocol version {identity.protocol}, not {protocol.VERSION}; "
                "flash the firmware that belongs to this testbed"
            )
        for address in self._numbers:
            if not identity.sensors >> (address - 0x40) & 1:
                raise _error(self._spec.name, ErrorCode.SENSOR_SILENT, address)

    def _configure(self, an_input: BridgeInput) -> None:
        asked = an_input.configuration
        read_back = Configuration.decode(self._ask(Type.CONFIGURE, asked.encode()).payload)
        if read_back != asked:
            raise SensorFault(
                f"{self._spec.name}: the sensor at {asked.address:#04x} reads back {read_back.register:#06x}, not the "
                f"{asked.register:#06x} written; is it really an {an_input.sensor}?"
            )

    def _taken(self, block: SampleFrame, arrival_ns: int) -> Samples:
        number = self._numbers.get(block.address)
        if number is None:
            raise Unintelligible(f"{self._spec.name} sends samples of a sensor at {block.address:#04x}, not asked for")
        count, expected = len(block.shunt), self._next_index.get(number)
        index = block.index if expected is None else protocol.unwrap(block.index, near=expected)
        if expected is not None and index < expected:
            raise BridgeRestarted(f"{self._spec.name}: its sample count fell back; it restarted, reopen it")
        self._next_index[number] = index + count
        ticks = self._clock.unwrap(int(block.ticks[0])) + (block.ticks - block.ticks[0])
        self._latest_tick[number] = int(ticks[-1])
        if block.overflow:
            log.warning("%s: the range of %#04x overflowed; %d samples count as lost", *self._about(block))
            if arrival_ns - self._in_range_ns.setdefault(number, arrival_ns) > SILENCE_NS:
                raise SensorFault(
                    f"{self._spec.name}: the current stays beyond the {self._inputs[number].chip.range_v * 1e3:g} mV "
                    f"range of the sensor at {block.address:#04x}; widen range_v, or take a smaller shunt"
                )
            return Samples.empty()
        self._in_range_ns[number] = arrival_ns
        return self._inputs[number].samples(block, number, index, ticks)

    def _about(self, block: SampleFrame) -> tuple[str, int, int]:
        return self._spec.name, block.address, len(block.shunt)

    def _placed(self) -> Samples:
        """What all channels have come as far as, on the controller's clock; once that also tells the true rate."""
        if len(self._latest_tick) < len(self._inputs):
            return Samples.empty()
        due = self._pending.time_ns <= min(self._latest_tick.values())
        samples = self._pending.take(due)
        first = samples.of_channel(0)
        if not len(samples) or not (self._rate_known or len(first) > 1):
            return Samples.empty()
        if not self._rate_known:
            ticks, count = first.time_ns[-1] - first.time_ns[0], first.index[-1] - first.index[0]
            period_s = float(ticks / count) * self._clock.tick_s
            self._spec = replace(
                self._spec, rate_hz=1.0 / period_s, shortest_window_s=SHORTEST_WINDOW_SAMPLES * period_s
            )
            self._rate_known = True
        self._pending = self._pending.take(~due)
        samples = samples.take(np.argsort(samples.time_ns, kind="stable"))
        return replace(samples, time_ns=self._clock.to_controller(samples.time_ns))

    def _attend(self, frame: Frame, arrival_ns: int) -> None:
        if frame.type == Type.SYNC | protocol.REPLY:
            self._clock.answered(frame.sequence, protocol.decode_sync(frame.payload), arrival_ns)
        elif frame.type == Type.ERROR:
            self._complain(frame)

    def _complain(self, frame: Frame) -> None:
        code, detail = protocol.decode_error(frame.payload)
        if code == ErrorCode.OVERRUN:
            log.warning("%s lost %d samples: the serial line is too slow for it", self._spec.name, detail)
        elif code == ErrorCode.LINE_OVERRUN:
            log.warning("%s lost %d bytes written to it", self._spec.name, detail)
        else:
            raise _error(self._spec.name, code, detail)

    def _ask(self, kind: Type, payload: bytes = b"", patience_ns: int = 3 * REPLY_NS) -> Frame:
        """Send a command, again when no reply comes, until `patience_ns` is over. What else arrives is dropped."""
        give_up_ns = self._now() + patience_ns
        while (now_ns := self._now()) < give_up_ns:
            sequence = self._send(kind, payload)
            while self._now() < now_ns + REPLY_NS:
                for frame, arrival_ns in self._receive():
                    if frame.sequence != sequence:
                        continue
                    if frame.type == kind | protocol.REPLY:
                        self._attend(frame, arrival_ns)
                        return frame
                    if frame.type == Type.ERROR:
                        self._complain(frame)
            self._decoder = Decoder()  # a false start of frame may be waiting for bytes that never come
        raise MonitorSilent(f"{self._spec.name} does not answer {kind.name.lower()}")

    def _send(self, kind: Type, payload: bytes = b"") -> int:
        self._sequence = (self._sequence + 1) % 256
        if kind is Type.SYNC:
            self._clock.asked(self._sequence, self._now())
        self._opened().write(Frame(kind, self._sequence, payload).encode())
        return self._sequence

    def _receive(self) -> list[tuple[Frame, int]]:
        """What has arrived, with the moment it was seen."""
        data = self._opened().read(self._wait_s)
        arrival_ns = self._now()
        return [(frame, arrival_ns) for frame in self._decoder.feed(data)]

    def _opened(self) -> Port:
        if self._port is None:
            raise MonitorSilent(f"{self._spec.name} is not open")
        return self._port


def _error(name: str, code: int, detail: int) -> PowerError:
    """The error a bridge's complaint stands for."""
    if code == ErrorCode.RESTARTED:
        return BridgeRestarted(f"{name} restarted (cause {detail}); reopen it, and look to its supply if it recurs")
    if code == ErrorCode.SENSOR_SILENT:
        return SensorFault(f"{name}: no sensor answers at I2C address {detail:#04x}; check its supply and wiring")
    if code == ErrorCode.I2C_STUCK:
        return SensorFault(f"{name}: the I2C bus is stuck at address {detail:#04x}; check the wiring and power it anew")
    if code in (ErrorCode.UNKNOWN_COMMAND, ErrorCode.MALFORMED):
        return WrongDevice(f"{name} does not understand command {detail:#04x}; flash the firmware of this testbed")
    return TransientError(f"{name} refused command {detail:#04x} (code {code}); reopen it")


def _spec(name: str, inputs: Sequence[BridgeInput], total: Sequence[int] | None) -> MonitorSpec:
    period_s = max(each.chip.period_s for each in inputs)
    return MonitorSpec(
        name=name,
        rate_hz=1.0 / period_s,
        channels=tuple(each.channel for each in inputs),
        kind=Kind.AVERAGING,
        aperture_s=max(each.chip.aperture_s for each in inputs),
        shortest_window_s=SHORTEST_WINDOW_SAMPLES * period_s,
        mark_lines=1,
        total=tuple(range(len(inputs)) if total is None else total),
    )
