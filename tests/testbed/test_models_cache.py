from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.models.cache import Cache, default_folder, sha256_of

RECIPE = {"network": "n", "tools": {"t": "1"}}


def _writes(text: str, calls: list[str]):
    def build(path: Path) -> None:
        calls.append(text)
        path.write_text(text)

    return build


def test_makes_a_file_once(tmp_path: Path) -> None:
    calls: list[str] = []
    first = Cache(tmp_path).get("n", ".onnx", RECIPE, _writes("a", calls))
    second = Cache(tmp_path).get("n", ".onnx", dict(reversed(RECIPE.items())), _writes("b", calls))
    assert calls == ["a"]
    assert first == second
    assert first.path.read_text() == "a"
    assert first.sha256 == sha256_of(first.path)


def test_another_recipe_makes_another_file(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    one = cache.get("n", ".onnx", RECIPE, _writes("a", []))
    two = cache.get("n", ".onnx", {**RECIPE, "tools": {"t": "2"}}, _writes("b", []))
    assert one.path.read_text() == "a"
    assert two.path.read_text() == "b"


@pytest.mark.parametrize("damage", [b"", b"ab", b"abcX", None])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(tmp_path)
    made = cache.get("n", ".onnx", RECIPE, _writes("abcd", []))
    if damage is None:
        made.path.unlink()
    else:
        made.path.write_bytes(damage)
        assert cache.get("n", ".onnx", RECIPE, _writes("abcd", [])) == made
        assert str(made.path) in caplog.text
    assert cache.get("n", ".onnx", RECIPE, _writes("abcd", [])).path.read_text() == "abcd"


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", json.dumps({"file": "n.onnx", "sha256": 3})])
def test_a_damaged_record_is_made_again(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path)
    cache.get("n", ".onnx", RECIPE, _writes("a", []))
    (record,) = tmp_path.glob("*.json")
    record.write_text(damage)
    assert cache.get("n", ".onnx", RECIPE, _writes("a", [])).path.read_text() == "a"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        Cache(tmp_path).get("n", ".onnx", RECIPE, build)
    assert list(tmp_path.iterdir()) == []


def test_two_that_make_the_same_at_once_both_get_what_they_made(tmp_path: Path) -> None:
    inner = []

    def build(path: Path) -> None:
        inner.append(Cache(tmp_path).get("n", ".onnx", RECIPE, _writes("inner", [])))
        path.write_text("outer")

    outer = Cache(tmp_path).get("n", ".onnx", RECIPE, build)
    assert outer.path.read_text() == "outer"
    assert inner[0].path.read_text() == "inner"
    assert Cache(tmp_path).get("n", ".onnx", RECIPE, _writes("third", [])) == outer


def test_a_process_killed_half_way_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, signal
from testbed.models.cache import Cache
def build(path):
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
Cache(pathlib.Path({str(tmp_path)!r})).get("n", ".onnx", {RECIPE!r}, build)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert Cache(tmp_path).get("n", ".onnx", RECIPE, _writes("whole", [])).path.read_text() == "whole"


def test_what_a_killed_process_left_is_swept_away_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / ".workshop-old", tmp_path / ".workshop-young"
    for workshop in (old, young):
        workshop.mkdir()
        (workshop / "made").write_text("half")
    two_days_ago = time.time() - 2 * 86400
    os.utime(old, (two_days_ago, two_days_ago))
    Cache(tmp_path).get("n", ".onnx", RECIPE, _writes("a", []))
    assert not old.exists()
    assert young.exists()


def test_the_default_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert default_folder() == Path("/x/testbed/models")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_folder() == Path.home() / ".cache/testbed/models"
