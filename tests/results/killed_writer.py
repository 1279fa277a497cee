"""Forks a writer for each folder named on standard input, and says when it died: the importing is done once.

The writer creates the run or resumes it, first says its process id, then the index of each trial that is durable.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from conftest import columns, header, lead_in_ns, plan, trial

from results.store import RunStore

PLANNED = 1000


def say(words: object) -> None:
    os.write(1, f"{words}\n".encode())


def write(folder: Path) -> None:
    say(os.getpid())
    resume = (folder / "run.json").exists()
    with RunStore.open_for_resume(folder) if resume else RunStore.create(folder, header(), plan(PLANNED)) as store:
        for index in range(len(store.trials), PLANNED):
            store.append(trial(index), columns(lead_in_ns(index), count=200))
            say(index)


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write(Path(line.strip()))
        os._exit(0)
    os.waitpid(child, 0)
    say("dead")
