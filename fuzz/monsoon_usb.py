"""The USB Monsoon's packets: records counted, currents worked out."""

from __future__ import annotations

import struct
from contextlib import suppress

from fuzz.wire import pieces
from power.errors import Unintelligible
from power.monsoon_usb_model import HVPM, LVPM_REV_E, ChannelScale, Reference, calibrations
from power.monsoon_usb_protocol import Counter


def _framed(body: bytes) -> bytes:
    """A packet that holds what it promises."""
    dropped, records = body[:2].ljust(2, b"\0"), body[2:]
    count = min(3, len(records) // 18)
    return dropped + struct.pack("BB", 0x20, count) + records[: 18 * count]


def one(data: bytes) -> None:
    """Nothing but `Unintelligible` is raised, and positions stay within what the dropped count can say."""
    counter = Counter()
    scales = [ChannelScale(model, "aux", Reference(3.1e-3, 0.25)) for model in (HVPM, LVPM_REV_E)]
    for packet in pieces(data, _framed):
        with suppress(Unintelligible):
            records, positions = counter.take([packet])
            assert len(records.kind) == len(records.position) == len(records.words) <= 3
            assert positions <= 0xFFFF + 3
            for scale in scales:
                for at in calibrations(records).nonzero()[0]:
                    scale.note(int(records.kind[at]), records.words[at : at + 1])
                assert not scale.complete or len(scale.current_a(records.words)) == len(records.words)
