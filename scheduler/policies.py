"""Policies by name, as a suite names them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from scheduler import classifiers, fixed, regressors
from scheduler.bayesian import Bayesian
from scheduler.bayesopt import BayesianOptimisation
from scheduler.beliefs import inherit, load_beliefs
from scheduler.contract import Action, Policy, TrueMeans
from scheduler.features import GRAPH_BINS, PUBLISHED_BINS, Bins
from scheduler.libraries import MissingLibraryError
from scheduler.lints import LinTs
from scheduler.linucb import LinUcb
from scheduler.loglinear import Drift
from scheduler.mosaic import Mosaic
from scheduler.neurosurgeon import Neurosurgeon
from scheduler.oracle import Opt
from scheduler.priors import default_priors, flat
from scheduler.profile import Profile, ProfileRecord, mean_outcomes
from scheduler.qlearning import AutoScale
from scheduler.rewards import REWARDS, Reward
from scheduler.rule import CalibratedRule
from scheduler.table import load_table
from scheduler.transfer import transfer_table

Option = float | int | str


class PolicyError(ValueError):
    """A policy cannot be built as asked."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a policy is built in: its actions, its seed, and what is known beforehand."""

    name: str
    actions: Sequence[Action]
    seed: int
    records: Sequence[ProfileRecord]
    true_means: TrueMeans | None

    @property
    def profiled(self) -> Sequence[ProfileRecord]:
        """The records. Raises PolicyError when there is none."""
        if not self.records:
            raise PolicyError(f"policy '{self.name}' chooses from a profile, and there is none; run the profile trials")
        return self.records

    @property
    def profile(self) -> Profile:
        """Mean outcomes of the records. Raises PolicyError when there is none."""
        return mean_outcomes(self.profiled)


WITHOUT_ENERGY = frozenset({"edge-cpu-fp32", "cloud", "connected-edge", "random"})
"""policies that decide without knowing what an inference costs"""


CLAIRVOYANT = frozenset({"opt"})
"""policies that ask what is true at the moment: they learn nothing, and their decisions cannot be made again later"""


def require(name: str, options: Mapping[str, Option]) -> None:
    """Raises PolicyError, naming the nearest right name or option, unless `build` knows them."""
    builder = POLICIES[_existing(name, POLICIES, "policy")]
    accepted = list(inspect.signature(builder).parameters)[1:]
    for option in options:
        if not accepted:
            raise PolicyError(f"policy '{name}' has no options; remove '{option}'")
        _existing(option, accepted, f"policy '{name}': option")


def build(
    name: str,
    actions: Sequence[Action],
    seed: int,
    options: Mapping[str, Option] | None = None,
    profile: Sequence[ProfileRecord] = (),
    true_means: TrueMeans | None = None,
) -> Policy:
    """The policy of that name. Raises PolicyError, naming the nearest right name or option, when there is none."""
    require(name, options or {})
    try:
        return POLICIES[name](Setting(name, tuple(actions), seed, profile, true_means), **(options or {}))
    except PolicyError:
        raise
    except (TypeError, ValueError, MissingLibraryError) as error:
        raise PolicyError(f"policy '{name}': {error}") from error


def _existing(name: str, names: Sequence[str] | Mapping[str, object], what: str) -> str:
    if name in names:
        return name
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(sorted(names))}"
    raise PolicyError(f"{what} '{name}' does not exist; {hint}")


BINS: Mapping[str, Bins] = {"published": PUBLISHED_BINS, "graph": GRAPH_BINS}


def _reward(name: str) -> Reward:
    return REWARDS[_existing(name, REWARDS, "reward")]()


def _autoscale(
    setting: Setting,
    reward: str = "published",
    bins: str = "published",
    learning_rate: float = 0.9,
    discount: float = 0.1,
    epsilon: float = 0.1,
    initial: float = 0.0,
) -> Policy:
    return AutoScale(
        setting.actions,
        setting.seed,
        reward=_reward(reward),
        bins=BINS[_existing(bins, BINS, "bins")],
        learning_rate=learning_rate,
        discount=discount,
        epsilon=epsilon,
        initial=initial,
    )


def _autoscale_trained(
    setting: Setting,
    table: str,
    reward: str = "published",
    learning_rate: float = 0.9,
    discount: float = 0.1,
    epsilon: float = 0.1,
) -> Policy:
    return AutoScale.from_table(
        load_table(Path(table)),
        setting.actions,
        setting.seed,
        reward=_reward(reward),
        learning_rate=learning_rate,
        discount=discount,
        epsilon=epsilon,
    )


