"""A scheduler inside an application: each inference observed, decided, run and learnt from.

    with Engine(world, policy, fallback=Action("cpu", "fp32"), store=Path("learnt")) as engine:
        outputs = engine.infer("photo", {"image": image})
        print(engine.explain())

An inference never ends worse than on the fallback for want of a target: one that gives no answer is left alone for a
while, and the inference is run again on the fallback.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from math import inf
from pathlib import Path
from types import TracebackType

from scheduler.breaker import Breakers, Position
from scheduler.choices import accurate, meets_accuracy
from scheduler.contract import Action, Outcome, Policy, State, Task
from scheduler.decision import Decision, explain
from scheduler.explain import Explains, Explanation
from scheduler.features import implausible
from scheduler.files import LearntFileError
from scheduler.memory import OutcomeLog, Remembers
from scheduler.world import Execution, ExecutionFailed, Tensors, World
from scheduler.writer import Writer

_log = logging.getLogger(__name__)

_NOWHERE = (0.0, 0.0, -50.0, -50.0)
"""features of a state, for an energy where none was observed"""


class EngineError(ValueError):
    """The engine cannot do this as it is set up, with the reason."""


class Engine:
    """Decides where each inference runs, and learns from it. A context manager; used by any number of threads."""

    def __init__(
        self,
        world: World,
        policy: Policy,
        *,
        fallback: Action,
        store: Path | None = None,
        save_every_s: float = 10.0,
        first_back_off_s: float = 1.0,
        longest_back_off_s: float = 300.0,
        keep: int = 256,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`store` keeps what was learnt from one life to the next; the file is written every `save_every_s` at most.

        A target that gave no answer is probed after `first_back_off_s`, then after twice that, and so on. The last
        `keep` decisions can be explained. `now_s` is any steady clock.

        Raises EngineError when the world does not have the fallback, an accuracy, or an energy for one of its actions.
        """
        self._world, self._policy, self._fallback, self._store = world, policy, fallback, store
        self._actions = tuple(world.actions)
        _require_complete(world, self._actions, fallback)
        self._save_every_s, self._now_s = save_every_s, now_s
        targets = (action.target for action in self._actions)
        self._breakers = Breakers(targets, first_back_off_s, longest_back_off_s)
        self._offers: dict[tuple[str, tuple[str, ...]], tuple[Action, ...]] = {}
        self._log: OutcomeLog | None = None
        self._memory: Remembers
        if isinstance(policy, Remembers):
            self._memory = policy
        else:
            self._memory = self._log = OutcomeLog(policy, self._actions, world.tasks)
        self._explains = policy if isinstance(policy, Explains) else None
        self._lock = threading.Lock()
        """guards the policy, the breakers and the records; never held while an inference runs"""
        self._decisions: deque[Decision] = deque(maxlen=keep)
        self._incidents: deque[str] = deque(maxlen=keep)
        self._count = 0
        self._saved_s = -inf
        self._writer: Writer | None = None
        self._open = False
        self._resources = ExitStack()

    def __enter__(self) -> Engine:
        if self._store is not None:
            if not self._store.parent.is_dir():
                raise EngineError(f"{self._store.parent}: there is no such folder for what is learnt; make it first")
            self._recall(self._store)
            self._writer = self._resources.enter_context(Writer(self._store, self._incidents.append))
            self._saved_s = self._now_s()
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._open = False
            if self._writer is not None:
                self._writer.offer(self._memory.snapshot())
        self._resources.close()

    def infer(self, task_name: str, inputs: Tensors) -> Tensors:
        """The outputs of one inference of a task.

        Raises EngineError for a task there is none of, and ExecutionFailed when the fallback gives no answer either.
        """
        task = self._task(task_name)
        state, problem = self._observe(task)
        with self._lock:
            if not self._open:
                raise EngineError("the engine is not open; use it in a with statement")
            decision = self._decide(task, state, problem)
        try:
            return self._run(decision, decision.action, inputs)
        except ExecutionFailed:
            if decision.action == self._fallback:
                raise
            return self._run(decision, self._fallback, inputs)

    def explain(self, decision: Decision | None = None) -> Explanation:
        """Why a decision, by default the last one, was made. Raises EngineError before the first."""
        decisions = self.decisions
        if not decisions:
            raise EngineError("nothing has been decided yet")
        return explain(decision or decisions[-1], self._actions)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The last decisions, oldest first."""
        with self._lock:
            return tuple(self._decisions)

    @property
    def incidents(self) -> tuple[str, ...]:
        """What went wrong lately, oldest first."""
        return tuple(self._incidents)

    @property
    def breakers(self) -> dict[str, Position]:
        """Target -> position of its breaker."""
        with self._lock:
            return self._breakers.positions()

    def _task(self, name: str) -> Task:
        task = self._world.tasks.get(name)
        if task is None:
            known = list(self._world.tasks)
            near = get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
            raise EngineError(f"there is no task '{name}'; {hint}")
        return task

    def _observe(self, task: Task) -> tuple[State | None, str | None]:
        try:
            state = self._world.observe(task)
        except OSError as error:
            return None, f"a sensor could not be read: {error}"
        problem = implausible(state)
        return (None, f"what was observed cannot be used: {problem}") if problem else (state, None)

    def _decide(self, task: Task, state: State | None, problem: str | None) -> Decision:
        self._count += 1
        now_s = self._now_s()
        shut_off = self._breakers.shut_off(now_s)
        decision = Decision(self._count, task, state, self._fallback, "the fallback", shut_off)
        self._decisions.append(decision)
        if state is None:
            self._record(decision, f"{problem}; running the fallback")
            return decision
        if not meets_accuracy(task, self._actions):
            self._record(decision, "no action meets the accuracy target; the most accurate are on offer")
        offer = self._offer(task, tuple(shut_off))
        for target in shut_off:
            probes = tuple(action for action in self._offer(task, ()) if action.target == target)
            if probes and self._breakers[target].due(now_s):
                self._breakers[target].probe()
                decision.probing, offer = True, probes
                break
        if offer:
            self._ask(decision, state, offer)
        else:
            self._record(decision, "every target is out of order; running the fallback")
        return decision

    def _ask(self, decision: Decision, state: State, offer: tuple[Action, ...]) -> None:
        try:
            decision.action = self._policy.select(state, offer)
        except ValueError as error:
            self._record(decision, f"the policy could not decide ({error}); running the fallback")
            if decision.probing:
                decision.probing = False
                self._breakers[offer[0].target].failed(self._now_s(), probing=True)
            return
        decision.explored = bool(getattr(self._policy, "explored", False))
        decision.grounds = f"a probe of {decision.action.target}" if decision.probing else "the policy's choice"
        if self._explains is not None:
            decision.beliefs = self._explains.beliefs(state)

    def _offer(self, task: Task, shut_off: tuple[str, ...]) -> tuple[Action, ...]:
        """The accurate actions of all other targets: the same tuple each time, which policies know again quickly."""
        offer = self._offers.get((task.name, shut_off))
        if offer is None:
            offer = tuple(action for action in accurate(task, self._actions) if action.target not in shut_off)
            self._offers[task.name, shut_off] = offer
        return offer

    def _run(self, decision: Decision, action: Action, inputs: Tensors) -> Tensors:
        breaker, probing = self._breakers[action.target], decision.probing and action == decision.action
        try:
            execution = self._world.execute(decision.task, action, inputs)
        except ExecutionFailed as failure:
            with self._lock:
                breaker.failed(self._now_s(), probing=probing)
                self._record(decision, f"{action} gave no answer: {failure}")
                vain = Execution({}, failure.latency_s, failure.latency_s, 0.0, 0.0)
                self._learn(decision, action, vain, failed=True)
            raise
        except BaseException:
            with self._lock:
                if probing:  # it came to nothing, for whatever reason
                    breaker.failed(self._now_s(), probing=True)
            raise
        with self._lock:
            breaker.answered(probing=probing)
            self._learn(decision, action, execution)
        return execution.outputs

    def _learn(self, decision: Decision, action: Action, run: Execution, *, failed: bool = False) -> None:
        task = decision.task
        state = decision.state or State(task, *_NOWHERE)
        energy_j = self._world.energy.energy_j(state, action, run.busy_s, run.transmit_s, run.receive_s)
        outcome = Outcome(run.latency_s, energy_j, 0.0 if failed else task.accuracy[action.precision], failed)
        decision.runs.append((action, outcome))
        if decision.state is None:
            return
        if not (0.0 < outcome.latency_s < inf and 0.0 < outcome.energy_j < inf):
            self._record(decision, f"not learnt from: latency {outcome.latency_s} s, energy {outcome.energy_j} J")
            return
        try:
            self._policy.update(decision.state, action, outcome)
        except ValueError as error:
            self._record(decision, f"the policy could not learn: {error}")
            return
        if self._log is not None:
            self._log.note(decision.state, action, outcome)
        if self._writer is not None and self._now_s() - self._saved_s >= self._save_every_s:
            self._saved_s = self._now_s()
            self._writer.offer(self._memory.snapshot())

    def _recall(self, store: Path) -> None:
        """What cannot be used is set aside, and learnt anew."""
        try:
            self._memory.recall(store.read_bytes(), str(store))
        except FileNotFoundError:
            return
        except LearntFileError as error:
            aside = store.with_name(store.name + ".refused")
            store.replace(aside)
            self._incidents.append(text := f"starting untrained: {error}; it is kept as {aside}")
            _log.warning("%s", text)

    def _record(self, decision: Decision, problem: str) -> None:
        decision.problems.append(problem)
        self._incidents.append(text := f"decision {decision.number}, {decision.task.name}: {problem}")
        _log.info("%s", text)


def _require_complete(world: World, actions: Sequence[Action], fallback: Action) -> None:
    if fallback not in actions:
        raise EngineError(f"the fallback {fallback} is none of the world's actions")
    for task in world.tasks.values():
        for action in actions:
            if action.precision not in task.accuracy:
                raise EngineError(
                    f"task '{task.name}' has no accuracy at {action.precision}, which {action} computes in"
                )
            try:
                world.energy.energy_j(State(task, *_NOWHERE), action, 1.0, 0.1, 0.1)
            except ValueError as error:
                raise EngineError(f"no energy of {action}: {error}") from error
