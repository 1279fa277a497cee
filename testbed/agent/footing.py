"""The footing of a trial: the clock its action asks for, and how the board stands before it and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.contract import Action
from testbed.agent.contract import Board, Controlled, Setting, Standing


class Footing:
    """Of trials on one board, one after the other."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._clocked: tuple[str, float] | None = None
        self._observed_hz: float | None = None
        self._switch_ns: tuple[int, int] | None = None
        self._before: Standing | None = None
        self._throttled = False

    def take(self, action: Action) -> None:
        """Have the board at an action's frequency, the processor of the last one given back; then look at it."""
        wanted = None if action.frequency_hz is None else (action.processor, action.frequency_hz)
        begun_ns = self._board.clock.now_ns()
        if self._clocked is not None and (wanted is None or self._clocked[0] != wanted[0]):
            self._board.set(Setting(self._clocked[0], None))
        self._observed_hz = None if wanted is None else self._board.set(Setting(*wanted)).frequency_hz
        ended_ns = self._board.clock.now_ns()
        self._switch_ns = None if wanted == self._clocked else (begun_ns, ended_ns)
        self._clocked = wanted
        self._before = self._look()
        self._throttled = bool(self._board.warmth().throttled)

    def leave(self) -> tuple[dict[str, Any], list[str]]:
        """What goes on record of the trial that has ended, and in which ways the board was not as asked.

        `switch_s` is how long the change of clocks took, None where there was none, and `switch_ns` when that was, on
        the board's clock.
        """
        before, after = self._before, self._look()
        switched = self._switch_ns
        told: dict[str, Any] = {
            "frequency_hz": self._observed_hz,
            "switch_s": None if switched is None else (switched[1] - switched[0]) * 1e-9,
            "switch_ns": None if switched is None else list(switched),
        }
        if before is None or after is None:
            warmth = self._board.warmth()
            told["throttled"] = None if warmth.throttled is None else self._throttled or warmth.throttled
            return told, ["throttled"] if told["throttled"] else []
        told["throttled"] = bool(after.throttling) if after.tells_throttling else None
        told["board"] = {
            "asked": dict(after.asked),
            "held": dict(after.held),
            "before": dict(before.readings),
            "after": dict(after.readings),
        }
        # What throttled before the trial began shows again after it, if it lasts.
        reasons = [*before.strayed, *after.strayed, *(f"throttled: {cause}" for cause in after.throttling)]
        return told, list(dict.fromkeys(reasons))

    def forget(self) -> None:
        """The board was given back."""
        self._clocked = None

    def _look(self) -> Standing | None:
        return self._board.standing() if isinstance(self._board, Controlled) else None


def plain(standing: Standing) -> Mapping[str, Any]:
    """In values that both ends can hold."""
    return {
        "asked": dict(standing.asked),
        "held": dict(standing.held),
        "readings": dict(standing.readings),
        "throttling": list(standing.throttling),
        "strayed": list(standing.strayed),
    }
