"""The analog half of an emulated Monsoon on USB: both ranges of every channel at once, and its memory's scales.

A specimen's converters are drawn; by the interpretation of msoon/PyMonsoon, a reference reading stands for the current
in the memory (uA fine, mA coarse), and a zero reading lies `zero offset` counts below what no current reads.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testbed.virtual.meters.monsoon_analog import OUTPUTS, Board
from testbed.virtual.supply import SupplyReader

PASSTHROUGH_OFF, PASSTHROUGH_ON, PASSTHROUGH_AUTO = range(3)
_ADC_V = 62.5e-6
_USB_V = 5.0


@dataclass(frozen=True, slots=True)
class Range:
    """One range of one channel."""

    reference_a: float
    span: int
    """counts from zero to the reference"""
    zero: int
    zero_offset: int
    lowest: int
    highest: int

    def counts(self, current_a: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.int64]:
        """Readings of currents (n,)."""
        per_a = (self.span - self.zero_offset) / self.reference_a
        exact = self.zero + self.zero_offset + current_a * per_a + noise
        return np.rint(exact).clip(self.lowest, self.highest).astype(np.int64)

    def calibration(self, *, reference: bool) -> int:
        """What a zero or reference record shows."""
        return self.zero + (self.span if reference else 0)


@dataclass(frozen=True, slots=True)
class Product:
    """An HVPM or an LVPM with revision E firmware."""

    code: int
    ranges: tuple[tuple[Range, Range], ...]
    """coarse and fine of main, usb, aux"""
    memory: dict[int, int]
    """opcode -> value, as it left the factory"""
    main_v_per_count: float
    full_scale_v: float


def hvpm(seed: int) -> Product:
    """Scales and offsets as PyMonsoon HVPM.setDefaultScaleValues loads them, zeros drawn."""
    draw = random.Random(f"{seed} hvpm")

    def unsigned(reference_a: float, span: int, offset: int) -> Range:
        return Range(reference_a, span + draw.randint(-200, 200), draw.randint(2500, 3500), offset, 0, 0xFFFF)

    def signed(reference_a: float, span: int) -> Range:
        return Range(reference_a, span + draw.randint(-200, 200), draw.randint(-60, 60), 0, -0x8000, 0x7FFF)

    return Product(
        code=2,
        ranges=(
            (unsigned(6.400, 25_000, 15), unsigned(36.5e-3, 45_000, 15)),
            (unsigned(0.600, 15_000, 0), unsigned(14e-3, 20_000, 0)),
            (signed(0.250, 2_500), signed(3.1e-3, 10_000)),
        ),
        memory={
            **{0x1A: 36_500, 0x1B: 6_400, 0x1C: 14_000, 0x1D: 600, 0x1E: 3_100, 0x1F: 250},
            **{0x25: 15, 0x26: 15, 0x27: 0, 0x28: 0},
            **{0x88: 0xE000, 0x89: 0xC800},
        },
        main_v_per_count=4 * _ADC_V,
        full_scale_v=13.5,
    )


def lvpm(seed: int) -> Product:
    """Shunts off by up to a milliohm, as the memory tells."""
    draw = random.Random(f"{seed} lvpm")
    memory: dict[int, int] = {}

    def signed(reference_a: float, span: int, shunt_ohm: float, opcode: int) -> Range:
        trim = draw.randint(-10, 10)
        memory[opcode] = trim & 0xFF
        trimmed_a = reference_a * shunt_ohm / (shunt_ohm + 1e-4 * trim)
        return Range(trimmed_a, span + draw.randint(-200, 200), draw.randint(-60, 60), 0, -0x8000, 0x7FFF)

    ranges = (
        (signed(3.1034, 21_000, 0.05, 0x11), signed(35.946e-3, 25_000, 0.05, 0x02)),
        (signed(3.1034, 21_000, 0.05, 0x12), signed(35.946e-3, 25_000, 0.05, 0x0D)),
        (signed(1.289, 9_000, 0.1, 0x13), signed(50.49e-3, 25_000, 0.1, 0x0E)),
    )
    return Product(code=1, ranges=ranges, memory=memory, main_v_per_count=2 * _ADC_V, full_scale_v=4.55)


class UsbInstrument:
    """What is switched on, and what the converters see of the board."""

    def __init__(
        self, product: Product, supply: SupplyReader, output: str, gain_error: float, offset_a: float, seed: int
    ) -> None:
        self.product = product
        self._board = Board(supply, output, gain_error, offset_a, 0.5, seed)
        self.output = output
        self.main_v = 0.0
        self.passthrough = PASSTHROUGH_AUTO
        self.sampling = False
        self.tripped = False

    @property
    def _usb_is_on(self) -> bool:
        return self.passthrough == PASSTHROUGH_ON or (self.passthrough == PASSTHROUGH_AUTO and not self.sampling)

    @property
    def board_v(self) -> float:
        """What the board is fed with."""
        if self.output == "main":
            return 0.0 if self.tripped else self.main_v
        return _USB_V if self._usb_is_on or self.output == "aux" else 0.0

    def records(self, starts_ns: NDArray[np.int64], ends_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Readings over each window, shape (n, 8)."""
        current_a = self._board.current_a(starts_ns, ends_ns, self.board_v)
        columns = [
            range_.counts(current_a[:, number], self._board.noise((len(ends_ns),)))
            for number in range(len(OUTPUTS))
            for range_ in self.product.ranges[number]
        ]
        main_v = 0.0 if self.tripped else self.main_v
        volts = [main_v / self.product.main_v_per_count, _USB_V * self._usb_is_on / (2 * _ADC_V)]
        return np.column_stack([*columns, *(np.full(len(ends_ns), round(counts)) for counts in volts)])

    def calibration(self, *, reference: bool) -> list[int]:
        """One record's readings."""
        return [range_.calibration(reference=reference) for pair in self.product.ranges for range_ in pair] + [0, 0]
