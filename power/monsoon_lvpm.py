"""The Monsoon LVPM power monitor (FTA22D, white case) with its stock firmware, over its USB serial port."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from power import monsoon_protocol as protocol
from power.calibration import Calibration
from power.clock import ClockFit
from power.count_clock import CountClock
from power.errors import MonitorSilent, OutputTripped, WrongDevice
from power.monitor import Channel, Kind, MonitorSpec, Specimen
from power.monsoon_protocol import CHANNELS, Packets, Passthrough, Status
from power.port import Port
from power.samples import Samples

log = logging.getLogger(__name__)

RATE_HZ = 5000.0
PERIOD_NS = 200_000
COARSE_STEP_A = 286e-6
"""the product's coarse resolution"""
GAIN_LIMIT = 0.01
"""of power, relative; a common reading of the maker's accuracy, to be replaced by a calibration of the specimen"""
OFFSET_LIMIT_A = 1e-3
SHORTEST_WINDOW_SAMPLES = 25
REGULATION_LIMIT = 0.01
"""of a declared supply voltage, where nothing better is known"""
WIRE_LATENCY_S, WIRE_LATENCY_STANDARD_UNCERTAINTY_S = 0.5e-3, 0.3e-3
"""USB CDC: a frame of 1 ms and the host's scheduling, from a sample's end to its bytes at the reader, at the least"""
REPLY_NS, QUIET_NS, DRAIN_NS = 1_000_000_000, 50_000_000, 2_000_000_000
SILENCE_NS = 1_000_000_000
STALL_NS = 50_000_000
"""a reader away for longer may have let the port's buffer overflow; 16 lost packets leave no trace in the sequence"""
RAMP_START_V, RAMP_STEP_V, RAMP_PAUSE_S = 3.0, 0.1, 0.1
"""switching straight to the voltage may trip the start-up limit (AOSP/CTS tools/utils/monsoon.py)"""
ATTEMPTS = 3


