"""A Monsoon on the USB bus: found, claimed, asked and told, in clear words when that fails."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from power import monsoon_usb_protocol as protocol
from power.errors import BenchError, MonitorGone, MonitorSilent, PortBusy, PortMissing, PowerError, WrongDevice
from power.monsoon_usb_protocol import Opcode

CONTROL_TIMEOUT_MS = 1000
DRAIN_TIMEOUT_MS, DRAIN_PACKETS = 20, 500
"""how long silence counts as silence after a stop, and what may come before it: the device queues 16 records"""
STALLS = 3
"""in a row, before the device counts as stuck"""
UDEV_RULE = "examples/udev/70-monsoon.rules"


class MonsoonUsb:
    """Takes the Monsoon on the bus, or the one of a serial number, and ends a stream that a killed process left.

    `backend` is pyusb's; None for the one it finds. `close` is safe at any time. Raises `PortMissing`, `PortBusy`,
    `WrongDevice`, `MonitorGone`, `MonitorSilent`.
    """

    def __init__(self, serial_number: int | None, backend: Any = None) -> None:
        try:
            import usb.core
            import usb.util
        except ImportError:
            raise PortMissing("a Monsoon on USB needs pyusb: pip install 'edge-energy-testbed[hvpm]'") from None
        self._usb = usb
        self._device: Any = None
        self.serial_number = self._find(serial_number, backend)

    def close(self) -> None:
        """Give the device back."""
        if self._device is not None:
            with suppress(self._usb.core.USBError):  # of a device that is gone there is nothing to give back
                self._usb.util.dispose_resources(self._device)
            self._device = None

    def ask(self, opcode: Opcode, size: int, signed: bool = False) -> int:
        """A value of so many bytes; not while sampling."""
        with self._in_clear_words():
            answer = self._device.ctrl_transfer(
                protocol.IN, protocol.SET_VALUE, 0, int(opcode), 4, CONTROL_TIMEOUT_MS
            ).tobytes()
        if len(answer) < 4 or int.from_bytes(answer, "little") == protocol.BUSY_SAMPLING:
            raise MonitorSilent(f"the Monsoon does not say what its {opcode.name} is; unplug it and plug it in again")
        return int.from_bytes(answer[:size], "little", signed=signed)

    def tell(self, opcode: Opcode, value: int) -> None:
        """Set a value; not while sampling."""
        low, index, data = protocol.set_request(opcode, value)
        self._request(protocol.SET_VALUE, low, index, data)

    def start(self) -> None:
        """Sample without end."""
        self._request(protocol.START, protocol.CALIBRATE_EVERY_MS, 0, protocol.UNLIMITED.to_bytes(4, "little"))

    def stop(self) -> None:
        """End sampling and throw away what still comes."""
        self._request(protocol.STOP, 0, 0, b"")
        for _ in range(DRAIN_PACKETS):
            if not self.packet(DRAIN_TIMEOUT_MS):
                return
        raise MonitorSilent("the Monsoon does not stop talking; unplug it and plug it in again")

    def packet(self, timeout_ms: int) -> bytes:
        """The next packet of the stream; empty when none comes in time."""
        core = self._usb.core
        for _ in range(STALLS):
            with self._in_clear_words():
                try:
                    packet: bytes = self._device.read(protocol.BULK_IN, protocol.PACKET_BYTES, timeout_ms).tobytes()
                    return packet
                except core.USBTimeoutError:
                    return b""
                except core.USBError as error:
                    if error.errno != errno.EPIPE:
                        raise
                    self._device.clear_halt(protocol.BULK_IN)
        raise MonitorSilent("the Monsoon's stream stalls again and again; unplug it and plug it in again")

    def _find(self, serial_number: int | None, backend: Any) -> int:
        others: list[int] = []
        trouble: PowerError | None = None
        for device in self._candidates(backend):
            self._device = device
            try:
                found = self._claim()
            except PowerError as error:
                trouble = error
            else:
                if serial_number in (None, found):
                    return found
                others.append(found)
            self.close()
        if trouble is not None:
            raise trouble
        wanted = "no Monsoon" if serial_number is None else f"no Monsoon of serial number {serial_number}"
        there = f"; there is {', '.join(map(str, others))}" if others else "; is it plugged in and switched on?"
        raise WrongDevice(f"{wanted} is on the USB bus{there}")

    def _candidates(self, backend: Any) -> list[Any]:
        try:
            with self._in_clear_words():
                found = self._usb.core.find(
                    find_all=True, idVendor=protocol.VENDOR, idProduct=protocol.PRODUCT, backend=backend
                )
                return list(found)
        except self._usb.core.NoBackendError:
            raise PortMissing("pyusb finds no libusb: sudo apt-get install libusb-1.0-0") from None

    def _claim(self) -> int:
        with self._in_clear_words():
            with suppress(NotImplementedError):  # where there are no kernel drivers to detach
                if self._device.is_kernel_driver_active(0):
                    self._device.detach_kernel_driver(0)
            self._usb.util.claim_interface(self._device, 0)
        self.stop()
        return self.ask(Opcode.SERIAL_NUMBER, 2)

    def _request(self, request: int, value: int, index: int, data: bytes) -> None:
        with self._in_clear_words():
            self._device.ctrl_transfer(protocol.OUT, request, value, index, data or None, CONTROL_TIMEOUT_MS)

    @contextmanager
    def _in_clear_words(self) -> Iterator[None]:
        """USB's errors as this room's."""
        try:
            yield
        except self._usb.core.USBTimeoutError as error:
            raise MonitorSilent("the Monsoon does not answer on USB; unplug it and plug it in again") from error
        except self._usb.core.USBError as error:
            raise _cause(error.errno, error) from error


def _cause(number: int | None, error: Exception) -> BenchError | MonitorGone:
    if number in (errno.EACCES, errno.EPERM):
        return PortMissing(
            f"no permission to use the Monsoon on USB: sudo cp {UDEV_RULE} /etc/udev/rules.d/ && "
            "sudo udevadm control --reload && sudo udevadm trigger, then plug it in again"
        )
    if number == errno.EBUSY:
        return PortBusy("the Monsoon is in use by another process; stop it (PowerTool, a script, another testbed)")
    return MonitorGone(f"the Monsoon is gone from USB ({error}); plug it in again and reopen")
