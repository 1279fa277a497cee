"""How the field reads a Monsoon LVPM, for comparison: packet by packet, sample by sample, in plain Python.

The way of AOSP/CTS tools/utils/monsoon.py, from its published behaviour: a length byte, so many bytes, their check sum;
one `struct` call per packet head and per sample; one zero and one reference for all channels; lists of values out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

Columns = tuple[list[float], list[float], list[float], list[float]]
"""main, usb and aux current in A, main voltage in V"""
FINE_REFERENCE_A, COARSE_REFERENCE_A, VOLTAGE_LSB_V = 0.0332, 2.88, 125e-6


class PacketLoop:
    """Takes bytes from `read`, which gives as many as asked for; an empty answer is the end."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._last_sequence = 0
        self.breaks = 0
        self._fine_zero = self._coarse_zero = self._fine_reference = self._coarse_reference = 0
        self._fine_scale = self._coarse_scale = 0.0

    def packet(self) -> bytes | None:
        """The next packet's payload; None at the end or after a wrong check sum."""
        head = self._read(1)
        if not head:
            return None
        length = head[0]
        if not length:
            return b""
        body = self._read(length)
        if len(body) != length:
            return None
        payload = body[:-1]
        total = length
        for byte in payload:
            total += byte
        return payload if total % 256 == body[-1] else None

    def collect(self) -> Columns | None:
        """The samples of the next data packet; None at the end."""
        while (payload := self.packet()) is not None:
            if len(payload) < 13 or not 0x20 <= payload[0] <= 0x2F:
                continue
            sequence, kind, _, _ = struct.unpack("BBBB", payload[:4])
            samples = [struct.unpack(">hhhh", payload[at : at + 8]) for at in range(4, len(payload) - 8, 8)]
            if self._last_sequence and sequence & 0xF != (self._last_sequence + 1) & 0xF:
                self.breaks += 1
            self._last_sequence = sequence & 0xF
            if kind == 0:
                if self._coarse_scale and self._fine_scale:
                    return self._scaled(samples)
            elif kind == 1:
                self._fine_zero, self._coarse_zero = samples[0][0], samples[1][0]
            elif kind == 2:
                self._fine_reference, self._coarse_reference = samples[0][0], samples[1][0]
            if self._coarse_reference != self._coarse_zero:
                self._coarse_scale = COARSE_REFERENCE_A / (self._coarse_reference - self._coarse_zero)
            if self._fine_reference != self._fine_zero:
                self._fine_scale = FINE_REFERENCE_A / (self._fine_reference - self._fine_zero)
        return None

    def _scaled(self, samples: list[tuple[int, int, int, int]]) -> Columns:
        def ampere(value: int) -> float:
            if value & 1:
                return ((value & ~1) - self._coarse_zero) * self._coarse_scale
            return (value - self._fine_zero) * self._fine_scale

        main_a, usb_a, aux_a, voltage_v = [], [], [], []
        for main, usb, aux, voltage in samples:
            main_a.append(ampere(main))
            usb_a.append(ampere(usb))
            aux_a.append(ampere(aux))
            voltage_v.append(voltage * VOLTAGE_LSB_V)
        return main_a, usb_a, aux_a, voltage_v
