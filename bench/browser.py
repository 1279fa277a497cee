"""A headless Chromium driven through the DevTools protocol over its pipe: what a reader of a page would see and do."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 60.0
"""bound on each answer"""
_LAUNCH = """
import fcntl, os, sys
apart = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, place in zip(apart, (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""the browser reads commands from descriptor 3 and answers on 4"""


class BrowserError(Exception):
    """The browser gave no answer, or none that was asked for."""


def found() -> str | None:
    """The browser of this machine; None where there is none."""
    return next((path for program in PROGRAMS if (path := shutil.which(program))), None)


class Browser:
    """One page of a browser of its own. A context manager: it owns the process and its profile."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _LAUNCH, str(commands), str(answers), program),
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
                *(
                    "--hide-scrollbars",
                    "--remote-debugging-pipe",
                    f"--user-data-dir={self._profile.name}",
                    "about:blank",
                ),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(commands, answers),
        )
        for end in (commands, answers):
            os.close(end)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        """errors and warnings of the pages' consoles, and exceptions nobody caught"""
        self._events: list[str] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        for end in (self._commands, self._answers):
            os.close(end)
        self._profile.cleanup()

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; returns its result. Raises BrowserError for a refusal."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._number:
                if "error" in heard:
                    raise BrowserError(f"{method}: {heard['error']['message']}")
                result: dict[str, Any] = heard["result"]
                return result
            self._note(heard)

    def open(self, url: str) -> None:
        """Return once the page and its scripts are loaded."""
        self._events.clear()
        self.tell("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._events:
            self._note(self._hear())

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """What kind of screen it is, in CSS pixels; under 600 of width a phone's."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, a promise's once it is kept."""
        answer = self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Return once a JavaScript expression is true; looked at with every frame. Raises after a bound."""
        self.run(
            f"new Promise((done, fail) => {{ setTimeout(() => fail(new Error('never came')), {PATIENCE_S * 500:.0f});"
            f"const look = () => ({condition}) ? done() : requestAnimationFrame(look); look(); }})"
        )

    def press(self, key: str) -> None:
        """A key of the keyboard, by its DOM name."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        codes = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39}
        own = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **own)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **own)

    def picture(self, path: Path) -> None:
        """The screen as a PNG file."""
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise BrowserError("the browser has gone")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard

    def _note(self, heard: Mapping[str, Any]) -> None:
        method, parameters = heard.get("method", ""), heard.get("params", {})
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"].get("exception", {}).get("description", "exception"))
        if method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])
        if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(each.get("value")) for each in parameters["args"]))
