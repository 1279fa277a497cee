"""What can cut a board's supply and bring it back, as a bench file names it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testbed.config.loader import Strict
from testbed.config.quantities import Seconds

OffTime = Annotated[Seconds, Field(ge=0, le=600)]
"""how long the supply stays off: the board's capacitors must run empty"""
Cycles = Annotated[int, Field(ge=1, le=100)]
"""how often one run may cut the supply"""


class UhubctlSwitch(Strict):
    """A USB hub that switches its ports one by one, through the program uhubctl."""

    kind: Literal["uhubctl"]
    location: str = Field(pattern=r"^\d+(-\d+(\.\d+)*)?$")
    """of the hub, as `uhubctl` lists it: 1-1"""
    port: int = Field(ge=1, le=32)
    off_s: OffTime = 5.0
    cycles: Cycles = 3


class CommandSwitch(Strict):
    """A relay or smart plug that commands of this machine switch."""

    kind: Literal["command"]
    off: list[str] = Field(min_length=1)
    """the command that cuts the supply, word by word"""
    on: list[str] = Field(min_length=1)
    off_s: OffTime = 5.0
    cycles: Cycles = 3


PowerSwitchSettings = Annotated[UhubctlSwitch | CommandSwitch, Field(discriminator="kind")]
