"""The Bayesian scheduler's beliefs on disk, and as the start of another board's: some 30 numbers a processor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scheduler.contract import Action
from scheduler.priors import WEIGHTS, Prior, default_priors, processors_of
from scheduler.transfer import kind

FORMAT = "processor-beliefs"
VERSION = 1
CAUTION = 2.0
"""by how much another board's deviations are widened"""


class BeliefsFileError(ValueError):
    """A file of beliefs that cannot be used, with the reason."""


def save_beliefs(path: Path, beliefs: Mapping[str, Prior]) -> None:
    """Write processor -> beliefs as JSON."""
    processors = {
        name: {"latency": prior.latency, "power": prior.power, "deviation": prior.deviation}
        for name, prior in beliefs.items()
    }
    header = {"format": FORMAT, "version": VERSION, "weights": WEIGHTS}
    path.write_text(json.dumps(header | {"processors": processors}, indent=1) + "\n")


def load_beliefs(path: Path) -> dict[str, Prior]:
    """Read processor -> beliefs. Raises BeliefsFileError."""
    try:
        content: Any = json.loads(path.read_text())
        kept = content["format"], content["version"], tuple(content["weights"])
        if kept != (FORMAT, VERSION, WEIGHTS):
            raise BeliefsFileError(f"{path}: this is not version {VERSION} of {FORMAT}; save the beliefs again")
        return {name: _prior(numbers) for name, numbers in content["processors"].items()}
    except FileNotFoundError:
        raise BeliefsFileError(f"{path}: there is no such file; save a scheduler's beliefs first") from None
    except BeliefsFileError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BeliefsFileError(f"{path}: this is no {FORMAT} file, or it is damaged ({error})") from error


def _prior(numbers: Mapping[str, Sequence[float]]) -> Prior:
    latency, power, deviation = (tuple(map(float, numbers[name])) for name in ("latency", "power", "deviation"))
    if not len(latency) == len(power) == len(deviation) == len(WEIGHTS):
        raise ValueError(f"each processor needs {len(WEIGHTS)} numbers of each sort")
    return Prior(latency, power, deviation)


def inherit(beliefs: Mapping[str, Prior], actions: Sequence[Action]) -> list[Prior]:
    """Priors for a board's processors from another board's beliefs; the default where that had none of the kind.

    How a processor responds (to size, frequency, precision, co-runners, signal) is taken over, with deviations widened
    but never beyond the default's. How fast it is, is not: the level keeps the default deviation.
    """
    of_kind = {kind(name): prior for name, prior in beliefs.items()}
    priors = []
    for name, default in zip(processors_of(actions), default_priors(actions), strict=True):
        known = of_kind.get(kind(name), default)
        widened = [min(CAUTION * had, most) for had, most in zip(known.deviation, default.deviation, strict=True)]
        priors.append(replace(known, deviation=(default.deviation[0], *widened[1:])))
    return priors
