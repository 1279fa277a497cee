"""The Monsoon LVPM power monitor (FTA22D, white case) with its stock firmware, over its USB serial port."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from power import monsoon_protocol as protocol
from power.clock import ClockFit, known
from power.count_clock import CountClock
from power.errors import MonitorSilent, OutputTripped
from power.monitor import SHORTEST_WINDOW_SAMPLES, Kind, MonitorSpec, Specimen
from power.monsoon_input import CHANNELS, MonsoonInput, channels, require_possible, total
from power.monsoon_link import MonsoonLink, find
from power.monsoon_ports import candidates
from power.monsoon_protocol import Passthrough, Status
from power.monsoon_stream import SEQUENCES, TRIPPED, Converter, Run
from power.samples import ByteArray, FloatArray, Samples

log = logging.getLogger(__name__)

RATE_HZ = 5000.0
PERIOD_NS = 200_000
COARSE_STEP_A = 286e-6
"""the product's coarse resolution"""
GAIN_LIMIT = 0.01
"""of power, relative; a common reading of the maker's accuracy, to be replaced by a calibration of the specimen"""
OFFSET_LIMIT_A = 1e-3
WIRE_LATENCY_S, WIRE_LATENCY_STANDARD_UNCERTAINTY_S = 0.5e-3, 0.3e-3
"""USB CDC: a frame of 1 ms and the host's scheduling, from a sample's end to its bytes at the reader, at the least"""
SILENCE_NS = 1_000_000_000
AUTO = "auto"
"""the port of a monitor that is to be looked for"""


