"""A Monsoon on an emulated USB bus: a backend for pyusb at whose far end an HVPM, or an LVPM with revision E firmware,
feeds a virtual board.

`usb.core.find(backend=Bus(...))` finds it. The bus has a clock of its own, which moves while a transfer waits and by
`advance`. Where the public sources are silent: a record of any kind takes one period, a dropped record is counted
before the packet that follows it, the newest is dropped when 16 wait.
"""

from __future__ import annotations

import errno
import random
import struct
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from usb.backend import IBackend
from usb.core import USBError, USBTimeoutError

from testbed.virtual.meters.agenda import Agenda, Faults, parse_fault
from testbed.virtual.meters.monsoon_usb_analog import UsbInstrument
from testbed.virtual.supply import SupplyReader

FAULTS = ("drop", "unplug", "stall", "trip")
_PERIOD_NS, _QUEUE, _RECORDS_A_PACKET = 200_000, 16, 3
_TRANSFER_NS, _JITTER_NS, _CONTROL_NS = 60_000, 300_000, 250_000
_NO_COUNT_NS = 3_000_000  # so long after a start the dropped count reads 0xffff
_MEASUREMENT, _ZERO, _INVALID, _REFERENCE = 0x00, 0x10, 0x20, 0x30
_CALIBRATION = (_ZERO, _ZERO, _INVALID, _REFERENCE, _REFERENCE, _INVALID)
_ERROR, _UNLIMITED = 0xFFFF_FFFE, 0xFFFF_FFFF
_STATUS, _SAMPLING = 0xC4, 0x80
_SET_VALUE, _START, _STOP = 1, 2, 3
_BULK_IN = 0x81
_PASSTHROUGH, _MAIN_VOLTAGE, _SERIAL_NUMBER, _MODEL, _PROTOCOL, _FIRMWARE = 0x10, 0x41, 0x42, 0x45, 0xC1, 0xC0


@dataclass(frozen=True, slots=True)
class Record:
    """One in the device's queue."""

    ended_ns: int
    dropped: int
    """so many before it, since the start"""
    data: bytes


