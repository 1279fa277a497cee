"""Circuit breakers: a target that failed is left alone, and tried again after a while."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Position = Literal["closed", "open", "half-open"]


class Breaker:
    """Closed while the target answers; open after a failure; half-open while one inference probes it.

    A failed probe opens it for twice as long as before, up to `longest_s`. Times are of any steady clock.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._back_off_s = first_s
        self._until_s = 0.0
        self.position: Position = "closed"

    def due(self, now_s: float) -> bool:
        """Whether it is time for a probe."""
        return self.position == "open" and now_s >= self._until_s

    def probe(self) -> None:
        """An inference is on its way to find out."""
        self.position = "half-open"

    def failed(self, now_s: float, *, probing: bool) -> None:
        """No answer. From inferences that were under way when it opened, that is nothing new."""
        if probing:
            self._back_off_s = min(2.0 * self._back_off_s, self._longest_s)
        elif self.position != "closed":
            return
        self.position = "open"
        self._until_s = now_s + self._back_off_s

    def answered(self, *, probing: bool) -> None:
        """An answer. Only the probe's closes it."""
        if probing:
            self.position = "closed"
            self._back_off_s = self._first_s

    def reason(self, now_s: float) -> str:
        """Why its target is ruled out."""
        if self.position == "half-open":
            return "breaker half-open: a probe is under way"
        return f"breaker open for {max(self._until_s - now_s, 0.0):.3g} s more"


class Breakers:
    """One a target."""

    def __init__(self, targets: Iterable[str], first_s: float, longest_s: float) -> None:
        self._breakers = {target: Breaker(first_s, longest_s) for target in targets}

    def __getitem__(self, target: str) -> Breaker:
        return self._breakers[target]

    def shut_off(self, now_s: float) -> dict[str, str]:
        """Targets that are not to be used, with the reason."""
        return {
            target: breaker.reason(now_s) for target, breaker in self._breakers.items() if breaker.position != "closed"
        }

    def positions(self) -> dict[str, Position]:
        """Target -> position."""
        return {target: breaker.position for target, breaker in self._breakers.items()}
