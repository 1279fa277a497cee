"""How policies, targets and environments are called and coloured, the same in every table and figure.

The hues are Okabe and Ito's, made for colour-blind readers (2008); names not known get Paul Tol's muted ones (2021).
"""

from __future__ import annotations

BASELINE = "edge-cpu-fp32"
"""the policy every energy efficiency is normalised to"""

_POLICIES = {
    "edge-cpu-fp32": ("Edge (CPU FP32)", "#8c8c8c"),
    "edge-best": ("Edge (Best)", "#009e73"),
    "static-best": ("Static best", "#999933"),
    "race-to-idle": ("Race to idle", "#117733"),
    "rule": ("Calibrated rule", "#882255"),
    "connected-edge": ("Connected Edge", "#e69f00"),
    "cloud": ("Cloud", "#d55e00"),
    "random": ("Random", "#d0d0d0"),
    "autoscale": ("AutoScale", "#56b4e9"),
    "autoscale-repaired": ("AutoScale, repaired reward", "#88ccee"),
    "autoscale-trained": ("AutoScale, trained before", "#0072b2"),
    "autoscale-repaired-trained": ("AutoScale, repaired, trained before", "#332288"),
    "autoscale-transferred": ("AutoScale, transferred", "#44aa99"),
    "lr": ("Linear regression", "#a6761d"),
    "svr": ("Support-vector regression", "#e6ab02"),
    "svm": ("Support-vector machine", "#66a61e"),
    "knn": ("Nearest neighbours", "#1b9e77"),
    "bo": ("Bayesian optimisation", "#7570b3"),
    "neurosurgeon": ("As Neurosurgeon, whole networks", "#b15928"),
    "mosaic": ("As MOSAIC, whole networks", "#fb9a99"),
    "bayesian": ("Bayesian", "#cc79a7"),
    "bayesian-metered": ("Bayesian, energy metered", "#e7298a"),
    "bayesian-transferred": ("Bayesian, transferred", "#aa4499"),
    "linucb": ("LinUCB", "#cc6677"),
    "lints": ("LinTS", "#6b5bd2"),
    "opt": ("Opt", "#222222"),
}
_FIXED = {*list(_POLICIES)[: list(_POLICIES).index("autoscale")], "opt"}
_PROFILED = "-profiled"
"""ending of a policy that has learnt from the profile before its first decision"""
_TARGETS = {
    "cpu": "#0072b2",
    "gpu": "#009e73",
    "dla0": "#cc79a7",
    "dla1": "#882255",
    "edge": "#e69f00",
    "cloud": "#d55e00",
}
_ENVIRONMENTS = {
    **{"S1": "#222222", "S2": "#0072b2", "S3": "#56b4e9", "S4": "#d55e00", "S5": "#e69f00"},
    **{"D1": "#332288", "D2": "#882255", "D3": "#009e73", "D4": "#cc79a7"},
}
_SPARE = ("#117733", "#88ccee", "#999933", "#aa4499", "#44aa99", "#cc6677")
_PALER = {"fp32": 0.0, "fp16": 0.35, "int8": 0.6}
_LAST_HALF = 0.4
"""how much darker the learned half of a policy is drawn than all of it"""


def learns(policy: str) -> bool:
    """Whether its decisions may change with what came of them; true of any policy not known here."""
    return policy not in _FIXED


def policy_order(name: str) -> tuple[float, str]:
    """Sort key: known policies as listed here, then the others by name, Opt last."""
    known, stem = list(_POLICIES), name.removesuffix(_PROFILED)
    return known.index(stem) if stem in _POLICIES else known.index("opt") - 0.5, name


def decision_order(decision: str) -> tuple[int, str]:
    """Sort key of "target/precision": the board's targets before the remote ones."""
    target, _, precision = decision.partition("/")
    known = list(_TARGETS)
    return known.index(target) if target in _TARGETS else len(known), f"{_PALER.get(precision, 1.0)}{decision}"


def environment_order(name: str) -> tuple[int, str]:
    """Sort key: the paper's environments as it lists them, then the others by name."""
    known = list(_ENVIRONMENTS)
    return known.index(name) if name in _ENVIRONMENTS else len(known), name


def policy_name(name: str) -> str:
    """For people to read."""
    stem = name.removesuffix(_PROFILED)
    if stem not in _POLICIES:
        return name
    return _POLICIES[stem][0] if stem == name else f"{_POLICIES[stem][0]}, profiled before"


def row_name(policy: str, phase: str) -> str:
    """A policy, with the phase where it is not all of its trials."""
    return policy_name(policy) if phase == "all" else f"{policy_name(policy)}, {phase}"


def row_colour(policy: str, phase: str) -> str:
    """As #rrggbb."""
    stem = policy.removesuffix(_PROFILED)
    colour = _POLICIES[stem][1] if stem in _POLICIES else _spare(stem)
    colour = colour if stem == policy else _mixed(colour, 255, 0.5)
    return colour if phase == "all" else _mixed(colour, 0, _LAST_HALF)


def target_colour(decision: str) -> str:
    """Of "target/precision": a hue for the target, paler at narrower precisions."""
    target, _, precision = decision.partition("/")
    return _mixed(_TARGETS.get(target) or _spare(target), 255, _PALER.get(precision, 0.15))


def environment_colour(name: str) -> str:
    """As #rrggbb."""
    return _ENVIRONMENTS.get(name) or _spare(name)


def _mixed(colour: str, grey: int, part: float) -> str:
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(channel + (grey - channel) * part):02x}" for channel in channels)


def _spare(name: str) -> str:
    return _SPARE[sum(name.encode()) % len(_SPARE)]
