"""One line of SQL for each figure that a run's summary and report show, for DuckDB in the folder of a dataset.

Each yields one row for every run, workload, environment and policy, the figure in the column `figure`. They were
written from the definitions, and share no code with `results.analysis`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PLACE = ("run", "workload", "environment", "policy")
_FROM = "FROM 'trials/**/*.parquet' WHERE kind = 'trial' AND policy IS NOT NULL"
_LAST_HALF = (
    "(SELECT *, row_number() OVER w > count(*) OVER (PARTITION BY {place}) // 2 AS late {source} "
    "WINDOW w AS (PARTITION BY {place} ORDER BY trial)) WHERE late"
)
_OK = "FILTER (WHERE outcome = 'ok')"
_DONE = "FILTER (WHERE outcome NOT IN ('refused', 'lost'))"
_JUDGED = "FILTER (WHERE outcome NOT IN ('refused', 'lost') AND opt_energy_j IS NOT NULL)"
_TRUE = "FILTER (WHERE outcome = 'ok' AND energy_j IS NOT NULL AND truth_energy_j <> 0)"
_FEASIBLE = "FILTER (WHERE outcome NOT IN ('refused', 'lost') AND opt_feasible)"
_NEAR = "(chosen_met OR NOT opt_feasible) AND chosen_energy_j <= 1.05 * opt_energy_j"
_ENERGY = f"avg(energy_j) {_OK}"
_BASELINE = f"max(CASE WHEN policy = 'edge-cpu-fp32' THEN {_ENERGY} END) OVER (PARTITION BY run, workload, environment)"
_ACCURATE = "outcome = 'ok' AND coalesce(accuracy >= accuracy_target, false)"
_COVERED = "abs(energy_j - truth_energy_j) <= 2 * energy_standard_uncertainty_j"
_KNOWN = f"count(radio_penalty_j) {_OK}"
_SAME = "opt_target = target AND opt_precision = precision AND opt_frequency_hz IS NOT DISTINCT FROM frequency_hz"

FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "trials": "count(*)",
        "failed": "count(*) FILTER (WHERE outcome = 'failed')",
        "refused": "count(*) FILTER (WHERE outcome = 'refused')",
        "lost": "count(*) FILTER (WHERE outcome = 'lost')",
        "explored": "count(*) FILTER (WHERE explored AND outcome NOT IN ('refused', 'lost'))",
        "energy_j": _ENERGY,
        "efficiency": f"{_BASELINE} / {_ENERGY}",
        "idle_subtracted_j": f"avg(idle_subtracted_j) {_OK}",
        "frame_energy_j": f"avg(frame_energy_j) {_OK}",
        "median_latency_s": f"list_median(flatten(list(latencies_s) {_OK}))",
        "qos_violations": f"1 - sum(qos_met) {_DONE} / sum(n) {_DONE}",
        "qos_violations_feasible": f"1 - sum(qos_met) {_FEASIBLE} / sum(n) {_FEASIBLE}",
        "accuracy_misses": f"1 - avg(({_ACCURATE})::INT) {_DONE}",
        "gap_to_opt": f"sum(chosen_energy_j) {_JUDGED} / sum(opt_energy_j) {_JUDGED} - 1",
        "regret_j": f"sum(n * (chosen_energy_j - opt_energy_j)) {_JUDGED}",
        "agreement": f"avg(({_SAME})::INT) {_JUDGED}",
        "agreement_near": f"avg(({_SAME} OR ({_NEAR}))::INT) {_JUDGED}",
        "estimate_error": "avg(abs(estimated_energy_j / energy_j - 1)) FILTER (WHERE outcome = 'ok' AND energy_j > 0)",
        "truth_bias": f"avg(energy_j / truth_energy_j - 1) {_TRUE}",
        "truth_coverage": f"avg(({_COVERED})::INT) {_TRUE}",
        "radio_penalty_j": f"CASE WHEN {_KNOWN} > 0 THEN sum(radio_penalty_j) {_OK} / count(*) {_OK} END",
        "strayed": "count(*) FILTER (WHERE len(strayed) > 0)",
        "decisions": f"histogram(target || '/' || precision) {_DONE}",
    }
)
"""figure, as `testbed show --json` names it -> expression over the trials of one place"""
INTERVALS = 'from results.dataset import read_run; from results import summary; summary(read_run(".", "{run}"))'
"""the line of Python for what no SQL can draw again, bootstrap intervals; it yields all the others' figures too"""


def line(figure: str) -> str:
    """The whole query."""
    return f"SELECT {', '.join(PLACE)}, {FIGURES[figure]} AS figure {_FROM} GROUP BY {', '.join(PLACE)}"


def line_of_last_half(figure: str) -> str:
    """The same of the later half of each place's trials, which is shown of policies that learn."""
    source = _LAST_HALF.format(place=", ".join(PLACE), source=_FROM)
    return f"SELECT {', '.join(PLACE)}, {FIGURES[figure]} AS figure FROM {source} GROUP BY {', '.join(PLACE)}"
