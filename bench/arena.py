"""How fast the arena simulates: a random policy, which learns nothing, on the virtual Jetson with all its actions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.figure import Figure
from scheduler import policies
from testbed.arena.boards import Plan, plan_board
from testbed.arena.config import load_experiment
from testbed.arena.driver import Clairvoyant, drive
from testbed.arena.seeds import stream
from testbed.environments import ENVIRONMENTS

EXPERIMENT = Path(__file__).parents[1] / "examples" / "arena" / "paper-table.yaml"
NETWORKS = ("inception-v1", "mobilenet-v3")
TRIALS, ROUNDS = 100, 20
"""trials of an episode, and how often each cell is gone through; the first round fills the caches and is left out"""


def figures() -> Iterator[Figure]:
    """Trials a second of CPU time, observing and judging included."""
    experiment = load_experiment(EXPERIMENT)
    workloads = [workload for workload in experiment.workloads if workload.name in NETWORKS]
    plan = plan_board(experiment.boards[0], workloads, lambda text: None)
    rates = _rates(plan)
    yield Figure(
        name="arena: trials a second, simulator alone",
        value=median(rates),
        unit="1/s",
        reference=None,
        goal=">= 20,000 on one core",
        holds=median(rates) >= 20_000,
        provenance=f"CPU time here; {len(plan.actions)} actions, {', '.join(ENVIRONMENTS)}, random policy",
    )


def _rates(plan: Plan) -> list[float]:
    board, clairvoyant = plan.open(), Clairvoyant()
    rates = []
    for round_ in range(ROUNDS):
        begun_s, trials = time.process_time(), 0
        policy = policies.build("random", plan.actions, seed=round_)
        for workload, job in plan.jobs.items():
            for name, environment in ENVIRONMENTS.items():
                episode = board.episode(job, environment, TRIALS, stream(round_, workload, name))
                drive(policy, episode, lambda state, action, sample: sample.energy_j, clairvoyant)
                trials += TRIALS
        rates.append(trials / (time.process_time() - begun_s))
    return rates[1:]
