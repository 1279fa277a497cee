"""A Monsoon LVPM's stream, encoded beforehand: what its far end would send, without what it costs to work that out."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from testbed.virtual.meters.monsoon_frames import DATA, REFERENCE_CALIBRATION, ZERO_CALIBRATION, data_packet

RATE_HZ = 5000
SAMPLE_BYTES = 8
MOST_SAMPLES = 7
"""in a packet, as the emulated LVPM draws them"""
FINE_ZERO, FINE_REFERENCE, COARSE_ZERO, COARSE_REFERENCE = 40, 23_260, 12, 20_152
"""near the product's 2.86 uA and 286 uA steps"""
MAIN_COUNTS = 32_000
"""4 V; the tools of the field take the word as signed, and so end at 4.1 V"""


def mixed(seed: int) -> Callable[[], int]:
    """Packets of 1 to 7 samples, evenly."""
    draw = random.Random(seed)
    return lambda: draw.randint(1, MOST_SAMPLES)


def uniform(samples: int) -> Callable[[], int]:
    """Packets of so many samples each."""
    return lambda: samples


def words(samples: int, seed: int) -> bytes:
    """A board between 2 mA and 2 A on main at 4 V: fine and coarse readings in stretches, usb and aux at rest."""
    draw = np.random.default_rng(seed)
    stretch = np.repeat(draw.random(samples // 500 + 1) < 0.5, 500)[:samples]
    columns = np.empty((samples, 4), np.int16)
    main = np.where(stretch, draw.integers(1000, 7000, samples) * 2 | 1, draw.integers(700, 12_000, samples) * 2)
    columns[:, 0] = main
    columns[:, 1:3] = draw.integers(10, 30, (samples, 2)) * 2
    columns[:, 3] = MAIN_COUNTS
    return columns.astype(">i2").tobytes()


def packets(samples: int, size: Callable[[], int], seed: int) -> list[bytes]:
    """Framed packets with `samples` samples in all, a zero and a reference calibration ahead of every second."""
    data = words(samples, seed)
    found: list[bytes] = []
    at = next_calibration = 0
    while at < samples:
        if at >= next_calibration:
            next_calibration += RATE_HZ
            for kind, pair in (
                (ZERO_CALIBRATION, (FINE_ZERO, COARSE_ZERO | 1)),
                (REFERENCE_CALIBRATION, (FINE_REFERENCE, COARSE_REFERENCE | 1)),
            ):
                row = np.array([[word] * 3 + [MAIN_COUNTS] for word in pair], np.uint16).astype(">u2").tobytes()
                found.append(data_packet(len(found), output_on=True, tripped=False, kind=kind, samples=row))
        end = min(samples, at + size())
        body = data[SAMPLE_BYTES * at : SAMPLE_BYTES * end]
        found.append(data_packet(len(found), output_on=True, tripped=False, kind=DATA, samples=body))
        at = end
    return found
