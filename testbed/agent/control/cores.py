"""Cores, on or off (kernel documentation: core-api/cpu_hotplug.rst)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from testbed.agent.control.files import ControlRefused, put, text
from testbed.agent.guard.undo import Step, write_back


class Cores:
    """Of a machine. The first has no switch, or none that may be used: it is always on."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "sys/devices/system/cpu"

    def there(self) -> list[int]:
        """Numbers of all cores, on or off."""
        names = (path.name for path in self._folder.glob("cpu[0-9]*"))
        return sorted(int(name[3:]) for name in names if re.fullmatch(r"cpu\d+", name))

    def on(self) -> list[int]:
        """Numbers of those that are on."""
        told = text(self._folder / "online")
        return sorted(_numbers(told)) if told else self.there()

    @property
    def switches(self) -> tuple[Path, ...]:
        """The files that set them."""
        return tuple(path for core in self.there() if (path := self._folder / f"cpu{core}/online").exists())

    def switch(self, count: int) -> None:
        """Have that many on, the first ones. Raises ControlRefused."""
        there = self.there()
        if not 1 <= count <= len(there):
            raise ControlRefused(f"cores: {count} cannot be on, this board has {len(there)}")
        for core in there[:count]:
            self._set(core, "1")
        for core in reversed(there[count:]):
            self._set(core, "0")

    def _set(self, core: int, value: str) -> None:
        switch = self._folder / f"cpu{core}/online"
        if not switch.exists():
            if value == "0":
                raise ControlRefused(f"cores: core {core} has no switch on this board ({switch})")
        elif text(switch) != value:
            put(switch, value)

    def as_found(self) -> Iterator[Step]:
        """The steps that switch each to what it is now."""
        for path in self.switches:
            if state := text(path):
                yield write_back(path, state)


def _numbers(ranges: str) -> Iterator[int]:
    """Of a list as the kernel writes it: "0-3,6"."""
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            yield from range(int(first), int(last or first) + 1)