def _autoscale_transferred(
    setting: Setting,
    table: str,
    reward: str = "published",
    learning_rate: float = 0.9,
    discount: float = 0.1,
    epsilon: float = 0.1,
) -> Policy:
    return AutoScale.from_table(
        transfer_table(load_table(Path(table)), setting.actions),
        setting.actions,
        setting.seed,
        reward=_reward(reward),
        learning_rate=learning_rate,
        discount=discount,
        epsilon=epsilon,
    )


def _linucb(setting: Setting, reward: str = "qos-penalty", width: float = 0.3, initial: float = 5.0) -> Policy:
    return LinUcb(setting.actions, reward=_reward(reward), width=width, initial=initial)


def _lints(setting: Setting, reward: str = "qos-penalty", width: float = 0.3, initial: float = 5.0) -> Policy:
    return LinTs(setting.actions, setting.seed, reward=_reward(reward), width=width, initial=initial)


def _rule(setting: Setting, regular_dbm: float = -70.0, headroom: float = 0.1) -> Policy:
    return CalibratedRule(setting.profile, regular_dbm=regular_dbm, headroom=headroom)


def _neurosurgeon(setting: Setting, minimise: str = "energy") -> Policy:
    return Neurosurgeon(setting.profiled, minimise=minimise)


def _nearest_neighbours(setting: Setting, neighbours: int = 3) -> Policy:
    return classifiers.nearest_neighbours(setting.profiled, neighbours)


def _bayesian_optimisation(setting: Setting, window: int = 200) -> Policy:
    return BayesianOptimisation(setting.actions, setting.records, window=window)


def _bayesian(
    setting: Setting,
    prior: str = "default",
    delta: float = 0.01,
    optimism: float = 1.5,
    walk_deviation: float = 0.02,
    discount: float = 0.99,
    alarm: float = 8.0,
) -> Policy:
    believed = {"default": list, "flat": lambda priors: [flat(one) for one in priors]}
    return Bayesian(
        setting.actions,
        priors=believed[_existing(prior, believed, "prior")](default_priors(setting.actions)),
        drift=Drift(walk_deviation=walk_deviation, discount=discount, alarm=alarm),
        delta=delta,
        optimism=optimism,
    )


def _bayesian_transferred(setting: Setting, beliefs: str) -> Policy:
    return Bayesian(setting.actions, priors=inherit(load_beliefs(Path(beliefs)), setting.actions))


def _opt(setting: Setting) -> Policy:
    if setting.true_means is None:
        raise PolicyError("Opt needs the true means, which only a virtual board has; leave it out on a real one")
    return Opt(setting.true_means)


LEARNING: Mapping[str, Callable[..., Policy]] = {
    "autoscale": _autoscale,
    "autoscale-trained": _autoscale_trained,
    "autoscale-transferred": _autoscale_transferred,
    "bayesian": _bayesian,
    "bayesian-transferred": _bayesian_transferred,
    "linucb": _linucb,
    "lints": _lints,
}


def _profiled(builder: Callable[..., Policy]) -> Callable[..., Policy]:
    """The same policy, having learnt from the profile first."""

    @functools.wraps(builder)
    def build_and_teach(setting: Setting, **options: Option) -> Policy:
        policy = builder(setting, **options)
        for record in setting.records:
            policy.update(record.state, record.action, record.outcome)
        return policy

    return build_and_teach


POLICIES: Mapping[str, Callable[..., Policy]] = {
    "edge-cpu-fp32": lambda setting: fixed.edge_cpu_fp32(),
    "edge-best": lambda setting: fixed.edge_best(setting.profile),
    "static-best": lambda setting: fixed.static_best(setting.profile),
    "race-to-idle": lambda setting: fixed.race_to_idle(setting.profile),
    "rule": _rule,
    "neurosurgeon": _neurosurgeon,
    "mosaic": lambda setting: Mosaic(setting.profiled),
    "lr": lambda setting: regressors.linear_regression(setting.actions, setting.profiled),
    "svr": lambda setting: regressors.support_vector_regression(setting.actions, setting.profiled),
    "svm": lambda setting: classifiers.support_vector_machine(setting.profiled),
    "knn": _nearest_neighbours,
    "bo": _bayesian_optimisation,
    "connected-edge": lambda setting: fixed.connected_edge(),
    "cloud": lambda setting: fixed.cloud(),
    "random": lambda setting: fixed.RandomChoice(setting.seed),
    "opt": _opt,
    **LEARNING,
    **{f"{name}-profiled": _profiled(builder) for name, builder in LEARNING.items()},
}
"""Every policy by its name; `-profiled` is one that has learnt from the profile before its first decision."""
