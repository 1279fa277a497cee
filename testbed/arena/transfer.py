"""What a policy learnt on one board, as the start of another's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scheduler.bayesian import Bayesian
from scheduler.beliefs import save_beliefs
from scheduler.contract import Policy
from scheduler.policies import Option
from scheduler.qlearning import AutoScale
from testbed.arena.config import ArenaPolicy
from testbed.errors import BenchError

Build = Callable[[str, dict[str, Option]], Policy]
"""name and options -> the policy for the other board"""

_OF_A_NEW_TABLE = {"bins", "initial"}
"""options of AutoScale that a table brings with it"""


def hand_over(policy: Policy, entry: ArenaPolicy, build: Build, folder: Path) -> Policy:
    """The policy's heir, through the files that boards would exchange. Raises BenchError where it has none."""
    if isinstance(policy, AutoScale):
        policy.save(folder / "table")
        options = {name: value for name, value in entry.options.items() if name not in _OF_A_NEW_TABLE}
        return build("autoscale-transferred", {**options, "table": str(folder / "table")})
    if isinstance(policy, Bayesian):
        save_beliefs(folder / "beliefs", policy.model.beliefs())
        return build("bayesian-transferred", {"beliefs": str(folder / "beliefs")})
    raise BenchError(f"policy '{entry.name}': {entry.builder} hands nothing over to another board; start it cold")