class MonsoonLvpm:
    """A `PowerMonitor` with one channel, "main", "usb" or "aux". `ValueError` for settings the device does not have.

    `supply_v` is what the board is fed with. On main, `open` ramps the output to it, and the voltage is measured; usb
    and aux measure current only, so `supply_v` is then what an external supply is regulated to, with the relative
    `supply_standard_uncertainty`. `gain_standard_uncertainty` (relative) and `offset_standard_uncertainty_a` may come
    from a calibration. `latency_s` is the least time from a sample's end to its bytes here.
    """

    def __init__(
        self,
        port: str,
        *,
        supply_v: float,
        channel: str = "main",
        supply_standard_uncertainty: float = REGULATION_LIMIT / math.sqrt(3.0),
        gain_standard_uncertainty: float = GAIN_LIMIT / math.sqrt(3.0),
        offset_standard_uncertainty_a: float = OFFSET_LIMIT_A / math.sqrt(3.0),
        power_up_limit_a: float = 8.0,
        run_time_limit_a: float = 8.0,
        latency_s: float = WIRE_LATENCY_S,
        latency_standard_uncertainty_s: float = WIRE_LATENCY_STANDARD_UNCERTAINTY_S,
        wait_s: float = 0.005,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if channel not in CHANNELS:
            raise ValueError(f"channel: no {channel!r}; choose one of {', '.join(CHANNELS)}")
        self._is_main = channel == "main"
        self._channel = CHANNELS.index(channel)
        self._supply_v = supply_v
        self._set_limits = protocol.set_current_limits(power_up_limit_a, run_time_limit_a)
        self._set_voltage = protocol.set_voltage(supply_v) if self._is_main else b""
        self._path, self._wait_s, self._now, self._sleep = port, wait_s, clock, sleep
        self._latency = latency_s, latency_standard_uncertainty_s
        self._spec = MonitorSpec(
            name=f"monsoon-lvpm on {port}",
            rate_hz=RATE_HZ,
            channels=(
                Channel(
                    channel,
                    power_lsb_w=COARSE_STEP_A * supply_v,
                    gain_standard_uncertainty=math.hypot(
                        gain_standard_uncertainty, 0.0 if self._is_main else supply_standard_uncertainty
                    ),
                    offset_standard_uncertainty_w=offset_standard_uncertainty_a * supply_v,
                ),
            ),
            kind=Kind.AVERAGING,
            aperture_s=1.0 / RATE_HZ,
            shortest_window_s=SHORTEST_WINDOW_SAMPLES / RATE_HZ,
            mark_lines=2,
        )
        self._port: Port | None = None
        self._specimen: Specimen | None = None
        self._voltage_lsb_v = protocol.VOLTAGE_LSB_V
        self._forget()

    def _forget(self) -> None:
        self._decoder = protocol.Decoder()
        self._calibration = Calibration()
        self._clock = CountClock(PERIOD_NS, *self._latency)
        self._sequence: int | None = None
        self._pending: list[Samples] = []
        """decoded, but without a place in time; NaN W where the output was off or the current off the scale"""
        self._heard_ns = self._read_ns = 0

    @property
    def spec(self) -> MonitorSpec:
        """How well it measures."""
        return self._spec

    @property
    def clock(self) -> ClockFit:
        """How the sample count is mapped to the controller's clock. Raises `MonitorSilent` before the first samples."""
        if self._clock.fit is None:
            raise MonitorSilent(f"{self._spec.name}: its clock is not known before its first samples")
        return self._clock.fit

    @property
    def specimen(self) -> Specimen | None:
        """Serial number and firmware; None before `open`."""
        return self._specimen

    def open(self) -> None:
        """Take the port, end a stream that a killed process left running, and feed the board as declared."""
        self.close()
        self._port = Port(self._path, protocol.BAUD)
        self._quieten()
        try:
            status = self.status()
        except MonitorSilent as error:
            raise WrongDevice(f"{self._spec.name}: no Monsoon LVPM answers there; is it the right port?") from error
        self._specimen = Specimen(str(status.serial_number), status.firmware_version)
        self._voltage_lsb_v = protocol.voltage_lsb_v(status.hardware_revision)
        self._port.write(self._set_limits)
        if self._is_main:
            self._ramp(status)
        elif CHANNELS[self._channel] == "usb":
            self._port.write(protocol.set_passthrough(Passthrough.ON))
        log.info("%s: serial number %d, firmware %s", self._spec.name, status.serial_number, status.firmware_version)

    def status(self) -> Status:
        """Ask for the status; not while sampling. Raises `MonitorSilent`."""
        for _ in range(ATTEMPTS):
            self._decoder = protocol.Decoder()
            self._opened().write(protocol.GET_STATUS)
            until_ns = self._now() + REPLY_NS
            while self._now() < until_ns:
                if found := self._decoder.feed(self._opened().read(self._wait_s)).status:
                    return found[-1]
        raise MonitorSilent(f"{self._spec.name} does not answer")

    def start(self) -> None:
        """Begin sampling. Samples come once the first calibration has, and the clock has settled: after 0.25 s."""
        self._quieten()
        self._forget()
        self._opened().write(protocol.START)
        self._heard_ns = self._read_ns = self._now()

    def read(self) -> Samples:
        """The samples that came, oldest first. Raises `OutputTripped`, `MonitorSilent`, `MonitorGone`."""
        data = self._opened().read(self._wait_s)
        now_ns = self._now()
        packets = self._decoder.feed(data)
        if len(packets.kind):
            self._heard_ns = now_ns
        elif now_ns - self._heard_ns > SILENCE_NS:
            raise MonitorSilent(f"{self._spec.name} has sent nothing for {(now_ns - self._heard_ns) * 1e-9:.1f} s")
        if np.any(packets.flags & 0x10):
            raise OutputTripped(f"{self._spec.name} switched its output off: over-current or heat; look to the board")
        if now_ns - self._read_ns > STALL_NS:
            self._break(least_lost=0)
        self._read_ns = now_ns
        self._take(packets)
        if pending := sum(len(samples) for samples in self._pending):
            self._clock.arrived(pending, now_ns)
        return self._stamped() if pending and self._clock.placed else Samples.empty()

    def stop(self) -> None:
        """End sampling and drain the wire."""
        self._quieten()

    def close(self) -> None:
        """Give the port back. The output stays on."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _take(self, packets: Packets) -> None:
        """Decode sample packets run by run: a run ends at a break of the sequence and at a calibration."""
        sequence = packets.flags & 0x0F
        before = np.roll(sequence, 1)
        if len(sequence):
            before[0] = sequence[0] - 1 if self._sequence is None else self._sequence
            self._sequence = int(sequence[-1])
        broken = (sequence - before) & 0x0F != 1
        offset = np.concatenate(([0], np.cumsum(packets.count)))
        heads = np.flatnonzero(broken | (packets.kind != protocol.Kind.DATA))
        for first, end in pairwise(sorted({0, *heads.tolist(), len(sequence)})):
            if broken[first]:
                self._break(least_lost=1)
            start = first
            if packets.kind[first] != protocol.Kind.DATA:
                words = packets.words[offset[first] : offset[first + 1]]
                self._calibration.note(int(packets.kind[first]), words[:, self._channel])
                start += 1
            if start < end and self._calibration.complete:
                is_on = np.repeat(packets.flags[start:end] & 0x20 != 0, packets.count[start:end])
                self._pending.append(self._decode(packets.words[offset[start] : offset[end]], is_on))

    def _decode(self, words: NDArray[np.int16], is_on: NDArray[np.bool_]) -> Samples:
        """Samples without index and time."""
        count = len(words)
        current_a = self._calibration.current_a(words[:, self._channel])
        in_range = np.abs(words[:, self._channel].astype(np.int32) & ~1) < protocol.END_OF_SCALE
        if self._is_main:
            voltage_v = (words[:, 3].view(np.uint16) & 0xFFFC).astype(np.float64) * self._voltage_lsb_v
            power_w = np.where(is_on & in_range, current_a * voltage_v, np.nan)
        else:
            voltage_v = np.full(count, self._supply_v)
            power_w = np.where(in_range, current_a * voltage_v, np.nan)
        if not in_range.all():
            log.warning("%s: the current left its scale; %d samples count as lost", self._spec.name, (~in_range).sum())
        unknown = np.zeros(count, np.int64)
        mark = (words[:, 3] & 3).astype(np.uint8)
        return Samples(unknown, unknown, np.zeros(count, np.uint8), power_w, voltage_v, current_a, mark)

    def _break(self, least_lost: int) -> None:
        if dropped := sum(len(samples) for samples in self._pending):
            log.warning("%s: %d samples dropped with the lost ones around them", self._spec.name, dropped)
        self._pending = []
        self._clock.broken(least_lost)

    def _stamped(self) -> Samples:
        samples = Samples.concatenate(self._pending)
        self._pending = []
        index, time_ns = self._clock.stamp(len(samples))
        return replace(samples, index=index, time_ns=time_ns).take(~np.isnan(samples.power_w))

    def _ramp(self, status: Status) -> None:
        """Raise main in small steps, from where it is."""
        port = self._opened()
        step_v = max(RAMP_START_V, status.main_voltage_v)
        while step_v < self._supply_v:
            port.write(protocol.set_voltage(step_v))
            self._sleep(RAMP_PAUSE_S)
            step_v += RAMP_STEP_V
        port.write(self._set_voltage)

    def _quieten(self) -> None:
        """Stop whatever runs and throw away what still comes. Raises `MonitorSilent` if that never ends."""
        port = self._opened()
        port.write(protocol.STOP)
        heard_ns = begun_ns = self._now()
        while (now_ns := self._now()) - heard_ns < QUIET_NS:
            if port.read(self._wait_s):
                heard_ns = now_ns
            if now_ns - begun_ns > DRAIN_NS:
                raise MonitorSilent(f"{self._spec.name} does not stop talking; is it a Monsoon LVPM?")

    def _opened(self) -> Port:
        if self._port is None:
            raise MonitorSilent(f"{self._spec.name} is not open")
        return self._port
