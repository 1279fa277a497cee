"""The analog half of an emulated Monsoon: the board on its output, and an LVPM's converters and switches."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from testbed.virtual.marker import MarkerInput
from testbed.virtual.supply import SupplyReader

OUTPUTS = ("main", "usb", "aux")
PASSTHROUGH_OFF, PASSTHROUGH_ON, PASSTHROUGH_AUTO = range(3)

_FINE_REFERENCE_A, _COARSE_REFERENCE_A = 0.0332, 2.88  # as AOSP/CTS monsoon.py scales by them
_FINE_LIMIT = 30_000  # counts; beyond it a sample is coarse
_COUNT_LIMIT = 32_766
_WORST_REGULATION = 0.05


class Converters:
    """A specimen's converters, fine and coarse, of main, usb and aux: near the product's 2.86 uA and 286 uA steps.

    Each shows its zero (shape (3,), counts) at no current, and its reference at the reference current; all are even.
    """

    def __init__(self, draw: random.Random) -> None:
        self.fine_zero = _even(0.0, 120.0, draw)
        self.fine_reference = self.fine_zero + _even(_FINE_REFERENCE_A / 1.43e-6, 460.0, draw)
        self.coarse_zero = _even(0.0, 40.0, draw)
        self.coarse_reference = self.coarse_zero + _even(_COARSE_REFERENCE_A / 143e-6, 400.0, draw)
        self._fine_per_a = (self.fine_reference - self.fine_zero) / _FINE_REFERENCE_A
        self._coarse_per_a = (self.coarse_reference - self.coarse_zero) / _COARSE_REFERENCE_A

    def words(self, current_a: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.int32]:
        """Even counts, with bit 0 set where they are coarse, for currents and noise (in steps of 2) of shape (n, 3)."""
        fine = 2 * np.rint((self.fine_zero + current_a * self._fine_per_a) / 2 + noise)
        coarse = 2 * np.rint((self.coarse_zero + current_a * self._coarse_per_a) / 2 + noise)
        is_coarse = np.abs(fine) > _FINE_LIMIT
        counts = np.where(is_coarse, coarse, fine).clip(-_COUNT_LIMIT, _COUNT_LIMIT)
        return np.asarray(counts.astype(np.int32) | is_coarse)


def _main_v(setting: int) -> float:
    return 2.0 + setting / 100


def _even(middle: float, spread: float, draw: random.Random) -> NDArray[np.int32]:
    """One even number a channel, off `middle` by up to `spread`."""
    return np.array([2 * round((middle + draw.uniform(-spread, spread)) / 2) for _ in OUTPUTS], np.int32)


class Board:
    """The board on one of the outputs, as an imperfect meter sees its current."""

    def __init__(
        self, supply: SupplyReader, output: str, gain_error: float, offset_a: float, noise_steps: float, seed: int
    ) -> None:
        self._supply = supply
        self._output = OUTPUTS.index(output)
        self._gain_error, self._offset_a, self._noise_steps = gain_error, offset_a, noise_steps
        self._noise = np.random.default_rng(seed)

    def current_a(
        self, starts_ns: NDArray[np.int64], ends_ns: NDArray[np.int64], voltage_v: float
    ) -> NDArray[np.float64]:
        """Mean current over each window, shape (n, 3); at no voltage only the meter's own offset."""
        current_a = np.full((len(ends_ns), len(OUTPUTS)), self._offset_a)
        if voltage_v:
            power_w = self._supply.mean_power_w(starts_ns, ends_ns)
            current_a[:, self._output] += power_w * ((1.0 + self._gain_error) / voltage_v)
        return current_a

    def noise(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """In steps of a converter."""
        return self._noise.standard_normal(shape) * self._noise_steps


class Instrument:
    """The analog half: what is switched on, and what the converters see of the board."""

    def __init__(
        self,
        supply: SupplyReader,
        marker: MarkerInput,
        output: str,
        output_voltage_v: float,
        hardware_revision: int,
        gain_error: float,
        offset_a: float,
        noise_steps: float,
        seed: int,
    ) -> None:
        self._board = Board(supply, output, gain_error, offset_a, noise_steps, seed)
        self._marker = marker
        self.output = output
        self._board_voltage_v = output_voltage_v
        self.hardware_revision = hardware_revision
        self._voltage_lsb_v = 62.5e-6 if hardware_revision == 1 else 125e-6
        self._converters = Converters(random.Random(f"{seed} converters"))
        self.main_on = output == "main"
        self.main_setting = min(255, max(1, round((output_voltage_v - 2.0) * 100))) if self.main_on else 0
        self._regulation_error_v = output_voltage_v - _main_v(self.main_setting) if self.main_on else 0.0
        if abs(self._regulation_error_v) > _WORST_REGULATION * output_voltage_v:
            raise SystemExit(f"main gives 2.01 to 4.55 V, not {output_voltage_v:g} V: choose --output usb or aux")
        self.passthrough = PASSTHROUGH_AUTO
        self.tripped = False
        self.sampling = False

    def set_main(self, setting: int) -> None:
        """SetVoltage: 0 switches main off and leaves the setting; else 2 V and a hundredth a count."""
        self.main_on = setting > 0
        self.main_setting = setting or self.main_setting
        self.tripped = self.tripped and self.main_on

    def pass_through(self, mode: int) -> None:
        """SetUsbPassthrough."""
        self.passthrough = mode

    @property
    def main_voltage_v(self) -> float:
        """What main puts out."""
        return _main_v(self.main_setting) + self._regulation_error_v if self.main_on and not self.tripped else 0.0

    @property
    def feeding(self) -> bool:
        """True when the output the board hangs on is on."""
        if self.tripped:
            return False
        if self.output == "usb":
            return self.passthrough == PASSTHROUGH_ON or (self.passthrough == PASSTHROUGH_AUTO and not self.sampling)
        return self.main_on or self.output == "aux"

    def samples(self, starts_ns: NDArray[np.int64], ends_ns: NDArray[np.int64]) -> NDArray[np.int32]:
        """Converter words over each window, shape (n, 4): main, usb, aux current, main voltage.

        The marker input's level at the window's end is bit 0 of the voltage.
        """
        voltage_v = self.main_voltage_v if self.output == "main" else self._board_voltage_v
        current_a = self._board.current_a(starts_ns, ends_ns, voltage_v if self.feeding else 0.0)
        noise = self._board.noise(current_a.shape)
        words = self._with_voltage(self._converters.words(current_a, noise))
        words[:, 3] |= self._marker.levels(ends_ns)
        return words

    def calibration(self, count: int, *, reference: bool) -> NDArray[np.int32]:
        """`count` calibration samples, fine and coarse in turn, shape (count, 4)."""
        converters = self._converters
        words = np.empty((count, 3), np.int32)
        words[0::2] = converters.fine_reference if reference else converters.fine_zero
        words[1::2] = (converters.coarse_reference if reference else converters.coarse_zero) | 1
        return self._with_voltage(words)

    def _with_voltage(self, currents: NDArray[np.int32]) -> NDArray[np.int32]:
        """Main's voltage as a fourth column: unsigned, its low two bits (marker inputs) at 0."""
        words = np.empty((len(currents), 4), np.int32)
        words[:, :3] = currents
        words[:, 3] = min(4 * round(self.main_voltage_v / self._voltage_lsb_v / 4), 0xFFFC)
        return words
