"""The calibrated power model a bench names, held against the board that is there before it is given to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from scheduler.contract import Action
from scheduler.power_model import PowerModel, PowerModelError, read_facts
from testbed.errors import BenchError
from testbed.remote import RemoteAgent


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A power model that is good enough, with the file it came from."""

    path: Path
    content: bytes
    facts: Mapping[str, Any]
    model: PowerModel

    @classmethod
    def read(cls, path: Path) -> ChosenModel:
        """Raises BenchError for a file that cannot be used, and for one that has expired."""
        try:
            content = path.read_bytes()
            chosen = cls(path, content, read_facts(content, str(path)), PowerModel.parse(content, str(path)))
        except OSError as error:
            raise BenchError(f"power_model: {path} cannot be read: {error.strerror}") from None
        except PowerModelError as error:
            raise BenchError(f"power_model: {error}") from None
        expires = datetime.fromisoformat(chosen.facts["validity"]["expires"])
        if expires < datetime.now(timezone.utc):
            raise BenchError(f"power_model: {path} expired on {expires:%Y-%m-%d}; calibrate the board again")
        return chosen

    @property
    def label(self) -> str:
        """What stands on record of a run that estimates with it."""
        digest = hashlib.sha256(self.content).hexdigest()[:12]
        error = self.facts["validation"]["mape"]
        made = f"{self.facts['provenance']}, of {self.facts['created'][:10]}, {error:.1%} off on held-out inferences"
        return f"energy estimated by the power model {self.path.name} ({made}; sha256 {digest})"

    def require(self, identity: Mapping[str, Any], actions: Sequence[Action]) -> None:
        """Raises BenchError where it is another board's, or cannot tell the energy of an action."""
        if identity["model"] != self.model.board_model:
            raise BenchError(
                f"power_model: {self.path} was calibrated on '{self.model.board_model}', and this board is "
                f"'{identity['model']}': calibrate this one"
            )
        for action in actions:
            if objection := self.model.objection(action):
                raise BenchError(f"power_model: {self.path} cannot tell the energy of {action}: {objection}")

    def hand_to(self, agent: RemoteAgent) -> None:
        """Make it the board's estimator. Raises BenchError where the board stands in another power mode."""
        if (mode := self.facts["validity"]["power_mode"]) is not None:
            here = agent.ask("standing")["held"].get("power_mode")
            if here != mode:
                raise BenchError(
                    f"power_model: {self.path} was calibrated in power mode {mode}, and the board is in {here}: "
                    "set board.power_mode in the bench file, or calibrate in this mode"
                )
        agent.ask("power_model", content=self.content)
