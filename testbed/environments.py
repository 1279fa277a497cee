"""The paper's execution environments, by their names (Kim & Wu, MICRO 2020, as recalled).

The paper gives them in words; the numbers are this testbed's. Signals: -58 dBm is regular, -82 dBm weak (the paper's
edge is -80 dBm); D3's spread reaches across that edge.
"""

from __future__ import annotations

from difflib import get_close_matches

from testbed.config import CoRunner, Environment
from testbed.errors import BenchError

ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment(name="S1"),
        Environment(name="S2", co_runner=CoRunner(cpu=0.75, memory=0.2)),
        Environment(name="S4", rssi_dbm=-82.0),
        Environment(name="D3", rssi_dbm=-68.0, rssi_std_db=9.0),
    )
}


def resolve_environment(named: str | Environment) -> Environment:
    """The environment of that name, or the one spelled out. Raises BenchError for an unknown name."""
    if isinstance(named, Environment):
        return named
    if named in ENVIRONMENTS:
        return ENVIRONMENTS[named]
    near = get_close_matches(named, ENVIRONMENTS, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(ENVIRONMENTS)}; or spell one out"
    raise BenchError(f"environment '{named}' is unknown; {hint}")
