from __future__ import annotations

import threading
from pathlib import Path

from scheduler.writer import Writer


def test_the_newest_content_is_what_remains(tmp_path: Path) -> None:
    complaints: list[str] = []
    with Writer(tmp_path / "file", complaints.append) as writer:
        for number in range(100):
            writer.offer(str(number).encode)
    assert (tmp_path / "file").read_bytes() == b"99"
    assert (list(tmp_path.iterdir()), complaints) == ([tmp_path / "file"], [])


def test_leaving_does_not_wait_for_ever(tmp_path: Path) -> None:
    complaints: list[str] = []
    go_on = threading.Event()

    def stuck() -> bytes:
        assert go_on.wait(10.0)
        return b""

    with Writer(tmp_path / "file", complaints.append, patience_s=0.02) as writer:
        writer.offer(stuck)
    go_on.set()
    assert "not written within 0.02 s" in complaints[0]


def test_a_failed_write_is_told_and_the_next_tried(tmp_path: Path) -> None:
    complaints: list[str] = []
    told = threading.Event()

    def tell(text: str) -> None:
        complaints.append(text)
        told.set()

    folder = tmp_path / "disk"
    with Writer(folder / "file", tell) as writer:
        writer.offer(lambda: b"lost")
        assert told.wait(10.0)
        folder.mkdir()
        writer.offer(lambda: b"kept")
    assert "could not be written" in complaints[0]
    assert (folder / "file").read_bytes() == b"kept"
