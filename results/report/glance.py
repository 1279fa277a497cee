"""What a run was, in a few lines: on what, of what, how often; and how its meter was calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results.formats import quantity
from results.names import environment_order, policy_name, policy_order
from results.records import CalibrationFacts
from results.run import Run
from results.run_clock import times_s


def at_a_glance(run: Run) -> dict[str, str]:
    """Heading -> words; what the bench and the suite do not tell is left out."""
    bench, suite = run.header.bench, run.header.suite
    board, monitor, link = (_mapping(bench.get(part)) for part in ("board", "monitor", "link"))
    trials = [trial for trial in run.trials if trial.kind == "trial"]
    found = {
        "Board": _joined(board, "kind", "profile", "model"),
        "Power meter": _joined(monitor, "kind", "sensor", "port") or "none: energy is not measured",
        "Link": _joined(link, "kind", "standard"),
        "Endpoints": ", ".join(_mapping(bench.get("endpoints"))),
        "Engines": "; ".join(f"{name}: {words}" for name, words in run.header.engines.items()),
        "Workloads": "; ".join(_workload(each) for each in _list(suite.get("workloads"))),
        "Environments": ", ".join(sorted({trial.environment for trial in trials}, key=environment_order)),
        "Policies": ", ".join(
            policy_name(name) for name in sorted({t.policy for t in trials if t.policy}, key=policy_order)
        ),
        "Trials": _trials(run),
    }
    return {name: words for name, words in found.items() if words}


def calibration_card(calibration: CalibrationFacts) -> dict[str, str]:
    """The record's own fields, flattened, as words."""
    return dict(_flat(calibration.record))


def _trials(run: Run) -> str:
    kinds: dict[str, int] = {}
    for trial in run.trials:
        kinds[trial.kind] = kinds.get(trial.kind, 0) + 1
    words = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    blocks = len({trial.block for trial in run.trials})
    if not run.trials:
        return ""
    at_s = times_s(run.trials)
    return f"{len(run.trials):,} in {blocks} blocks ({words}) within {quantity(float(at_s[-1]), 's')}"


def _workload(each: Any) -> str:
    if not isinstance(each, Mapping):
        return str(each)
    model = each.get("model")
    words = [str(each.get("name"))] + ([model] if isinstance(model, str) else [])
    limits = [
        f"{name} {quantity(each[key], 's')}" for name, key in (("QoS", "qos_s"), ("every", "period_s")) if each.get(key)
    ]
    return ", ".join([" ".join(words[:1]) + (f" ({words[1]})" if len(words) > 1 else ""), *limits])


def _joined(part: Mapping[str, Any], *keys: str) -> str:
    return ", ".join(str(part[key]) for key in keys if part.get(key))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _flat(record: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in record.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            found.extend(_flat(value, f"{name}: "))
        elif value is not None:
            found.append((name, f"{value:.6g}" if isinstance(value, float) else str(value)))
    return found