class MonsoonLvpm:
    """A `PowerMonitor` with one channel an input, in their order. `ValueError` for settings the device does not have.

    `port` is a serial port, or "auto" for the first LVPM found, or the one of `serial_number`. The current limits are
    those of main. `gain_standard_uncertainty` (relative) and `offset_standard_uncertainty_a` may come from a
    calibration. `latency_s` is the least time from a sample's end to its bytes here. `read` returns at most every
    `wait_s`: each call has its price.
    """

    def __init__(
        self,
        port: str,
        inputs: Sequence[MonsoonInput],
        *,
        serial_number: int | None = None,
        gain_standard_uncertainty: float = GAIN_LIMIT / math.sqrt(3.0),
        offset_standard_uncertainty_a: float = OFFSET_LIMIT_A / math.sqrt(3.0),
        power_up_limit_a: float = protocol.MOST_A,
        run_time_limit_a: float = protocol.MOST_A,
        latency_s: float = WIRE_LATENCY_S,
        latency_standard_uncertainty_s: float = WIRE_LATENCY_STANDARD_UNCERTAINTY_S,
        wait_s: float = 0.02,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        require_possible(inputs, (protocol.LEAST_MAIN_V, protocol.MOST_MAIN_V), "a Monsoon LVPM")
        protocol.set_current_limits(power_up_limit_a, run_time_limit_a)  # refuses what lies beyond them
        self._inputs = tuple(inputs)
        self._limits_a = power_up_limit_a, run_time_limit_a
        self._supply_v = np.array([[one.supply_v] for one in inputs])
        names = [one.name for one in inputs]
        self._numbers = np.arange(len(names), dtype=np.uint8)
        self._main = names.index("main") if "main" in names else None
        self._port, self._serial_number = port, serial_number
        self._wait_s, self._now, self._sleep = wait_s, clock, sleep
        self._latency = latency_s, latency_standard_uncertainty_s
        self._spec = MonitorSpec(
            name="monsoon-lvpm" if port == AUTO else f"monsoon-lvpm on {port}",
            rate_hz=RATE_HZ,
            channels=channels(
                inputs, ("main",), COARSE_STEP_A, gain_standard_uncertainty, offset_standard_uncertainty_a
            ),
            kind=Kind.AVERAGING,
            aperture_s=1.0 / RATE_HZ,
            shortest_window_s=SHORTEST_WINDOW_SAMPLES / RATE_HZ,
            mark_lines=2,
            total=total(inputs),
        )
        self._link: MonsoonLink | None = None
        self._specimen: Specimen | None = None
        self._voltage_lsb_v = protocol.VOLTAGE_LSB_V
        self._forget()

    def _forget(self) -> None:
        self._converter = Converter([CHANNELS.index(one.name) for one in self._inputs], self._voltage_lsb_v)
        self._clock = CountClock(PERIOD_NS, *self._latency)
        self._pending: list[Run] = []
        """without a place in time"""
        self._heard_ns = self._read_ns = 0

    @property
    def spec(self) -> MonitorSpec:
        """How well it measures."""
        return self._spec

    @property
    def clock(self) -> ClockFit:
        """How the sample count is mapped to the controller's clock. Raises `MonitorSilent` before the first samples."""
        return known(self._clock.fit, self._spec.name)

    @property
    def specimen(self) -> Specimen | None:
        """Serial number and firmware; None before `open`."""
        return self._specimen

    def open(self) -> None:
        """Take the port, end a stream that a killed process left running, and feed the board as declared."""
        self.close()
        ports = candidates() if self._port == AUTO else [self._port]
        self._link = link = (
            self._reach(self._port)
            if self._port != AUTO and self._serial_number is None
            else find(ports, self._serial_number, self._reach, self._sleep)
        )
        self._voltage_lsb_v = protocol.voltage_lsb_v(link.found.hardware_revision)
        link.limit(*self._limits_a)
        for one in self._inputs:
            if one.name == "main":
                link.ramp(one.supply_v)
            elif one.name == "usb":
                link.pass_usb_through(Passthrough.ON)
        self._specimen = Specimen(str(link.found.serial_number), link.found.firmware_version)
        log.info("%s at %s: %s", self._spec.name, link.port, self._specimen)

    def status(self) -> Status:
        """Ask for the status; not while sampling. Raises `MonitorSilent`."""
        return self._opened().status()

    def switch_off(self) -> None:
        """Take main's voltage away, on request only: closing leaves the board fed. Not while sampling."""
        self._opened().switch_off()

    def start(self) -> None:
        """Begin sampling. Samples come once the first calibration has, and the clock has settled: after 0.25 s."""
        self._opened().start()
        self._forget()
        self._heard_ns = self._read_ns = self._now()

    def read(self) -> Samples:
        """The samples that came, oldest first. Raises `OutputTripped`, `MonitorSilent`, `MonitorGone`."""
        if (rest_s := self._wait_s - (self._now() - self._read_ns) * 1e-9) > 0:
            self._sleep(rest_s)
        link = self._opened()
        packets = link.read(self._wait_s)
        now_ns = self._now()
        if len(packets.kind):
            self._heard_ns = now_ns
        elif now_ns - self._heard_ns > SILENCE_NS:
            raise MonitorSilent(f"{self._spec.name} has sent nothing for {(now_ns - self._heard_ns) * 1e-9:.1f} s")
        if np.any(packets.flags & TRIPPED):
            raise OutputTripped(f"{self._spec.name} switched its output off: over-current or heat; look to the board")
        if link.was_full and len(packets.count):  # 16 lost packets leave no trace in the sequence
            least_if_any = SEQUENCES * len(packets.words) / len(packets.count)
            if not self._clock.doubted(sum(len(run) for run in self._pending), least_if_any):
                self._break(least_lost=0)
        self._read_ns = now_ns
        for run in self._converter.runs(packets):
            if run is None:
                self._break(least_lost=1)
            else:
                self._pending.append(run)
                if beyond := int(np.isnan(run.current_a).any(axis=0).sum()):
                    log.warning("%s: the current left its scale; %d samples count as lost", self._spec.name, beyond)
        if pending := sum(len(run) for run in self._pending):
            self._drop(self._clock.arrived(pending, now_ns))
        return self._stamped() if self._pending and self._clock.placed else Samples.empty()

    def stop(self) -> None:
        """End sampling and drain the wire."""
        self._opened().quieten()

    def close(self) -> None:
        """Give the port back. The output stays on."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _reach(self, port: str) -> MonsoonLink:
        return MonsoonLink(port, min(self._wait_s, 0.005), self._now, self._sleep)

    def _break(self, least_lost: int) -> None:
        self._drop(sum(len(run) for run in self._pending))
        self._clock.broken(least_lost)

    def _drop(self, count: int) -> None:
        """The oldest so many of the pending samples, which are whole runs, have no place in time."""
        if count:
            log.warning("%s: %d samples dropped with the lost ones around them", self._spec.name, count)
        while count > 0:
            count -= len(self._pending.pop(0))

    def _stamped(self) -> Samples:
        count = sum(len(run) for run in self._pending)
        index, time_ns = self._clock.stamp(count)
        parts = [self._columns(run) for run in self._pending]
        self._pending = []
        power_w, voltage_v, current_a, mark = (np.concatenate(column) for column in zip(*parts, strict=True))
        rows = len(self._inputs)
        channel = np.tile(self._numbers, count)
        index, time_ns = np.repeat(index, rows), np.repeat(time_ns, rows)
        samples = Samples(index, time_ns, channel, power_w, voltage_v, current_a, mark)
        is_known = ~np.isnan(power_w)
        return samples if is_known.all() else samples.take(is_known)

    def _columns(self, run: Run) -> tuple[FloatArray, FloatArray, FloatArray, ByteArray]:
        """Power (NaN where unknown), voltage, current, marks; the channels of a sample one behind the other."""
        voltage_v = np.repeat(self._supply_v, len(run), axis=1)
        if self._main is not None:
            voltage_v[self._main] = run.main_v
        power_w = run.current_a * voltage_v
        if self._main is not None and run.is_on is not None:
            power_w[self._main, ~run.is_on] = np.nan
        flat = [column.T.ravel() for column in (power_w, voltage_v, run.current_a)]
        return flat[0], flat[1], flat[2], np.repeat(run.mark, len(self._inputs))

    def _opened(self) -> MonsoonLink:
        if self._link is None:
            raise MonitorSilent(f"{self._spec.name} is not open")
        return self._link
