"""The emulated USB Monsoon against the public tools' reading of its protocol, transfer by transfer through pyusb."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import usb.core

from testbed.virtual.meters import monsoon_usb_analog as analog
from testbed.virtual.meters.monsoon_usb import Bus
from testbed.virtual.supply import SupplyReader, SupplyWriter

MS = 1_000_000
VOLTS_5 = 5 << 20


@dataclass
class Packet:
    dropped: int
    records: list[tuple[int, ...]]
    """main, usb, aux coarse and fine, main and usb voltage, usb gain, main gain"""


class Desk:
    """A host that speaks to the device by hand."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._device: Any = usb.core.find(idVendor=0x2AB9, idProduct=0x0001, backend=bus)

    def ask(self, opcode: int) -> int:
        return int.from_bytes(self._device.ctrl_transfer(0xC0, 1, 0, opcode, 4, 100), "little")

    def set(self, opcode: int, value: int) -> None:
        index = opcode | (value >> 16 & 0xFF) << 8
        self._device.ctrl_transfer(0x40, 1, value & 0xFFFF, index, struct.pack("<I", value), 100)

    def start(self, calibrate_ms: int = 1250) -> None:
        self._device.ctrl_transfer(0x40, 2, calibrate_ms, 0, b"\xff\xff\xff\xff", 100)

    def stop(self) -> None:
        self._device.ctrl_transfer(0x40, 3, 0, 0, None, 100)

    def read(self) -> Packet:
        data = self._device.read(0x81, 64, 100).tobytes()
        dropped, _, count = struct.unpack_from("<HBB", data)
        assert len(data) == 4 + 18 * count
        return Packet(dropped, list(struct.iter_unpack(">8HBB", data[4:])))


@pytest.fixture
def desk(supply: SupplyWriter, supply_path: Path) -> Iterator[Callable[..., Desk]]:
    with SupplyReader(supply_path) as reader:

        def desk(*faults: str) -> Desk:
            instrument = analog.UsbInstrument(analog.hvpm(1), reader, "main", 0.0, 0.0, seed=1)
            return Desk(Bus(reader, instrument, faults=faults))

        yield desk


def test_values_are_kept_and_told(desk: Callable[..., Desk]) -> None:
    host = desk()
    assert [host.ask(opcode) for opcode in (0x45, 0x42, 0xC0, 0x1A)] == [2, 20_001, 32, 36_500]
    host.set(0x41, VOLTS_5)
    assert host.ask(0x41) == VOLTS_5
    assert host.bus.board_v == 5.0


def test_nothing_is_told_or_taken_while_it_samples(desk: Callable[..., Desk]) -> None:
    host = desk()
    host.set(0x41, VOLTS_5)
    host.start()
    assert host.ask(0x42) == 0xFFFFFFFE
    assert host.ask(0xC4) & 0x80
    host.set(0x41, 3 << 20)
    host.stop()
    assert host.ask(0x41) == VOLTS_5
    assert not host.ask(0xC4) & 0x80


def test_a_stream_calibrates_at_its_start_and_at_its_interval(desk: Callable[..., Desk]) -> None:
    host = desk()
    host.start(calibrate_ms=20)
    packets = []
    while host.bus.now_ns < 100 * MS:
        packets.append(host.read())
        host.bus.advance(host.bus.now_ns % (MS // 2))
    kinds = [record[9] & 0x30 for packet in packets for record in packet.records]
    assert kinds[:7] == [0x10, 0x10, 0x20, 0x30, 0x30, 0x20, 0x00]
    assert [at for at, kind in enumerate(kinds) if kind == 0x10][::2] == [0, 100, 200, 300, 400]
    assert {len(packet.records) for packet in packets} == {1, 2, 3}
    assert packets[0].dropped == 0xFFFF
    assert packets[-1].dropped == 0


def test_currents_by_the_public_tools_formula(desk: Callable[..., Desk], supply: SupplyWriter) -> None:
    supply.set(-MS, 5.0)
    host = desk()
    host.set(0x41, VOLTS_5)
    host.start()
    records = []
    while host.bus.now_ns < 50 * MS:
        records += host.read().records
    zero = [record[0] for record in records if record[9] & 0x30 == 0x10]
    reference = [record[0] for record in records if record[9] & 0x30 == 0x30]
    offset = sum(zero) / len(zero) + 15
    slope_ma = 6400 / (sum(reference) / len(reference) - offset)
    measured = [record for record in records if not record[9] & 0x30]
    current_ma = [(record[0] - offset) * slope_ma for record in measured]
    assert sum(current_ma) / len(current_ma) == pytest.approx(1000.0, abs=0.5)
    assert {record[1] for record in measured} == {0xFFFF}, "the fine range is beyond its end"
    assert {record[6] * 62.5e-6 * 4 for record in measured} == {5.0}


def test_what_waits_too_long_is_dropped_and_counted(desk: Callable[..., Desk]) -> None:
    host = desk()
    host.start()
    for _ in range(20):
        host.read()
    host.bus.advance(20 * MS)
    counts = [host.read() for _ in range(12)]
    held = sum(len(packet.records) for packet in counts if packet.dropped == counts[0].dropped)
    assert held == 16
    assert counts[-1].dropped - counts[0].dropped == pytest.approx(100 - 16, abs=2)


def test_an_unplugged_device_is_gone(desk: Callable[..., Desk]) -> None:
    host = desk("unplug@+0.01")
    host.start()
    with pytest.raises(usb.core.USBError, match="disconnected"):
        while True:
            host.read()
    assert usb.core.find(idVendor=0x2AB9, backend=host.bus) is None
