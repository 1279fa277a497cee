from __future__ import annotations

import json
import math
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.records import (
    VIRTUAL_LABEL,
    BlockRecord,
    RecordError,
    RewardRecord,
    RunHeader,
    TrialRecord,
    from_json,
    to_json,
)


def test_records_survive_the_round_trip(synthetic: ModuleType) -> None:
    for record in (
        synthetic.header(),
        synthetic.trial(3, reward=RewardRecord(name="published", value=-1.5), policy=None),
        synthetic.block(),
        synthetic.trial(0, energy=None, opt=None),
    ):
        text = to_json(record)
        assert "\n" not in text
        assert from_json(type(record), text) == record


@given(latencies=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5), note=st.text())
def test_floats_and_text_survive_exactly(synthetic: ModuleType, latencies: list[float], note: str) -> None:
    record = synthetic.trial(0, n=len(latencies), latencies_s=tuple(latencies), qos_met=0, note=note)
    assert from_json(TrialRecord, to_json(record)) == record


@given(
    state=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_no_record_holds_what_json_cannot(synthetic: ModuleType, state: object) -> None:
    try:
        plain = json.loads(json.dumps(state, allow_nan=False))
    except ValueError:
        with pytest.raises(ValueError, match="finite"):
            synthetic.trial(0, state={"value": state})
    else:
        assert json.loads(to_json(synthetic.trial(0, state={"value": state})))["state"]["value"] == plain


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused_by_name(synthetic: ModuleType, bad: float) -> None:
    with pytest.raises(ValueError, match=r"standard_uncertainty_j\n.*finite"):
        synthetic.energy(0.1, standard_uncertainty_j=bad)


def test_an_unknown_key_is_refused_by_name(synthetic: ModuleType) -> None:
    data = json.loads(to_json(synthetic.trial(0)))
    data["energy"]["joules"] = 1.0
    with pytest.raises(RecordError, match=r"not a TrialRecord: energy\.joules: unknown key"):
        from_json(TrialRecord, json.dumps(data))


@pytest.mark.parametrize("kind", ["header", "trial", "block"])
def test_every_missing_key_is_refused_by_name(synthetic: ModuleType, kind: str) -> None:
    record = synthetic.trial(0) if kind == "trial" else getattr(synthetic, kind)()
    data = json.loads(to_json(record))
    for key in data.keys() - {"format_version"}:
        rest = {name: value for name, value in data.items() if name != key}
        with pytest.raises(RecordError, match=f"{key}: missing key"):
            from_json(type(record), json.dumps(rest))


def test_a_wrong_type_is_refused(synthetic: ModuleType) -> None:
    data = json.loads(to_json(synthetic.block()))
    data["block"] = "0"
    with pytest.raises(RecordError, match="block: Input should be a valid integer"):
        from_json(BlockRecord, json.dumps(data))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"start_ns": 2, "end_ns": 1}, "ends before it starts"),
        ({"n": 3}, "4 latencies for 3 inferences"),
        ({"n": 5}, "4 latencies for 5 inferences"),
        ({"qos_met": 5}, "5 of 4 answers met QoS"),
        ({"action": None}, "made without an action"),
        ({"outcome": "lost"}, "was lost: nothing can be known of it"),
    ],
)
def test_a_trial_that_contradicts_itself_is_refused(
    synthetic: ModuleType, changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        synthetic.trial(0, **changes)


def test_a_failed_trial_may_lack_latencies(synthetic: ModuleType) -> None:
    assert synthetic.trial(0, outcome="failed", latencies_s=(), qos_met=0).n == 4


def test_only_a_measured_run_goes_without_caution(synthetic: ModuleType) -> None:
    assert synthetic.header(provenance="measured").caution is None
    assert synthetic.header(provenance="virtual").caution == VIRTUAL_LABEL
    mixed = "board measured, cloud virtual"
    assert from_json(RunHeader, to_json(synthetic.header(provenance=mixed))).caution == mixed
