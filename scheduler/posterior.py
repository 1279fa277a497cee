"""The Bayesian scheduler's whole posterior as a file, to go on from after a restart of the same board."""

from __future__ import annotations

import numpy as np

from scheduler.contract import Action
from scheduler.files import LearntFileError, listed, pack, require_same, unlisted, unpack
from scheduler.loglinear import Posterior
from scheduler.priors import PRECISIONS, WEIGHTS, processors_of

FORMAT = "bayesian-posterior"
VERSION = 2


def encode_posterior(actions: tuple[Action, ...], posterior: Posterior) -> bytes:
    """What `decode_posterior` reads."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "actions": listed(actions),
        "weights": WEIGHTS,
        "tasks": posterior.tasks,
        "unit": posterior.unit,
        "noise": posterior.noise,
    }
    return pack(header, posterior.beliefs.astype("<f8").tobytes())


def decode_posterior(content: bytes, name: str, actions: tuple[Action, ...]) -> Posterior:
    """The posterior. Raises LearntFileError unless it was learnt for these actions."""
    header, numbers = unpack(content, FORMAT, VERSION, name)
    require_same(unlisted(header["actions"]), actions, "posterior")
    if tuple(header["weights"]) != WEIGHTS:
        raise LearntFileError(f"{name}: the posterior is of a model with other weights; learn it again")
    tasks = tuple(header["tasks"])
    size = len(WEIGHTS) + 1 + len(PRECISIONS) * len(tasks)
    beliefs = np.frombuffer(numbers, "<f8").reshape(len(processors_of(actions)), size, size + 2).astype(float)
    return Posterior(tasks, header["unit"], beliefs, tuple(header["noise"]))
