"""A rule as an engineer would write it after one day with a profile; it never learns."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.choices import NothingToChooseError, accurate
from scheduler.contract import REMOTE_TARGETS, Action, Outcome, State
from scheduler.profile import Profile


class CalibratedRule:
    """The least profiled energy among the actions that should be in time, with room to spare.

    - A remote target only while its signal is above `regular_dbm`. Below -70 dBm the median 802.11n goodput has
      fallen to less than half of that at -60 dBm (adamiaonr/wifi-vehicles, feup-exp-201901, CC BY 4.0).
    - A co-runner takes its share of the CPU: latency there is the profiled one times 1 + its utilisation.
    - `headroom` of the QoS is left free.
    """

    def __init__(self, profile: Profile, *, regular_dbm: float = -70.0, headroom: float = 0.1) -> None:
        self._profile, self._regular_dbm, self._headroom = profile, regular_dbm, headroom

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """Raises NothingToChooseError when no action on offer was profiled for this task."""
        profiled = self._profile.get(state.task.name, {})
        known = [action for action in actions if action in profiled]
        if not known:
            raise NothingToChooseError(f"rule: no action on offer was profiled for task '{state.task.name}'")
        known = accurate(state.task, known)
        usable = [action for action in known if self._reachable(state, action)] or known
        latency_s = {action: self._expected_s(state, action, profiled[action]) for action in usable}
        in_time = [action for action in usable if latency_s[action] <= (1.0 - self._headroom) * state.task.qos_s]
        if in_time:
            return min(in_time, key=lambda action: profiled[action].energy_j)
        return min(usable, key=latency_s.__getitem__)

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learns nothing."""

    def _reachable(self, state: State, action: Action) -> bool:
        if action.target not in REMOTE_TARGETS:
            return True
        return (state.rssi_dbm if action.target == "cloud" else state.peer_rssi_dbm) > self._regular_dbm

    def _expected_s(self, state: State, action: Action, profiled: Outcome) -> float:
        return profiled.latency_s * (1.0 + state.co_cpu if action.processor == "cpu" else 1.0)
