"""A board as the world of a `scheduler.engine.Engine`: for an application that runs its own inferences on it.

with BoardWorld(board, [(task, model)], actions, energy) as world, Engine(world, policy, fallback=...) as engine:
    outputs = engine.infer(task.name, inputs)
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType

from scheduler.contract import REMOTE_TARGETS, Action, EnergyEstimator, State, Task
from scheduler.world import Execution, ExecutionFailed
from testbed.agent.contract import Board, Model, Result, Session, Setting, Target, TargetFailed, Tensors
from testbed.agent.trial import held


class BoardWorld:
    """Implements `scheduler.world.World`. Leaving it closes every session and gives the clocks back.

    A processor runs one inference at a time: it has one clock, and others wait. A remote target takes as many as there
    are callers, each on a connection of its own.
    """

    def __init__(
        self,
        board: Board,
        workloads: Sequence[tuple[Task, Model]],
        actions: Sequence[Action],
        energy: EnergyEstimator,
        remotes: Mapping[str, Target] | None = None,
    ) -> None:
        """The board is lent, and so are the `remotes`: the targets "edge" and "cloud" where actions name them."""
        self.tasks: Mapping[str, Task] = {task.name: task for task, _ in workloads}
        self.actions = tuple(actions)
        self.energy = energy
        self._board = board
        self._models = {task.name: model for task, model in workloads}
        names = dict.fromkeys(action.target for action in actions)
        self._targets = {name: _target(name, board, remotes or {}) for name in names}
        processors = dict.fromkeys(action.processor for action in actions if action.target not in REMOTE_TARGETS)
        self._processors = {name: _Processor(name, board) for name in processors}
        self._idle: dict[tuple[str, str, str], deque[Session]] = {}
        self._observing = threading.Lock()

    def __enter__(self) -> BoardWorld:
        """Load and warm what runs on the board; a server is first called upon when an inference goes there."""
        try:
            for name, model in self._models.items():
                for target, precision in dict.fromkeys((a.target, a.precision) for a in self.actions):
                    sessions = self._idle[name, target, precision] = deque()
                    if target not in REMOTE_TARGETS:
                        session = self._targets[target].load(model, precision)
                        sessions.append(session)
                        session.warm(model.inputs)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def observe(self, task: Task) -> State:
        """What the board sees now."""
        with self._observing:
            seen = self._board.observe()
        return State(task, seen.co_cpu, seen.co_memory, seen.rssi_dbm, seen.peer_rssi_dbm)

    def execute(self, task: Task, action: Action, inputs: Tensors) -> Execution:
        """One inference. Raises ExecutionFailed when the target gives no answer."""
        asked_ns = self._board.clock.now_ns()
        processor = self._processors.get(action.processor)
        try:
            if processor is None:
                self._release_clocks()
                result = self._run(task, action, inputs)
            else:
                self._release_clocks(but=processor)
                with processor.lock:
                    processor.clock_to(action.frequency_hz)
                    result = self._run(task, action, inputs)
        except TargetFailed as failure:
            raise ExecutionFailed(str(failure), (self._board.clock.now_ns() - asked_ns) * 1e-9) from failure
        return Execution(
            outputs=result.outputs,
            latency_s=(result.end_ns - asked_ns) * 1e-9,
            busy_s=(result.end_ns - result.start_ns) * 1e-9,
            transmit_s=_spent_s(result, "transmit"),
            receive_s=_spent_s(result, "receive"),
        )

    def _run(self, task: Task, action: Action, inputs: Tensors) -> Result:
        idle = self._idle[task.name, action.target, action.precision]
        try:
            session = idle.pop()
        except IndexError:
            session = self._targets[action.target].load(self._models[task.name], action.precision)
        try:
            with held(session):
                return session.run(inputs)
        finally:
            idle.append(session)

    def _release_clocks(self, but: _Processor | None = None) -> None:
        """Give back the clocks of processors that have nothing to do, as a clock held low costs all that runs."""
        for processor in self._processors.values():
            if processor is not but and processor.clocked and processor.lock.acquire(blocking=False):
                try:
                    processor.clock_to(None)
                finally:
                    processor.lock.release()

    def _close(self) -> None:
        for sessions in self._idle.values():
            while sessions:
                sessions.pop().close()
        for processor in self._processors.values():
            processor.clock_to(None)


class _Processor:
    """One clock, and whose turn it is."""

    def __init__(self, name: str, board: Board) -> None:
        self.lock = threading.Lock()
        self._name, self._board = name, board
        self._set_hz: float | None = None

    @property
    def clocked(self) -> bool:
        """Whether its frequency was set."""
        return self._set_hz is not None

    def clock_to(self, frequency_hz: float | None) -> None:
        """Set the frequency; None gives it back. Only with the lock held."""
        if frequency_hz != self._set_hz:
            self._board.set(Setting(self._name, frequency_hz))
            self._set_hz = frequency_hz


def _target(name: str, board: Board, remotes: Mapping[str, Target]) -> Target:
    if name not in REMOTE_TARGETS:
        return board.target(name)
    if name not in remotes:
        raise ValueError(f"there is an action on '{name}', and no such remote target; give it under `remotes`")
    return remotes[name]


def _spent_s(result: Result, name: str) -> float:
    return sum(span.end_ns - span.start_ns for span in result.spans if span.name == name) * 1e-9
