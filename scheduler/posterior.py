"""The Bayesian scheduler's whole posterior as a file, to go on from after a restart of the same board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scheduler.contract import Action
from scheduler.files import LearntFileError, listed, pack, require_same, unlisted, unpack
from scheduler.loglinear import Posterior
from scheduler.priors import PRECISIONS, WEIGHTS, processors_of

FORMAT = "bayesian-posterior"
VERSION = 1


def encode_posterior(actions: tuple[Action, ...], posterior: Posterior, tried: Mapping[str, Sequence[int]]) -> bytes:
    """`tried`: task -> groups of actions that were tried."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "actions": listed(actions),
        "weights": WEIGHTS,
        "tasks": posterior.tasks,
        "tried": tried,
        "unit": posterior.unit,
        "noise": posterior.noise,
    }
    return pack(header, posterior.beliefs.astype("<f8").tobytes())


def decode_posterior(
    content: bytes, name: str, actions: tuple[Action, ...]
) -> tuple[Posterior, Mapping[str, Sequence[int]]]:
    """The posterior, and what was tried. Raises LearntFileError unless it was learnt for these actions."""
    header, numbers = unpack(content, FORMAT, VERSION, name)
    require_same(unlisted(header["actions"]), actions, "posterior")
    if tuple(header["weights"]) != WEIGHTS:
        raise LearntFileError(f"{name}: the posterior is of a model with other weights; learn it again")
    tasks = tuple(header["tasks"])
    size = len(WEIGHTS) + 1 + len(PRECISIONS) * len(tasks)
    beliefs = np.frombuffer(numbers, "<f8").reshape(len(processors_of(actions)), size, size + 2).astype(float)
    return Posterior(tasks, header["unit"], beliefs, tuple(header["noise"])), header["tried"]
