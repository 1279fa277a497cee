"""Holding a frequency: within a block a processor stays at the one that its policy chose for it first."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.contract import Action


class Hold:
    """Of one policy."""

    def __init__(self) -> None:
        self._block: int | None = None
        self._held: dict[str, float | None] = {}

    def offer(self, actions: Sequence[Action], block: int) -> Sequence[Action]:
        """What is left to choose from; all of it at the beginning of a block."""
        if block != self._block:
            self._block, self._held = block, {}
        if not self._held:
            return actions
        held = self._held
        return tuple(a for a in actions if a.target not in held or a.frequency_hz == held[a.target])

    def keep(self, action: Action) -> None:
        """The action chosen from the last offer."""
        self._held.setdefault(action.target, action.frequency_hz)
