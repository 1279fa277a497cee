"""ssh on a bad way: `python bad_way.py FOLDER SSH ARGUMENTS...` runs the real one, or does not.

Files in FOLDER say what befalls it: `refusals` holds how many calls are refused yet, `cut` which request for a trial
the connection does not outlive, and where there is `always` the ones after it outlive none. Each call is a line of
`calls`.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

TRIAL = b"\0\0\0\5trial"
"""the method's name as execnet writes a string: its length, then its bytes"""


def _count_down(path: Path) -> int:
    """What the file said; it then says one less, and is gone at the last."""
    left = int(path.read_text()) if path.exists() else 0
    if left > 1:
        path.write_text(str(left - 1))
    elif left:
        path.unlink()
    return left


def main(folder: Path, ssh: str, *arguments: str) -> int:
    with (folder / "calls").open("a") as calls:
        calls.write(" ".join(arguments)[:200] + "\n")
    if _count_down(folder / "refusals"):
        sys.stderr.write("ssh: connect to host board port 22: Connection refused\n")
        return 255
    cut = folder / "cut"
    if not cut.exists():
        os.execv(ssh, [ssh, *arguments])
    real = subprocess.Popen([ssh, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert real.stdin is not None
    mute = threading.Event()
    threading.Thread(target=_bring, args=(real.stdout, mute), daemon=True).start()
    before = b""  # the name may come in two parts
    while data := os.read(0, 1 << 16):
        seen = before + data
        before = seen[1 - len(TRIAL) :]
        if any(_count_down(cut) == 1 for _ in range(seen.count(TRIAL))):
            mute.set()  # what the board does of it, it does; nobody will hear of it
        real.stdin.write(data)
        real.stdin.flush()
        if mute.is_set():
            real.kill()
            if (folder / "always").exists():
                cut.write_text("1")
            break
    real.stdin.close()
    return real.wait() & 0xFF


def _bring(answers: IO[bytes], mute: threading.Event) -> None:
    while data := os.read(answers.fileno(), 1 << 16):
        if not mute.is_set():
            os.write(1, data)
    os.close(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
