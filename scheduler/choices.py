"""Which of the actions a policy knows are on offer, and which of them are accurate enough."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.contract import Action, Task


class UnknownActionError(ValueError):
    """A policy was offered, or told of, an action it was not built for."""


class NothingToChooseError(ValueError):
    """None of the actions on offer is one this policy could take."""


class KnownActions:
    """The fixed actions of a policy, each with its index.

    Raises ValueError when there is none, or one stands there twice.
    """

    def __init__(self, actions: Sequence[Action]) -> None:
        self.actions = tuple(actions)
        self._index = {action: i for i, action in enumerate(self.actions)}
        if not self.actions or len(self._index) < len(self.actions):
            raise ValueError("a policy needs at least one action, and each only once")
        self.all = list(range(len(self.actions)))
        self._last: tuple[Action, ...] | None = None
        self._last_offer: list[int] = []

    def index(self, action: Action) -> int:
        """Index of an action. Raises UnknownActionError."""
        try:
            return self._index[action]
        except KeyError:
            raise UnknownActionError(
                f"action {action} is none of the {len(self.actions)} this policy was built for"
            ) from None

    def offer(self, actions: Sequence[Action]) -> list[int]:
        """Indices of the actions on offer; `self.all`, the very object, when that is all of them in order.

        A tuple is looked up once and remembered; a list may have changed since, and is looked up each time.
        """
        if actions is self._last:
            return self._last_offer
        offer = self.all if tuple(actions) == self.actions else [self.index(action) for action in actions]
        if not offer:
            raise ValueError("no action is on offer")
        if isinstance(actions, tuple):
            self._last, self._last_offer = actions, offer
        return offer


def meets_accuracy(task: Task, actions: Sequence[Action]) -> bool:
    """Whether the precision of any meets the accuracy target."""
    return any(task.accuracy[action.precision] >= task.accuracy_target for action in actions)


def accurate(task: Task, actions: Sequence[Action]) -> list[Action]:
    """The actions whose precision meets the accuracy target; where none does, the most accurate ones."""
    accuracy = task.accuracy
    good = [action for action in actions if accuracy[action.precision] >= task.accuracy_target]
    if good:
        return good
    most = max(accuracy[action.precision] for action in actions)
    return [action for action in actions if accuracy[action.precision] == most]
