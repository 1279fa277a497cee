"""The person whose hands work the load while a meter is checked."""

from __future__ import annotations

from rich.console import Console

from testbed.errors import BenchError


class Person:
    """Told what to do, and waited for. Implements `check.Hands`."""

    def __init__(self, screen: Console, ohm: float, supply_v: float) -> None:
        self._screen = screen
        self._load = f"the {ohm:g} Ohm resistor (it takes {supply_v**2 / ohm:.2g} W: mind its rating, and its heat)"

    def disconnect(self) -> None:
        """Ask for nothing to draw current through the meter."""
        self._wait_for("Take the board and any load off the meter, with the supply on; then press Enter.")

    def connect(self) -> None:
        """Ask for the load."""
        self._wait_for(f"Connect {self._load} where the board was; then press Enter.")

    def _wait_for(self, what: str) -> None:
        self._screen.print(what, markup=False, soft_wrap=True)
        try:
            input()
        except EOFError:
            raise BenchError("nobody pressed Enter: a check needs a person at its keyboard (stdin)") from None
