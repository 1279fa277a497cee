"""A run as plain rows, for a terminal table or for JSON."""

from __future__ import annotations

from pydantic import JsonValue

from results.analysis import Analysis, Row, analyse
from results.names import policy_name
from results.records import Facts
from results.run import Run
from results.statistics import Estimate


def summary(run: Run, analysis: Analysis | None = None) -> list[Facts]:
    """One row for each workload, environment, policy and phase; plain JSON values, None where nothing is known.

    Energies are per inference in joules, fractions 0..1; `_low` and `_high` bound a 95 % confidence interval.
    `median_energy_j` is there only where the tail of the energies is so heavy that their mean says little.
    """
    return [_plain(row) for row in (analysis or analyse(run)).rows]


def _plain(row: Row) -> Facts:
    quality = row.quality
    return {
        "workload": row.workload,
        "environment": row.environment,
        "policy": row.policy,
        "policy_name": policy_name(row.policy),
        "phase": row.phase,
        "trials": quality.trials,
        "failed": quality.failed,
        "refused": quality.refused,
        "lost": quality.lost,
        "explored": quality.explored,
        **_interval("energy{}_j", row.energy_j),
        **_interval("efficiency{}", row.efficiency),
        "idle_subtracted_j": row.idle_subtracted_j,
        "frame_energy_j": row.frame_energy_j,
        **_interval("median_energy{}_j", row.median_energy_j),
        **_interval("median_latency{}_s", row.latency_s),
        **_interval("qos_violations{}", row.qos_missed),
        "qos_violations_feasible": quality.qos_violations_feasible,
        "accuracy_misses": quality.accuracy_misses,
        "gap_to_opt": row.gap_to_opt,
        "regret_j": row.regret_j,
        "agreement": quality.agreement,
        "agreement_near": quality.agreement_near,
        "estimate_error": row.estimate_error,
        "truth_bias": row.truth.bias if row.truth else None,
        "truth_coverage": row.truth.coverage if row.truth else None,
        "radio_penalty_j": row.radio_penalty_j,
        "strayed": quality.strayed,
        "decisions": dict(quality.decisions),
    }


def _interval(name: str, estimate: Estimate | None) -> dict[str, JsonValue]:
    return {
        name.format(""): estimate.value if estimate else None,
        name.format("_low"): estimate.low if estimate else None,
        name.format("_high"): estimate.high if estimate else None,
    }
