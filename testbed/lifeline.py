"""Brings a board back that was lost: waits for it within a bound, and where that is not enough cuts its supply."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from testbed import power_switch
from testbed.config import Bench
from testbed.errors import BenchError, TestbedError
from testbed.remote import BoardLost

_log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""between two attempts; each is twice as long as the one before"""


class Lifeline:
    """Of one run."""

    def __init__(self, bench: Bench, start_again: Callable[[], None]) -> None:
        """`start_again` starts the board's agent anew; a TestbedError means that the board is not ready for it."""
        self._within_s = bench.board.agent.reconnect_s
        self._switch = bench.board.power
        self._start_again = start_again
        self._cycles = 0

    def bring_back(self, loss: BoardLost) -> str:
        """Returns when the board is back, with how that came about. Raises BenchError when it stays away.

        The supply is cut only where waiting did not help, and only where the bench names what cuts it.
        """
        if not self._within_s:
            raise BenchError(str(loss))
        _log.warning("the board was lost: %s; waiting up to %g s for it", loss.what, self._within_s)
        begun_s, cycles = time.monotonic(), 0
        while (trouble := self._wait()) is not None:
            switch = self._switch
            if switch is None or self._cycles == switch.cycles:
                raise BenchError(self._gone(trouble))
            self._cycles += 1
            cycles += 1
            _log.warning("the board stays away: its supply is cut (%s)", power_switch.describe(switch))
            power_switch.cycle(switch)
        return f"back after {time.monotonic() - begun_s:.1f} s{self._cut(cycles)}"

    def _wait(self) -> TestbedError | None:
        """Try until it is back; the last trouble where it is not in time."""
        deadline_s, pause_s = time.monotonic() + self._within_s, FIRST_PAUSE_S
        while True:
            try:
                self._start_again()
                return None
            except TestbedError as error:
                trouble = error
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return trouble
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _gone(self, trouble: TestbedError) -> str:
        return (
            f"the board did not come back within {self._within_s:g} s{self._cut(self._cycles)} (last: {trouble}); "
            "look at it and at the way to it, then resume the run"
        )

    def _cut(self, cycles: int) -> str:
        if self._switch is None or not cycles:
            return ""
        return f", its supply cut {cycles} times by {power_switch.describe(self._switch)}"
