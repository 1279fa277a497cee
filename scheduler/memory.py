"""What an engine keeps of its policy between two lives: all that the policy learnt, or else what it learnt it from."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from scheduler.contract import Action, Outcome, Policy, State, Task
from scheduler.files import listed, pack, require_same, unlisted, unpack
from scheduler.writer import Content

FORMAT = "outcome-log"
VERSION = 1
LONGEST_LOG = 4096
"""outcomes that are kept for a policy without a memory of its own; the oldest go first"""


@runtime_checkable
class Remembers(Protocol):
    """A policy that can hand over what it learnt: a table, a posterior."""

    def snapshot(self) -> Content:
        """What was learnt until now, taken quickly and encoded when called, in another thread maybe."""

    def recall(self, content: bytes, name: str) -> None:
        """Go on from there. Raises LearntFileError, naming the file, when it is of no use to this policy."""


class OutcomeLog:
    """Remembers for a policy that cannot, by the decisions and outcomes it was told of."""

    def __init__(self, policy: Policy, actions: Sequence[Action], tasks: Mapping[str, Task]) -> None:
        self._policy, self._actions, self._tasks = policy, tuple(actions), tasks
        self._index = {action: i for i, action in enumerate(self._actions)}
        self._told: deque[tuple[State, Action, Outcome]] = deque(maxlen=LONGEST_LOG)

    def note(self, state: State, action: Action, outcome: Outcome) -> None:
        """The policy was told of this."""
        self._told.append((state, action, outcome))

    def snapshot(self) -> Content:
        """All that was noted."""
        told = tuple(self._told)
        return lambda: self._encode(told)

    def recall(self, content: bytes, name: str) -> None:
        """Tell the policy all of it again. Raises LearntFileError when it was noted for other actions.

        Outcomes of tasks that are not served any more are left out.
        """
        header, rows = unpack(content, FORMAT, VERSION, name)
        require_same(unlisted(header["actions"]), self._actions, "log of outcomes")
        for task, features, i, latency_s, energy_j, accuracy, failed in map(json.loads, rows.splitlines()):
            if task in self._tasks:
                state, outcome = State(self._tasks[task], *features), Outcome(latency_s, energy_j, accuracy, failed)
                self._policy.update(state, self._actions[i], outcome)
                self.note(state, self._actions[i], outcome)

    def _encode(self, told: Sequence[tuple[State, Action, Outcome]]) -> bytes:
        header = {"format": FORMAT, "version": VERSION, "actions": listed(self._actions)}
        return pack(header, "\n".join(json.dumps(self._row(*entry)) for entry in told).encode())

    def _row(self, state: State, action: Action, outcome: Outcome) -> list[object]:
        features = [state.co_cpu, state.co_memory, state.rssi_dbm, state.peer_rssi_dbm]
        result = [outcome.latency_s, outcome.energy_j, outcome.accuracy, outcome.failed]
        return [state.task.name, features, self._index[action], *result]
