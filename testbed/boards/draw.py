"""What the boards this testbed knows take from their supply."""

from __future__ import annotations

from typing import Literal

from testbed.config.plugins import Draw

BoardModel = Literal[
    "jetson-agx-orin",
    "jetson-orin-nx",
    "jetson-orin-nano",
    "jetson-agx-xavier",
    "jetson-xavier-nx",
    "jetson-nano",
    "raspberry-pi-4",
    "raspberry-pi-5",
]

KNOWN_DRAW: dict[BoardModel, Draw] = {
    "jetson-agx-orin": Draw((9.0, 20.0), 60.0, "NVIDIA Jetson AGX Orin developer kit: 9-20 V input, 60 W MAXN"),
    "jetson-orin-nx": Draw((9.0, 20.0), 40.0, "NVIDIA Jetson Orin NX: 9-20 V carrier input, 40 W super mode"),
    "jetson-orin-nano": Draw((9.0, 20.0), 25.0, "NVIDIA Jetson Orin Nano developer kit: 9-20 V input, 25 W mode"),
    "jetson-agx-xavier": Draw((9.0, 20.0), 65.0, "NVIDIA Jetson AGX Xavier developer kit: 65 W adapter (unconfirmed)"),
    "jetson-xavier-nx": Draw((9.0, 20.0), 20.0, "NVIDIA Jetson Xavier NX: 20 W mode; 9-20 V carrier (unconfirmed)"),
    "jetson-nano": Draw((4.75, 5.25), 20.0, "NVIDIA Jetson Nano developer kit: 5 V, 4 A on the barrel jack"),
    "raspberry-pi-4": Draw((4.75, 5.25), 15.0, "Raspberry Pi documentation: 5.1 V, 3 A supply"),
    "raspberry-pi-5": Draw((4.75, 5.25), 25.0, "Raspberry Pi documentation: 5.1 V, 5 A supply"),
}
