"""What a dataset may tell of a bench and a suite: a choice among words of ours tells of nobody, and is never hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from results.dataset.private import PUBLIC_KEYS
from testbed.config import Suite, bench_schema


def choices(schema: Any, key: str = "") -> Iterator[str]:
    """Keys whose value is one of a few words."""
    if isinstance(schema, dict):
        words = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
        if key and any(isinstance(word, str) for word in words):
            yield key
        for name, part in schema.items():
            if name in ("properties", "$defs"):
                for own, below in part.items():
                    yield from choices(below, own if name == "properties" else "")
            elif name != "propertyNames":
                yield from choices(part, key)
    elif isinstance(schema, list):
        for part in schema:
            yield from choices(part, key)


@pytest.mark.parametrize("of", [bench_schema(), Suite], ids=["bench", "suite"])
def test_words_of_ours_are_public(of: Any) -> None:
    found = set(choices(of.model_json_schema()))
    assert found
    assert found - PUBLIC_KEYS == set()
