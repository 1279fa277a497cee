"""The INA bridge: an INA219 or INA226 current sensor that a microcontroller reads and streams over a serial line."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from power import bridge_protocol as protocol
from power.bridge_clock import BridgeClock
from power.bridge_protocol import Configuration, Decoder, ErrorCode, Frame, Identity, SampleFrame, Type
from power.clock import ClockFit
from power.errors import (
    BridgeRestarted,
    MonitorSilent,
    PowerError,
    SensorFault,
    TransientError,
    Unintelligible,
    WrongDevice,
)
from power.ina_sensor import MODELS, Sensor
from power.monitor import SHORTEST_WINDOW_SAMPLES, Kind, MonitorSpec, Specimen
from power.port import Port
from power.samples import Samples

log = logging.getLogger(__name__)

REPLY_NS = 100_000_000
"""twice the time in which a bridge answers"""
BOOT_NS = 3_000_000_000
"""opening the port resets many microcontroller boards; so long the boot loader may take"""
SILENCE_NS = 1_000_000_000
SHUNT_TOLERANCE = 0.01
"""of a common shunt resistor"""


class InaBridge:
    """A `PowerMonitor` with one channel. `ValueError` for settings the sensor does not have.

    `shunt_standard_uncertainty` is relative. `supply_v` is the nominal voltage at the sensor: it only turns the
    current's offset and step into watts. `range_v`, `conversion_s` and `averages` must be values of the chip; by
    default its widest range and its fastest conversion. The bus voltage comes with every `bus_divisor`-th sample.
    """

    def __init__(
        self,
        port: str,
        *,
        shunt_ohm: float,
        supply_v: float,
        sensor: str = "ina219",
        address: int = 0x40,
        shunt_standard_uncertainty: float = SHUNT_TOLERANCE / math.sqrt(3.0),
        range_v: float | None = None,
        conversion_s: float | None = None,
        averages: int = 1,
        bus_divisor: int = 1,
        wait_s: float = 0.005,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if sensor not in MODELS:
            raise ValueError(f"sensor: no {sensor!r}; choose one of {', '.join(MODELS)}")
        model = MODELS[sensor]
        self._sensor = Sensor(
            model=model,
            shunt_ohm=shunt_ohm,
            range_v=max(model.ranges_v) if range_v is None else range_v,
            conversion_s=min(model.conversions_s) if conversion_s is None else conversion_s,
            averages=averages,
        )
        self._configuration = Configuration(address, model.code, self._sensor.register, bus_divisor)
        self._path, self._wait_s, self._now = port, wait_s, clock
        self._spec = _spec(f"ina-bridge on {port}", self._sensor, supply_v, shunt_standard_uncertainty)
        self._port: Port | None = None
        self._decoder = Decoder()
        self._specimen: Specimen | None = None
        self._sequence = 0
        self._ticks_per_second = 250_000
        self._clock = BridgeClock(self._ticks_per_second)
        self._next_index: int | None = None
        self._pending: list[Samples] = []
        """waiting for the clock; their times are ticks"""
        self._rate_known = False
        self._heard_ns = 0

    @property
    def spec(self) -> MonitorSpec:
        """How well it measures. Until samples come, the rate is the sensor's own, which the bridge may not reach."""
        return self._spec

    @property
    def clock(self) -> ClockFit:
        """How the bridge's clock is mapped to the controller's. Raises `MonitorSilent` before the first samples."""
        if self._clock.fit is None:
            raise MonitorSilent(f"{self._spec.name}: its clock is not known before its first samples")
        return self._clock.fit

    @property
    def specimen(self) -> Specimen | None:
        """Serial number and firmware of the bridge; None before `open`."""
        return self._specimen

    def open(self) -> None:
        """Take the port, end a stream that a killed process left running, configure the sensor."""
        self.close()
        self._port = Port(self._path, protocol.BAUD)
        self._decoder = Decoder()
        try:
            self._ask(Type.STOP, patience_ns=BOOT_NS)
            identity = Identity.decode(self._ask(Type.IDENTIFY).payload)
        except (MonitorSilent, Unintelligible) as error:
            raise WrongDevice(f"{self._spec.name}: no INA bridge answers there; is it the right port?") from error
        self._accept(identity)
        self._specimen = Specimen(identity.serial, identity.firmware_version)
        self._configure()
        self._ticks_per_second = identity.ticks_per_second

    def start(self) -> None:
        """Begin sampling at index 0. Samples come once the clock has settled: after 0.25 s."""
        self._clock = BridgeClock(self._ticks_per_second)
        self._next_index = None
        self._pending = []
        self._rate_known = False
        self._ask(Type.BEGIN)
        self._heard_ns = self._now()

    def read(self) -> Samples:
        """The samples that came, oldest first.

        Raises `BridgeRestarted`, `SensorFault`, `MonitorSilent`, `MonitorGone`, `Unintelligible`.
        """
        for frame, arrival_ns in self._receive():
            if frame.type in (Type.SAMPLES, Type.SAMPLES_WITH_BUS):
                self._heard_ns = arrival_ns
                self._take(SampleFrame.decode(frame))
            else:
                self._attend(frame, arrival_ns)
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
        address = self._configuration.address
        if not identity.sensors >> (address - 0x40) & 1:
            raise _error(self._spec.name, ErrorCode.SENSOR_SILENT, address)

    def _configure(self) -> None:
        read_back = Configuration.decode(self._ask(Type.CONFIGURE, self._configuration.encode()).payload)
        if read_back != self._configuration:
            raise SensorFault(
                f"{self._spec.name}: the sensor reads back {read_back.register:#06x}, not the "
                f"{self._sensor.register:#06x} written; is it really an {self._sensor.model.name}?"
            )

    def _take(self, block: SampleFrame) -> None:
        count = len(block.shunt)
        index = block.index if self._next_index is None else protocol.unwrap(block.index, near=self._next_index)
        if self._next_index is not None and index < self._next_index:
            raise BridgeRestarted(f"{self._spec.name}: its sample count fell back; it restarted, reopen it")
        self._next_index = index + count
        ticks = self._clock.unwrap(int(block.ticks[0])) + (block.ticks - block.ticks[0])
        if block.overflow:
            log.warning("%s: the sensor's range overflowed; %d samples count as lost", self._spec.name, count)
            return
        model = self._sensor.model
        current_a = block.shunt.astype(np.float64) * (model.shunt_lsb_v / self._sensor.shunt_ohm)
        voltage_v = (block.bus >> model.bus_shift).astype(np.float64) * model.bus_lsb_v
        samples = Samples(
            index=np.arange(index, index + count, dtype=np.int64),
            time_ns=ticks,
            channel=np.zeros(count, np.uint8),
            power_w=voltage_v * current_a,
            voltage_v=voltage_v,
            current_a=current_a,
            mark=block.mark,
        )
        self._pending.append(samples)

    def _placed(self) -> Samples:
        """What was pending, on the controller's clock; the first time, only when it tells the true rate as well."""
        samples = Samples.concatenate(self._pending)
        if len(samples) < (1 if self._rate_known else 2):
            return Samples.empty()
        if not self._rate_known:
            ticks, count = samples.time_ns[-1] - samples.time_ns[0], samples.index[-1] - samples.index[0]
            period_s = float(ticks / count) * self._clock.tick_s
            self._spec = replace(
                self._spec, rate_hz=1.0 / period_s, shortest_window_s=SHORTEST_WINDOW_SAMPLES * period_s
            )
            self._rate_known = True
        self._pending = []
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


def _spec(name: str, sensor: Sensor, supply_v: float, shunt_standard_uncertainty: float) -> MonitorSpec:
    return MonitorSpec(
        name=name,
        rate_hz=1.0 / sensor.period_s,
        channels=(sensor.channel(supply_v, shunt_standard_uncertainty),),
        kind=Kind.AVERAGING,
        aperture_s=sensor.aperture_s,
        shortest_window_s=SHORTEST_WINDOW_SAMPLES * sensor.period_s,
        mark_lines=1,
    )
