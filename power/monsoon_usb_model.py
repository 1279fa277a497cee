"""The two Monsoons that speak the USB protocol: what each gives, and what its records' counts stand for.

Sources: msoon/PyMonsoon@3699030 HVPM.py, LVPM.py and sampleEngine.py, ACTS monsoon_lib hvpm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from power.calibration import Window
from power.monsoon_input import CHANNELS
from power.monsoon_usb_protocol import VOLTAGE_LSB_V, Opcode, RecordKind, Records
from power.samples import FloatArray

Ask = Callable[[Opcode, int, bool], int]
"""(opcode, bytes, signed) -> the device's value"""
USB_VOLTAGE_FACTOR = 2


@dataclass(frozen=True, slots=True)
class Reference:
    """Of one channel: the currents that its reference readings stand for, and how far its zeros are off, in counts."""

    fine_a: float
    coarse_a: float
    fine_zero: float = 0.0
    coarse_zero: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """One product."""

    name: str
    code: int
    """what it answers to `Opcode.MODEL`"""
    main_v: tuple[float, float]
    """what main can be set to"""
    most_a: float
    """the end of the current limits' scale"""
    main_voltage_factor: int
    """voltage steps of a count of main's voltage"""
    fine_below: Mapping[str, int]
    """channel -> the fine reading from which on the coarse one holds"""
    is_signed: Mapping[str, bool]
    """channel -> whether its readings are"""
    step_a: float
    """of the coarse range, on main"""
    checks_dac: bool
    """whether main's own calibration may be so wrong that its voltage is a danger (PyMonsoon HVPM.checkDacValues)"""
    limit_value: Callable[[float], int]
    """a current limit as the device takes it"""
    references: Callable[[Ask], dict[str, Reference]]
    """what the device's memory says of each channel"""

    def limit(self, limit_a: float) -> int:
        """A current limit as the device takes it. `ValueError` beyond its scale."""
        if not 0 <= limit_a <= self.most_a:
            raise ValueError(f"a Monsoon {self.name}'s current limits lie in 0 to {self.most_a:g} A, not {limit_a:g} A")
        return self.limit_value(limit_a)


def _hv_limit(limit_a: float) -> int:
    """As PyMonsoon HVPM.raw_from_amps has it; its Operations.py says otherwise."""
    return 0x0F00 + int((0xFFFF - 0x0F00) * limit_a / 15.625)


def _lv_limit(limit_a: float) -> int:
    return 1023 - int(1023 * limit_a / 8.0)


def _hv_references(ask: Ask) -> dict[str, Reference]:
    """Scales in uA (fine) and mA (coarse), and zero offsets, which aux does not have."""
    return {
        "main": Reference(
            ask(Opcode.MAIN_FINE_SCALE, 2, False) * 1e-6,
            ask(Opcode.MAIN_COARSE_SCALE, 2, False) * 1e-3,
            ask(Opcode.MAIN_FINE_ZERO, 2, True),
            ask(Opcode.MAIN_COARSE_ZERO, 2, True),
        ),
        "usb": Reference(
            ask(Opcode.USB_FINE_SCALE, 2, False) * 1e-6,
            ask(Opcode.USB_COARSE_SCALE, 2, False) * 1e-3,
            ask(Opcode.USB_FINE_ZERO, 2, True),
            ask(Opcode.USB_COARSE_ZERO, 2, True),
        ),
        "aux": Reference(ask(Opcode.AUX_FINE_SCALE, 2, False) * 1e-6, ask(Opcode.AUX_COARSE_SCALE, 2, False) * 1e-3),
    }


def _lv_references(ask: Ask) -> dict[str, Reference]:
    """From the trims of the shunts, in steps of 0.1 mOhm.

    PyMonsoon has the others in uA and mA, but those of aux in plain numbers, taken for A here. Unconfirmed.
    """

    def trimmed(reference_a: float, shunt_ohm: float, opcode: Opcode) -> float:
        return reference_a * shunt_ohm / (shunt_ohm + 1e-4 * ask(opcode, 1, True))

    return {
        "main": Reference(
            trimmed(35.946e-3, 0.05, Opcode.MAIN_FINE_RESISTOR), trimmed(3.1034, 0.05, Opcode.MAIN_COARSE_RESISTOR)
        ),
        "usb": Reference(
            trimmed(35.946e-3, 0.05, Opcode.USB_FINE_RESISTOR), trimmed(3.1034, 0.05, Opcode.USB_COARSE_RESISTOR)
        ),
        "aux": Reference(
            trimmed(50.49e-3, 0.1, Opcode.AUX_FINE_RESISTOR), trimmed(1.289, 0.1, Opcode.AUX_COARSE_RESISTOR)
        ),
    }


