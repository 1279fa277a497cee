"""A resistor on a supply, in the place of a virtual board: what an emulated meter is checked against.

Run as `python -m testbed.virtual.resistor --supply FILE --voltage 5.1 --ohm 10`. It begins disconnected; each line
`connect` or `open` on stdin is answered `ok`. It ends when stdin does.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.virtual.supply import SupplyWriter


def main(arguments: Sequence[str] | None = None) -> None:
    """The program."""
    options = argparse.ArgumentParser(description="A resistor in the place of a virtual board.")
    options.add_argument("--supply", type=Path, required=True, help="file that takes the power it draws")
    options.add_argument("--voltage", type=float, required=True, help="of the supply, exact")
    options.add_argument("--ohm", type=float, required=True, help="its resistance, exact")
    chosen = options.parse_args(arguments)
    powers_w = {"open": 0.0, "connect": chosen.voltage**2 / chosen.ohm}
    with SupplyWriter(chosen.supply) as supply:
        supply.set(time.monotonic_ns(), powers_w["open"])
        _say(json.dumps({"device": "resistor", "powers_w": powers_w}))
        for line in sys.stdin:
            command = line.strip()
            if command not in powers_w:
                raise SystemExit(f"{command!r} is none of {', '.join(powers_w)}")
            supply.set(time.monotonic_ns(), powers_w[command])
            _say("ok")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
