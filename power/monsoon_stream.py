"""The LVPM's packets to currents and voltages, run by run, where nothing was lost within a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from power.calibration import Calibration
from power.monsoon_protocol import END_OF_SCALE, Kind, Packets
from power.samples import ByteArray, FloatArray

SEQUENCES = 16
"""packets, after which their numbers begin again"""
TRIPPED, ON = 0x10, 0x20
"""bits of a packet's flags: over-current or thermal shutdown; output on"""
_DATA = int(Kind.DATA)
MARKER_BITS = 3
"""of a voltage word: levels of the marker inputs (PT4 readers; SmartDiet)"""


@dataclass(frozen=True, slots=True)
class Run:
    """n samples that followed each other, of c channels."""

    current_a: FloatArray
    """(c, n), NaN where it left the scale"""
    main_v: FloatArray
    """(n,) main's voltage"""
    mark: ByteArray
    """(n,) levels of the marker inputs, bit i for line i"""
    is_on: NDArray[np.bool_] | None
    """(n,) whether the output was on; None for always"""

    def __len__(self) -> int:
        return len(self.main_v)


class Converter:
    """Calibrates as it goes. `channels` are those wanted, by their place in a sample: 0 main, 1 usb, 2 aux."""

    def __init__(self, channels: Sequence[int], voltage_lsb_v: float) -> None:
        self._columns = list(channels)
        self._voltage_lsb_v = voltage_lsb_v
        self._calibration = Calibration(len(self._columns))
        self._sequence: int | None = None

    def runs(self, packets: Packets) -> Iterator[Run | None]:
        """The runs in order, None where packets were lost; a run ends there and at a calibration.

        Samples before the first calibration of every channel wanted are left out.
        """
        if not len(packets.kind):
            return
        broken = self._broken(packets.flags)
        heads = np.flatnonzero(broken | (packets.kind != _DATA)).tolist()
        bounds = sorted({0, *heads, len(packets.kind)})
        behind = np.cumsum(packets.count)
        for first, end in pairwise(bounds):
            if broken[first]:
                yield None
            start = first
            words = packets.words[behind[first] - packets.count[first] : behind[end - 1]]
            if packets.kind[first] != _DATA:
                count = int(packets.count[first])
                self._calibration.note(int(packets.kind[first]), words[:count, self._columns])
                words = words[count:]
                start += 1
            if start < end and self._calibration.complete:
                yield self._run(words, packets.flags[start:end] & ON != 0, packets.count[start:end])

    def _broken(self, flags: ByteArray) -> NDArray[np.bool_]:
        """Which packets do not follow the one before."""
        sequence = flags & 0x0F
        before = np.empty_like(sequence)
        before[1:] = sequence[:-1]
        before[0] = (int(sequence[0]) - 1) & 0x0F if self._sequence is None else self._sequence
        self._sequence = int(sequence[-1])
        return np.asarray((sequence - before) & 0x0F != 1)

    def _run(self, words: NDArray[np.int16], is_on: NDArray[np.bool_], count: NDArray[np.int64]) -> Run:
        columns = words.T
        voltage = columns[3].view(np.uint16)
        mark = voltage & MARKER_BITS
        main_v = np.multiply(voltage - mark, self._voltage_lsb_v, dtype=np.float64)
        wanted = columns[self._columns]
        current_a = self._calibration.current_a(wanted)
        if int(wanted.max()) >= END_OF_SCALE or int(wanted.min()) <= -END_OF_SCALE:
            current_a[np.abs(wanted.astype(np.int32) & ~1) >= END_OF_SCALE] = np.nan
        return Run(current_a, main_v, mark.astype(np.uint8), None if is_on.all() else np.repeat(is_on, count))