HVPM = Model(
    "HVPM",
    code=2,
    main_v=(0.8, 13.5),
    most_a=15.0,
    main_voltage_factor=4,
    fine_below={"main": 64_000, "usb": 64_000, "aux": 30_000},
    is_signed={"main": False, "usb": False, "aux": True},
    step_a=250e-6,
    checks_dac=True,
    limit_value=_hv_limit,
    references=_hv_references,
)
LVPM_REV_E = Model(
    "LVPM rev E",
    code=1,
    main_v=(2.01, 4.55),
    most_a=8.0,
    main_voltage_factor=2,
    fine_below=dict.fromkeys(CHANNELS, 30_000),
    is_signed=dict.fromkeys(CHANNELS, True),
    step_a=286e-6,
    checks_dac=False,
    limit_value=_lv_limit,
    references=_lv_references,
)
MODELS = {"hvpm": HVPM, "lvpm-rev-e": LVPM_REV_E}


class ChannelScale:
    """One channel's currents, from the calibrations in the stream and the device's own references."""

    def __init__(self, model: Model, channel: str, reference: Reference) -> None:
        number = CHANNELS.index(channel)
        self._coarse_column, self._fine_column = 2 * number, 2 * number + 1
        self._type = np.int16 if model.is_signed[channel] else np.uint16
        self._fine_below = model.fine_below[channel]
        self._reference = reference
        self._fine, self._coarse = Window(), Window()
        self._scales: tuple[tuple[float, float], tuple[float, float]] | None = None

    @property
    def complete(self) -> bool:
        """Whether zero and reference of both ranges have been seen."""
        return self._scales is not None

    def note(self, kind: int, words: NDArray[np.uint16]) -> None:
        """Take in calibration records of one kind, (n, 8)."""
        reference = kind == RecordKind.REFERENCE_CALIBRATION
        self._fine.note(self._column(words, self._fine_column).tolist(), reference=reference)
        self._coarse.note(self._column(words, self._coarse_column).tolist(), reference=reference)
        fine = self._fine.scale(self._reference.fine_a, self._reference.fine_zero)
        coarse = self._coarse.scale(self._reference.coarse_a, self._reference.coarse_zero)
        if fine is not None and coarse is not None:
            self._scales = fine, coarse

    def current_a(self, words: NDArray[np.uint16]) -> FloatArray:
        """Currents (n,) of measurements (n, 8), NaN at the end of the scale. `RuntimeError` before all was seen."""
        if self._scales is None:
            raise RuntimeError("no current before zero and reference have been seen")
        (fine_a, fine_zero), (coarse_a, coarse_zero) = self._scales
        fine, coarse = self._column(words, self._fine_column), self._column(words, self._coarse_column)
        coarse[coarse >= np.iinfo(self._type).max] = np.nan
        return np.where(fine < self._fine_below, (fine - fine_zero) * fine_a, (coarse - coarse_zero) * coarse_a)

    def _column(self, words: NDArray[np.uint16], column: int) -> FloatArray:
        return words[:, column].astype(self._type).astype(np.float64)


def voltage_v(model: Model, channel: str, words: NDArray[np.uint16]) -> FloatArray:
    """What main or usb shows, (n,), of records (n, 8)."""
    column, factor = (6, model.main_voltage_factor) if channel == "main" else (7, USB_VOLTAGE_FACTOR)
    return words[:, column].astype(np.float64) * (VOLTAGE_LSB_V * factor)


def calibrations(records: Records) -> NDArray[np.bool_]:
    """Which records are calibrations."""
    return np.asarray(records.kind & RecordKind.ZERO_CALIBRATION != 0)
