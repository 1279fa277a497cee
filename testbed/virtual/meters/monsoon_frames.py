"""The device's side of the Monsoon LVPM's serial framing and its packets, as the public host tools read them.

Sources: AOSP/CTS tools/utils/monsoon.py, google/mobly controllers/monsoon.py, catapult
telemetry/internal/platform/profiler/monsoon.py, msoon/PyMonsoon.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

DATA, ZERO_CALIBRATION, REFERENCE_CALIBRATION = 0, 1, 2
_STATUS = struct.Struct(">BBBhhhHhhhHBBBxBbHBHHHHBbbHHBBBbbbbbbbbbBH")
_STATUS_PACKET = 0x10
_QUIET_NS = 100_000_000


def frame(payload: bytes) -> bytes:
    """`payload` with its length in front and its checksum behind."""
    length = len(payload) + 1
    return bytes((length,)) + payload + bytes((length + sum(payload) & 0xFF,))


def data_packet(sequence: int, *, output_on: bool, tripped: bool, kind: int, samples: bytes) -> bytes:
    """A framed packet of samples, 8 bytes each: `>hhhh` main, usb, aux current, main voltage."""
    flags = sequence & 0x0F | tripped << 4 | output_on << 5
    return frame(bytes((flags, kind, 0, 0)) + samples + b"\0")


class CommandScanner:
    """Finds command payloads in what the controller writes, however it is cut up."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._heard_ns = 0

    def scan(self, data: bytes, time_ns: int) -> list[bytes]:
        """The payloads completed by `data`; what lies unfinished for 0.1 s is thrown away."""
        if time_ns - self._heard_ns > _QUIET_NS:
            self._held.clear()
        self._heard_ns = time_ns
        self._held += data
        payloads: list[bytes] = []
        while self._held:
            length = self._held[0]
            if len(self._held) < length + 1:
                break
            if length < 2 or sum(self._held[:length]) & 0xFF != self._held[length]:
                del self._held[0]
                continue
            payloads.append(bytes(self._held[1:length]))
            del self._held[: length + 1]
        return payloads


@dataclass(frozen=True, slots=True)
class Status:
    """What a status packet tells."""

    currents: tuple[int, int, int]
    """main, usb, aux, as in a data packet's samples: bit 0 tells coarse from fine"""
    main_voltage: int
    output_voltage_setting: int
    serial_number: int
    power_up_current_limit: int
    run_time_current_limit: int
    passthrough: int
    hardware_revision: int

    def packet(self) -> bytes:
        """Its frame. What no emulation decides is as a resting LVPM shows it: firmware 20, protocol 17, 5 kHz, 25 C."""
        fine = [0 if word & 1 else word for word in self.currents]
        coarse = [word & ~1 if word & 1 else 0 for word in self.currents]
        return frame(
            _STATUS.pack(
                *(_STATUS_PACKET, 20, 17),
                *(*fine, self.main_voltage),
                *(*coarse, self.main_voltage),
                *(self.output_voltage_setting, 25, 0, 0, 0),
                *(self.serial_number, 5, 0x2000, 0xE000),
                *(self.power_up_current_limit, self.run_time_current_limit, 20),
                *(0, 0, 0, 0),
                *(self.hardware_revision, 80, self.passthrough),
                *(0,) * 9,
                *(0, 0),
            )
        )
