"""The Monsoon HVPM power monitor (AAA10F, black case), and an LVPM with revision E firmware, over USB."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from power import monsoon_usb_model as models
from power import monsoon_usb_protocol as protocol
from power.clock import ClockFit, known
from power.count_clock import CountClock
from power.errors import MonitorSilent, OutputTripped, SensorFault, WrongDevice
from power.monitor import SHORTEST_WINDOW_SAMPLES, Kind, MonitorSpec, Specimen
from power.monsoon_input import MonsoonInput, channels, require_possible, total
from power.monsoon_usb_device import MonsoonUsb
from power.monsoon_usb_model import ChannelScale, Model
from power.monsoon_usb_protocol import Opcode, RecordKind, Records
from power.samples import IntArray, Samples

log = logging.getLogger(__name__)

RATE_HZ = 5000.0
PERIOD_NS = 200_000
GAIN_LIMIT = 0.01
"""of power, relative; a common reading of the maker's accuracy, to be replaced by a calibration of the specimen"""
OFFSET_LIMIT_A = 1e-3
WIRE_LATENCY_S, WIRE_LATENCY_STANDARD_UNCERTAINTY_S = 0.3e-3, 0.2e-3
"""a micro-frame or more of USB and the host's scheduling, from a sample's end to its packet here, at the least"""
SILENCE_NS = 1_000_000_000
ON_ABOVE = 0.5
"""of main's set voltage: below it main has switched itself off"""
DAC_LOW_BOUNDS, DAC_HIGH_BOUNDS = (0xD000, 0xF000), (0xC000, 0xD000)
"""outside, main may give quite another voltage than it is set to (PyMonsoon HVPM.checkDacValues)"""
PASSTHROUGH_ON = 1


