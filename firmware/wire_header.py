"""`python firmware/wire_header.py > wire.h`: the wire protocol's constants for C, from power.bridge_protocol."""

from __future__ import annotations

import binascii
import sys
from collections.abc import Iterator

from power import bridge_protocol as protocol


def lines() -> Iterator[str]:
    """The header, line by line."""
    yield "// Made from power/bridge_protocol.py."
    yield "#pragma once"
    for name, value in {
        "WIRE_VERSION": protocol.VERSION,
        "WIRE_START": protocol.START,
        "WIRE_HEAD_BYTES": protocol.HEAD.size,
        "WIRE_MOST_PAYLOAD": protocol.MAX_PAYLOAD,
        "WIRE_MOST_COMMAND_PAYLOAD": protocol.MAX_COMMAND_PAYLOAD,
        "WIRE_REPLY": protocol.REPLY,
        "WIRE_IDENTITY_BYTES": protocol.IDENTITY.size,
        "WIRE_CONFIGURATION_BYTES": protocol.CONFIGURATION.size,
        "WIRE_SAMPLES_HEAD_BYTES": protocol.SAMPLES_HEAD.size,
        "WIRE_OVERFLOWED": protocol.OVERFLOWED,
        "WIRE_LOST_BEFORE": protocol.LOST_BEFORE,
        "WIRE_MOST_SENSORS": protocol.MOST_SENSORS,
        "FLUSH_TICKS": round(protocol.FLUSH_S * protocol.TICKS_PER_SECOND),
        **{f"WIRE_{kind.name}": kind.value for kind in protocol.Type},
        **{f"WIRE_ERROR_{code.name}": code.value for code in protocol.ErrorCode},
    }.items():
        yield f"#define {name} {value}"
    yield f"#define TICKS_PER_SECOND {protocol.TICKS_PER_SECOND}UL"
    table = [binascii.crc_hqx(bytes((row,)), 0) for row in range(256)]
    yield f"#define WIRE_CRC_LOW_BYTES {', '.join(str(entry & 0xFF) for entry in table)}"
    yield f"#define WIRE_CRC_HIGH_BYTES {', '.join(str(entry >> 8) for entry in table)}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
