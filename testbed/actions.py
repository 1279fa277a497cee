"""Actions as a suite writes them: target/precision, at a frequency where it can be chosen.

`cpu/fp32@max`, `cpu/int8@min`, `gpu/fp16@612MHz`, `dla0/int8`, `cloud/fp16`. Several at once: `cpu/fp32@all` its
steps, `cpu/fp32@3` three of them evenly spaced, `cpu/fp32@min,1.2GHz,max` those named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from scheduler.contract import REMOTE_TARGETS, Action
from testbed.config import Suite
from testbed.errors import BenchError
from testbed.frequencies import evenly_spaced

_ONE = r"max|min|\d+(?:\.\d+)?[MG]Hz"
_ACTION = re.compile(rf"(?P<target>\w+)/(?P<precision>\w+)(?:@(?P<at>{_ONE}))?")
_SEVERAL = re.compile(rf"(?P<target>\w+)/(?P<precision>\w+)@(?P<at>all|\d+|(?:{_ONE})(?:,(?:{_ONE}))+)")
_SCALE = {"MHz": 1e6, "GHz": 1e9}


def expand_suite(
    suite: Suite, processors: Mapping[str, Sequence[str]], frequencies_hz: Mapping[str, Sequence[float]], board: str
) -> Suite:
    """The suite with each action at one frequency, as the board has them. Raises BenchError."""
    actions = [one for text in suite.actions for one in _expand(text, frequencies_hz, board)]
    changes: dict[str, object] = {"actions": actions}
    if suite.reference is not None and suite.reference.action not in actions:
        if _SEVERAL.fullmatch(suite.reference.action):
            raise BenchError(f"reference.action: '{suite.reference.action}' is several actions; name one frequency")
        resolved = resolve_actions(actions, processors, frequencies_hz, board)
        (wanted,) = resolve_actions([suite.reference.action], processors, frequencies_hz, board)
        if wanted not in resolved:
            raise BenchError(f"reference.action: '{suite.reference.action}' is none of the suite's actions on {board}")
        changes["reference"] = suite.reference.model_copy(update={"action": actions[resolved.index(wanted)]})
    return suite.model_copy(update=changes)


def _expand(text: str, frequencies_hz: Mapping[str, Sequence[float]], board: str) -> list[str]:
    match = _SEVERAL.fullmatch(text)
    if match is None:
        return [text]
    what, at, steps = f"{match['target']}/{match['precision']}", match["at"], frequencies_hz.get(match["target"], ())
    if "," in at:
        return [f"{what}@{one}" for one in at.split(",")]
    if not steps:
        raise BenchError(f"action '{text}': the frequency of this target cannot be set on {board}; leave '@{at}' out")
    ordered = sorted(steps)
    if at != "all":
        count = int(at)
        if not 2 <= count <= len(ordered):
            raise BenchError(f"action '{text}': 2 to {len(ordered)} steps can be had of {match['target']} on {board}")
        ordered = evenly_spaced(ordered, count)
    return [f"{what}@{step / 1e6:g}MHz" for step in ordered]


def resolve_actions(
    written: Sequence[str],
    processors: Mapping[str, Sequence[str]],
    frequencies_hz: Mapping[str, Sequence[float]],
    board: str,
    absent: Mapping[str, str] = MappingProxyType({}),
) -> list[Action]:
    """The actions, checked against what the board and its endpoints can do.

    `processors` maps each target to its precisions, `frequencies_hz` to its frequency steps, `absent` those that the
    board has not to the reason. Raises BenchError.
    """
    actions = [_resolve(text, processors, frequencies_hz, board, absent) for text in written]
    if twice := {str(action) for action in actions if actions.count(action) > 1}:
        raise BenchError(f"actions: {', '.join(sorted(twice))} is named in two ways on {board}; keep one")
    return actions


def _resolve(
    text: str,
    processors: Mapping[str, Sequence[str]],
    frequencies_hz: Mapping[str, Sequence[float]],
    board: str,
    absent: Mapping[str, str],
) -> Action:
    match = _ACTION.fullmatch(text)
    if match is None:
        raise BenchError(f"action '{text}' is not written as target/precision[@frequency], such as cpu/fp32@max")
    target, precision, at = match["target"], match["precision"], match["at"]
    if target not in processors:
        if target in absent:
            raise BenchError(f"action '{text}': {board} has no target '{target}': {absent[target]}")
        near = get_close_matches(target, processors, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(sorted(processors))}"
        what = "endpoint" if target in REMOTE_TARGETS else "target"
        raise BenchError(f"action '{text}': {board} has no {what} '{target}'; {hint}")
    if precision not in processors[target]:
        runs = ", ".join(processors[target])
        raise BenchError(f"action '{text}': {target} of {board} cannot run {precision}; it runs {runs}")
    return Action(target, precision, _frequency(text, at, frequencies_hz.get(target, ()), board))


def _frequency(text: str, at: str | None, steps: Sequence[float], board: str) -> float | None:
    if at is None:
        return max(steps) if steps else None
    if not steps:
        raise BenchError(f"action '{text}': the frequency of this target cannot be set on {board}; leave '@{at}' out")
    if at in ("max", "min"):
        return max(steps) if at == "max" else min(steps)
    asked = float(at[:-3]) * _SCALE[at[-3:]]
    nearest = min(steps, key=lambda step: abs(step - asked))
    if abs(nearest - asked) > 0.005 * asked:
        shown = ", ".join(f"{step / 1e6:g}" for step in steps)
        raise BenchError(
            f"action '{text}': no such frequency step on {board}; the nearest is {nearest / 1e6:g} MHz, "
            f"steps in MHz: {shown}"
        )
    return nearest
