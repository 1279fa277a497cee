"""The INA bridge with its real firmware, in the emulator that `make emulator` builds.

Run as `python -m testbed.virtual.meters.bridge_firmware` with the emulator's own options; this gives it the firmware
and steps aside.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

BUILT = Path(__file__).parents[3] / "build" / "firmware"


def main() -> None:
    """Become the emulator."""
    emulator, firmware = BUILT / "bridge-emulator", BUILT / "bridge.elf"
    if not (emulator.exists() and firmware.exists()):
        sys.exit("the bridge's firmware and its emulator are not built: run `make emulator` in the testbed's folder")
    os.execv(emulator, [str(emulator), f"--firmware={firmware}", *sys.argv[1:]])


if __name__ == "__main__":
    main()