class MonsoonHvpm:
    """A `PowerMonitor` with one channel an input, in their order. `ValueError` for settings the device does not have.

    Of several on the bus `serial_number` picks one. The current limits are those of main. main and usb measure their
    voltage, aux does not. `gain_standard_uncertainty` (relative) and `offset_standard_uncertainty_a` may come from a
    calibration. `latency_s` is the least time from a sample's end to its packet here. `backend` is pyusb's; None for
    the one it finds.
    """

    def __init__(
        self,
        inputs: Sequence[MonsoonInput],
        *,
        model: Model = models.HVPM,
        serial_number: int | None = None,
        gain_standard_uncertainty: float = GAIN_LIMIT / math.sqrt(3.0),
        offset_standard_uncertainty_a: float = OFFSET_LIMIT_A / math.sqrt(3.0),
        power_up_limit_a: float | None = None,
        run_time_limit_a: float | None = None,
        latency_s: float = WIRE_LATENCY_S,
        latency_standard_uncertainty_s: float = WIRE_LATENCY_STANDARD_UNCERTAINTY_S,
        wait_s: float = 0.01,
        clock: Callable[[], int] = time.monotonic_ns,
        backend: Any = None,
    ) -> None:
        require_possible(inputs, model.main_v, f"a Monsoon {model.name}")
        limits_a = (model.most_a if limit is None else limit for limit in (power_up_limit_a, run_time_limit_a))
        self._limits = [model.limit(limit_a) for limit_a in limits_a]
        self._inputs, self._model, self._serial_number = tuple(inputs), model, serial_number
        self._wait_ns, self._now, self._backend = round(wait_s * 1e9), clock, backend
        self._latency = latency_s, latency_standard_uncertainty_s
        self._spec = MonitorSpec(
            name=f"monsoon {model.name}" + ("" if serial_number is None else f" {serial_number}"),
            rate_hz=RATE_HZ,
            channels=channels(
                inputs, ("main", "usb"), model.step_a, gain_standard_uncertainty, offset_standard_uncertainty_a
            ),
            kind=Kind.AVERAGING,
            aperture_s=1.0 / RATE_HZ,
            shortest_window_s=SHORTEST_WINDOW_SAMPLES / RATE_HZ,
            total=total(inputs),
        )
        self._usb: MonsoonUsb | None = None
        self._specimen: Specimen | None = None
        self._references: dict[str, models.Reference] = {}
        self._forget()

    def _forget(self) -> None:
        self._counter = protocol.Counter()
        self._scales = [ChannelScale(self._model, name, reference) for name, reference in self._references.items()]
        self._clock = CountClock(PERIOD_NS, *self._latency)
        self._pending: list[tuple[int, Samples]] = []
        """positions taken, and the samples on them, their index counted from the first of these"""
        self._heard_ns = 0

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
        """Take the device, end a stream that a killed process left running, and feed the board as declared."""
        self.close()
        self._usb = usb = MonsoonUsb(self._serial_number, self._backend)
        code = usb.ask(Opcode.MODEL, 2)
        if code != self._model.code:
            there = next((model.name for model in models.MODELS.values() if model.code == code), f"model {code}")
            raise WrongDevice(f"the Monsoon {usb.serial_number} is no {self._model.name} but an {there}; say so")
        references = self._model.references(usb.ask)
        self._references = {one.name: references[one.name] for one in self._inputs}
        for opcode, value in zip((Opcode.POWER_UP_LIMIT, Opcode.RUN_TIME_LIMIT), self._limits, strict=True):
            usb.tell(opcode, value)
        for one in self._inputs:
            if one.name == "main":
                self._feed(usb, one.supply_v)
            elif one.name == "usb":
                self._set(usb, Opcode.PASSTHROUGH, PASSTHROUGH_ON, 1)
        self._specimen = Specimen(str(usb.serial_number), str(usb.ask(Opcode.FIRMWARE, 2)))
        log.info("%s: %s", self._spec.name, self._specimen)

    def switch_off(self) -> None:
        """Take main's voltage away, on request only: closing leaves the board fed. Not while sampling."""
        self._set(self._opened(), Opcode.MAIN_VOLTAGE, 0, 4)

    def start(self) -> None:
        """Begin sampling. Samples come once the first calibration has, and the clock has settled: after 0.25 s."""
        usb = self._opened()
        usb.stop()
        self._forget()
        usb.start()
        self._heard_ns = self._now()

    def read(self) -> Samples:
        """The samples that came, oldest first. Raises `OutputTripped`, `MonitorSilent`, `MonitorGone`."""
        packets = self._packets()
        now_ns = self._now()
        if packets:
            self._heard_ns = now_ns
        elif now_ns - self._heard_ns > SILENCE_NS:
            raise MonitorSilent(f"{self._spec.name} has sent nothing for {(now_ns - self._heard_ns) * 1e-9:.1f} s")
        records, positions = self._counter.take(packets)
        if not positions:
            return Samples.empty()
        self._pending.append((positions, self._measured(records)))
        pending = sum(positions for positions, _ in self._pending)
        self._clock.arrived(pending, now_ns)
        return self._stamped(pending) if self._clock.placed else Samples.empty()

    def stop(self) -> None:
        """End sampling and drain the wire."""
        self._opened().stop()

    def close(self) -> None:
        """Give the device back. The output stays on."""
        if self._usb is not None:
            self._usb.close()
            self._usb = None

    def _packets(self) -> list[bytes]:
        """What comes for `wait_s`; the device holds 16 records, so the reader must not be away for more than 3 ms."""
        usb = self._opened()
        packets: list[bytes] = []
        until_ns = self._now() + self._wait_ns
        while (rest_ns := until_ns - self._now()) > 0:
            if packet := usb.packet(max(1, rest_ns // 1_000_000)):
                packets.append(packet)
        return packets

    def _measured(self, records: Records) -> Samples:
        """Samples whose index is their position, and without a time; those of the channels one behind the other."""
        kind = records.kind
        parts = []
        begin = 0
        calibrates = np.flatnonzero(models.calibrations(records)).tolist()
        for end in [*calibrates, len(kind)]:
            chosen = np.arange(begin, end)[kind[begin:end] == int(RecordKind.MEASUREMENT)]
            if len(chosen) and all(scale.complete for scale in self._scales):
                parts.append(self._columns(records.position[chosen], records.words[chosen]))
            for scale in self._scales if end < len(kind) else ():
                scale.note(int(kind[end]), records.words[end : end + 1])
            begin = end + 1
        return Samples.concatenate(parts)

    def _columns(self, position: IntArray, words: NDArray[np.uint16]) -> Samples:
        rows, count = len(self._inputs), len(position)
        voltage_v = np.empty((count, rows))
        current_a = np.empty((count, rows))
        for column, (one, scale) in enumerate(zip(self._inputs, self._scales, strict=True)):
            measured = one.name in ("main", "usb")
            voltage_v[:, column] = models.voltage_v(self._model, one.name, words) if measured else one.supply_v
            current_a[:, column] = scale.current_a(words)
            if one.name == "main" and float(np.max(voltage_v[:, column])) < ON_ABOVE * one.supply_v:
                raise OutputTripped(
                    f"{self._spec.name} gives {np.max(voltage_v[:, column]):.2f} V instead of {one.supply_v:g} V: it "
                    "switched its output off (over-current or heat); look to the board"
                )
        index = np.repeat(position, rows)
        channel = np.tile(np.arange(rows, dtype=np.uint8), count)
        power_w = (voltage_v * current_a).ravel()
        samples = Samples(index, index, channel, power_w, voltage_v.ravel(), current_a.ravel())
        is_known = ~np.isnan(power_w)
        if is_known.all():
            return samples
        log.warning("%s: the current left its scale; %d readings count as lost", self._spec.name, (~is_known).sum())
        return samples.take(is_known)

    def _stamped(self, pending: int) -> Samples:
        index, time_ns = self._clock.stamp(pending)
        placed = []
        first = 0
        for positions, samples in self._pending:
            at = samples.index + first
            placed.append(replace(samples, index=index[at], time_ns=time_ns[at]))
            first += positions
        self._pending = []
        return Samples.concatenate(placed)

    def _feed(self, usb: MonsoonUsb, supply_v: float) -> None:
        if self._model.checks_dac:
            for opcode, (low, high) in ((Opcode.DAC_LOW, DAC_LOW_BOUNDS), (Opcode.DAC_HIGH, DAC_HIGH_BOUNDS)):
                value = usb.ask(opcode, 2)
                if not low < value < high:
                    raise SensorFault(
                        f"{self._spec.name}: its voltage calibration {opcode.name} is {value:#x}, outside {low:#x} to "
                        f"{high:#x}: main may give another voltage than it is set to and harm the board; bring its "
                        "firmware to 32 and have Monsoon's own tool calibrate its voltage"
                    )
        self._set(usb, Opcode.MAIN_VOLTAGE, protocol.voltage_value(supply_v), 4)

    def _set(self, usb: MonsoonUsb, opcode: Opcode, value: int, size: int) -> None:
        """Set a value and read it back."""
        usb.tell(opcode, value)
        if (found := usb.ask(opcode, size)) != value:
            raise SensorFault(
                f"{self._spec.name}: its {opcode.name} was set to {value:#x} and is {found:#x}; try again"
            )

    def _opened(self) -> MonsoonUsb:
        if self._usb is None:
            raise MonitorSilent(f"{self._spec.name} is not open")
        return self._usb
