"""What a suite's co-runners need, looked at before anything is measured."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.co_runs import read_recording
from testbed.config import Suite
from testbed.environments import co_runners, heaviest, resolve_environment
from testbed.errors import BenchError
from testbed.remote import RemoteAgent


def require_co_runners(agent: RemoteAgent, suite: Suite) -> None:
    """Raises BenchError for a co-runner that the board cannot have, or a recording that cannot be read."""
    environments = [resolve_environment(named) for named in suite.environments]
    moments = [(each.name, heaviest(state)) for each in environments for state in co_runners(each)]
    wanted = [(name, moment.co_runner()) for name, moment in moments if moment.co_runs]
    refusals = agent.ask("cannot_co_run", loads=[load for _, load in wanted])
    if found := [f"environment '{name}': {why}" for (name, _), why in zip(wanted, refusals, strict=True) if why]:
        raise BenchError("\n".join(dict.fromkeys(found)))


def origins(suite: Suite) -> Iterator[str]:
    """Of each recording that is replayed beside the inferences, where it comes from."""
    states = [state for named in suite.environments for state in co_runners(resolve_environment(named))]
    for name in dict.fromkeys(state.replay for state in states if state.replay is not None):
        yield f"co-runner {name}: {read_recording(name).origin}"
