from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler.contract import Action
from testbed.calibrate.model_file import power_model
from testbed.errors import BenchError
from testbed.estimation import ChosenModel
from tests.testbed.calibrate.synthetic import HEADER, STEPS_HZ, campaign

FACTS = power_model(campaign(), {**HEADER, "created": "2999-01-02T03:04:05+00:00"})
AT_MOST = Action("cpu", "fp32", STEPS_HZ[-1])


def chosen(tmp_path: Path, **altered: Any) -> ChosenModel:
    (tmp_path / "model.json").write_text(json.dumps({**FACTS, **altered}))
    return ChosenModel.read(tmp_path / "model.json")


def test_a_model_serves_the_board_it_was_calibrated_on(tmp_path: Path) -> None:
    model = chosen(tmp_path)
    model.require({"model": "Board"}, [AT_MOST, Action("cloud", "fp32")])
    assert model.label.startswith("energy estimated by the power model model.json (virtual, of 2999-01-02")
    with pytest.raises(BenchError, match="calibrate this one"):
        model.require({"model": "Another"}, [AT_MOST])
    with pytest.raises(BenchError, match="cpu/int8@1800MHz: it was calibrated without cpu at int8"):
        model.require({"model": "Board"}, [AT_MOST, Action("cpu", "int8", STEPS_HZ[-1])])


def test_a_model_that_expired_is_poor_or_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="expired on 2020-01-01"):
        chosen(tmp_path, validity={**FACTS["validity"], "expires": "2020-01-01T00:00:00+00:00"})
    with pytest.raises(BenchError, match="not good enough to be used: 12 % off"):
        chosen(tmp_path, verdict={"good_enough": False, "reasons": ["12 % off"], "withheld": {}})
    with pytest.raises(BenchError, match="cannot be read"):
        ChosenModel.read(tmp_path / "absent.json")
