"""Samples in columns: what a monitor read, on the controller's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A run of n readings, oldest first. Every column has shape (n,)."""

    index: IntArray
    """the meter's own count from its start; a lost sample is a gap in it"""
    time_ns: IntArray
    """the moment the sample's aperture ended, CLOCK_MONOTONIC of the controller"""
    channel: ByteArray
    power_w: FloatArray
    """mean power over the sample's aperture"""
    voltage_v: FloatArray | None = None
    current_a: FloatArray | None = None
    mark: ByteArray | None = None
    """level of the mark lines, bit i for line i"""

    @staticmethod
    def empty() -> Samples:
        """No samples, with every optional column present, so that it joins with anything."""
        real = np.empty(0, np.float64)
        whole = np.empty(0, np.int64)
        byte = np.empty(0, np.uint8)
        return Samples(whole, whole, byte, real, real, real, byte)

    @staticmethod
    def concatenate(parts: Sequence[Samples]) -> Samples:
        """The parts in the order given; an optional column stays where every part that has samples has it."""
        filled = [part for part in parts if len(part)]
        if len(filled) < 2:
            return filled[0] if filled else Samples.empty()
        names = [field.name for field in fields(Samples)]
        columns: dict[str, Any] = {name: _join([getattr(part, name) for part in filled]) for name in names}
        return Samples(**columns)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, which: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Samples:
        """The samples a slice, a mask or a list of places picks."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {name: None if column is None else column[which] for name, column in columns.items()}
        return Samples(**taken)

    def between(self, start_ns: int, end_ns: int) -> Samples:
        """Samples with start_ns < time_ns <= end_ns."""
        first, last = np.searchsorted(self.time_ns, [start_ns, end_ns], side="right")
        return self.take(slice(first, last))

    def of_channel(self, channel: int) -> Samples:
        """The samples of one channel."""
        its = self.channel == channel
        return self if its.all() else self.take(its)

    def sum_of(self, channels: Sequence[int]) -> Samples:
        """One trace of the summed power of several channels, as channel 0.

        A sample whose index is not there for each of them counts as lost; its time is that of the last of them.
        """
        if len(channels) == 1:
            return self.of_channel(channels[0])
        parts = [self.of_channel(channel) for channel in channels]
        common = parts[0].index
        for part in parts[1:]:
            common = np.intersect1d(common, part.index, assume_unique=True)
        parts = [part.take(np.isin(part.index, common, assume_unique=True)) for part in parts]
        return Samples(
            index=common,
            time_ns=np.max([part.time_ns for part in parts], axis=0),
            channel=np.zeros(len(common), np.uint8),
            power_w=np.sum([part.power_w for part in parts], axis=0),
            mark=parts[0].mark,
        )


def _join(columns: list[Any]) -> Any:
    return None if any(column is None for column in columns) else np.concatenate(columns)