class Bus(IBackend):  # type: ignore[misc]  # pyusb has no types
    """A pyusb backend with one device on it."""

    def __init__(
        self,
        supply: SupplyReader,
        instrument: UsbInstrument,
        *,
        serial_number: int = 20_001,
        faults: Iterable[str] = (),
        permitted: bool = True,
        drift_ppm: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.now_ns = 0
        self._supply, self._instrument = supply, instrument
        self._memory = {_SERIAL_NUMBER: serial_number, _MODEL: instrument.product.code, _FIRMWARE: 32, _PROTOCOL: 1}
        self._memory.update(instrument.product.memory)
        self._memory.setdefault(_PASSTHROUGH, instrument.passthrough)
        self._permitted = permitted
        self._period_ns = _PERIOD_NS / (1.0 + drift_ppm * 1e-6)
        self._random = random.Random(f"{seed} usb")
        self._handles = 0
        self._claimed_by: int | None = None
        self._plugged, self._halted = True, 0
        self._queue: deque[Record] = deque()
        self._started_ns = self._taken = self._dropped = self._sequence = self._to_drop = 0
        self._calibrate_every = 0
        self._script: deque[int] = deque()
        self._agenda = Agenda()
        actions = {
            "drop": lambda time_ns, amount: self._drop(round(amount or 1)),
            "unplug": lambda time_ns, amount: self._unplug(),
            "stall": lambda time_ns, amount: self._halt(round(amount or 1)),
            "trip": lambda time_ns, amount: self._trip(),
        }
        self._faults = Faults([parse_fault(fault, FAULTS) for fault in faults], actions, self._agenda)
        self._faults.begin(0, streaming=False)

    # The bus's clock

    def clock(self) -> int:
        """Its time in ns; looking at it takes a moment."""
        self.advance(5_000)
        return self.now_ns

    def advance(self, step_ns: int) -> None:
        """Let time pass."""
        self.now_ns += step_ns
        self._agenda.live_until(self.now_ns, self._sample_until)

    @property
    def board_v(self) -> float:
        """What the board is fed with now."""
        return self._instrument.board_v

    # What pyusb calls

    def enumerate_devices(self) -> Iterator[int]:
        """The device, while it is plugged in."""
        return iter([1] if self._plugged else [])

    def get_device_descriptor(self, device: int) -> SimpleNamespace:
        """Monsoon's vendor and product."""
        return _descriptor(
            bLength=18, bDescriptorType=1, bcdUSB=0x200, bDeviceClass=0, bDeviceSubClass=0, bDeviceProtocol=0,
            bMaxPacketSize0=64, idVendor=0x2AB9, idProduct=0x0001, bcdDevice=0x100, iManufacturer=0, iProduct=0,
            iSerialNumber=0, bNumConfigurations=1, address=7, bus=1, port_number=1, port_numbers=(1,), speed=2,
        )  # fmt: skip

    def get_configuration_descriptor(self, device: int, configuration: int) -> SimpleNamespace:
        """One configuration."""
        _only(configuration)
        return _descriptor(
            bLength=9, bDescriptorType=2, wTotalLength=32, bNumInterfaces=1, bConfigurationValue=1, iConfiguration=0,
            bmAttributes=0x80, bMaxPower=50,
        )  # fmt: skip

    def get_interface_descriptor(
        self, device: int, interface: int, alternate: int, configuration: int
    ) -> SimpleNamespace:
        """One interface."""
        _only(interface, alternate, configuration)
        return _descriptor(
            bLength=9, bDescriptorType=4, bInterfaceNumber=0, bAlternateSetting=0, bNumEndpoints=1,
            bInterfaceClass=255, bInterfaceSubClass=0, bInterfaceProtocol=0, iInterface=0,
        )  # fmt: skip

    def get_endpoint_descriptor(
        self, device: int, endpoint: int, interface: int, alternate: int, configuration: int
    ) -> SimpleNamespace:
        """One endpoint, bulk in."""
        _only(endpoint, interface, alternate, configuration)
        return _descriptor(
            bLength=7, bDescriptorType=5, bEndpointAddress=_BULK_IN, bmAttributes=2, wMaxPacketSize=64, bInterval=0,
            bRefresh=0, bSynchAddress=0,
        )  # fmt: skip

    def open_device(self, device: int) -> int:
        """A handle."""
        self._require_plugged()
        if not self._permitted:
            raise USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        self._handles += 1
        return self._handles

    def close_device(self, handle: int) -> None:
        """Let go, claims too; the device goes on with what it does."""
        self.release_interface(handle, 0)

    def get_configuration(self, handle: int) -> int:
        """The configuration in force."""
        self._require_plugged()
        return 1

    def is_kernel_driver_active(self, handle: int, interface: int) -> bool:
        """No kernel driver wants it."""
        return False

    def claim_interface(self, handle: int, interface: int) -> None:
        """For one handle at a time."""
        self._require_plugged()
        if self._claimed_by not in (None, handle):
            raise USBError("Resource busy", -6, errno.EBUSY)
        self._claimed_by = handle

    def release_interface(self, handle: int, interface: int) -> None:
        """Give it up."""
        if self._claimed_by == handle:
            self._claimed_by = None

    def clear_halt(self, handle: int, endpoint: int) -> None:
        """End one stall."""
        self._require_plugged()
        self._halted = max(0, self._halted - 1)

    def ctrl_transfer(
        self, handle: int, request_type: int, request: int, value: int, index: int, data: array[int], timeout: int
    ) -> int:
        """A vendor request; an answer is written into `data`."""
        self.advance(_CONTROL_NS)
        self._require_plugged()
        sent = bytes(data)
        if request_type == 0xC0 and request == _SET_VALUE:
            data[:] = array("B", struct.pack("<I", self._answer(index & 0xFF)))
        elif request_type == 0x40 and request == _SET_VALUE:
            if value | index >> 8 << 16 != int.from_bytes(sent[:3], "little"):
                raise USBError("Pipe error", -9, errno.EPIPE)
            if not self._instrument.sampling:
                self._set(index & 0xFF, int.from_bytes(sent, "little"))
        elif request_type == 0x40 and request == _START:
            self._start(calibrate_ms=value, samples=int.from_bytes(sent, "little"))
        elif request_type == 0x40 and request == _STOP:
            self._instrument.sampling = False
        else:
            raise USBError("Pipe error", -9, errno.EPIPE)
        return len(data)

    def bulk_read(self, handle: int, endpoint: int, interface: int, buffer: array[int], timeout: int) -> int:
        """The next packet, as soon as there is one."""
        if self._claimed_by != handle:
            raise USBError("Resource busy", -6, errno.EBUSY)
        self.advance(_TRANSFER_NS + int(_JITTER_NS * self._random.random()))
        until_ns = self.now_ns + timeout * 1_000_000
        while not self._queue and self._plugged and not self._halted:
            if self.now_ns >= until_ns:
                raise USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
            self.advance(min(self._rest_of_sample_ns, until_ns - self.now_ns))
        self._require_plugged()
        if self._halted:
            raise USBError("Pipe error", -9, errno.EPIPE)
        packet = self._packet()
        buffer[: len(packet)] = array("B", packet)
        return len(packet)

    # The device

    @property
    def _rest_of_sample_ns(self) -> int:
        if not self._instrument.sampling:
            return _PERIOD_NS
        return max(1, self._started_ns + int((self._taken + 1) * self._period_ns) + 1 - self.now_ns)

    def _answer(self, opcode: int) -> int:
        if opcode == _STATUS:
            return _SAMPLING if self._instrument.sampling else 0
        return _ERROR if self._instrument.sampling else self._memory.get(opcode, 0)

    def _set(self, opcode: int, value: int) -> None:
        self._memory[opcode] = value
        if opcode == _MAIN_VOLTAGE:
            voltage_v = value / (1 << 20)
            self._instrument.main_v = voltage_v if voltage_v <= self._instrument.product.full_scale_v else 0.0
            self._instrument.tripped = False
        elif opcode == _PASSTHROUGH:
            self._instrument.passthrough = value

    def _start(self, calibrate_ms: int, samples: int) -> None:
        if samples != _UNLIMITED:
            raise USBError("Pipe error", -9, errno.EPIPE)
        self._instrument.sampling = True
        self._started_ns, self._taken, self._dropped, self._sequence = self.now_ns, 0, 0, 0
        self._calibrate_every = calibrate_ms * 1_000_000 // _PERIOD_NS
        self._script = deque(_CALIBRATION)
        self._faults.begin(self.now_ns, streaming=True)

    def _sample_until(self, time_ns: int) -> None:
        if not (self._instrument.sampling and self._plugged):
            return
        end = int((time_ns - self._started_ns) / self._period_ns)
        if end <= self._taken:
            return
        self._supply.refresh()
        bounds_ns = self._started_ns + np.rint(np.arange(self._taken, end + 1) * self._period_ns).astype(np.int64)
        readings = self._instrument.records(bounds_ns[:-1], bounds_ns[1:]).tolist()
        for number, ended_ns, reading in zip(range(self._taken, end), bounds_ns[1:].tolist(), readings, strict=True):
            if number and self._calibrate_every and number % self._calibrate_every == 0:
                self._script = deque(_CALIBRATION)
            self._take(ended_ns, reading)
        self._taken = end

    def _take(self, ended_ns: int, reading: list[int]) -> None:
        kind = self._script.popleft() if self._script else _MEASUREMENT
        if kind in (_ZERO, _REFERENCE):
            reading = self._instrument.calibration(reference=kind == _REFERENCE)
        if self._to_drop or len(self._queue) >= _QUEUE:
            self._to_drop = max(0, self._to_drop - 1)
            self._dropped += 1
            return
        words = [count & 0xFFFF for count in reading]
        self._queue.append(Record(ended_ns, self._dropped, struct.pack(">8HBB", *words, 0, kind)))

    def _packet(self) -> bytes:
        first = self._queue[0]
        records = [self._queue.popleft()]
        while self._queue and len(records) < _RECORDS_A_PACKET and self._queue[0].dropped == first.dropped:
            records.append(self._queue.popleft())
        dropped = 0xFFFF if first.ended_ns < self._started_ns + _NO_COUNT_NS else first.dropped & 0xFFFF
        self._sequence = self._sequence + 1 & 0x0F
        head = struct.pack("<HBB", dropped, self._sequence, len(records))
        return head + b"".join(record.data for record in records)

    def _drop(self, records: int) -> None:
        """Lose the next so many."""
        self._to_drop += records

    def _halt(self, times: int) -> None:
        """Stall the stream until that was cleared so often."""
        self._halted += times

    def _trip(self) -> None:
        """Over-current: main goes off until it is set anew."""
        self._instrument.tripped = True

    def _unplug(self) -> None:
        self._plugged = False

    def _require_plugged(self) -> None:
        if not self._plugged:
            raise USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)


def _descriptor(**fields: object) -> SimpleNamespace:
    return SimpleNamespace(**fields, extra_descriptors=array("B"))


def _only(*numbers: int) -> None:
    """There is one of each."""
    if any(numbers):
        raise IndexError
