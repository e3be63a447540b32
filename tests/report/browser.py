"""Headless Chromium for tests: real keys, real clicks, over the DevTools protocol on a pipe."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
CODES = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
         "ArrowDown": 40, "Home": 36, "End": 35, "Tab": 9}  # fmt: skip


@dataclass
class Tab:
    """One open page.

    Attributes
    ----------
    requests : addresses that it asked for, those of data inside it left out.
    complaints : errors of its scripts and refusals by its policy.
    """

    send: int
    receive: int
    session: str = ""
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _buffer: bytes = b""

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Ask the browser, and wait for its answer."""
        wanted = next(self._ids)
        message: dict[str, Any] = {"id": wanted, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != wanted:
            self._note(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, path: Path) -> None:
        """Load a file and wait until its script has run."""
        answer = self.call("Page.navigate", url=path.absolute().as_uri())
        assert "errorText" not in answer, answer
        while self._note(self._next()) != "Page.loadEventFired":
            pass

    def see(self, expression: str) -> Any:
        """Value of a JavaScript expression."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Value of an expression once it is true; an answer within some ten seconds at most."""
        return self.see(
            "new Promise((done) => { let left = 600; const look = () => {"
            f"const found = {expression}; if (found || !left--) done(found);"
            "else setTimeout(look, 16); }; look(); })"
        )

    def press(self, *keys: str) -> None:
        """Press and let go of keys, named as in `KeyboardEvent.key`."""
        for key in keys:
            text = "\r" if key == "Enter" else key if len(key) == 1 else ""
            code = CODES.get(key) or ord(key.upper())
            about = {"key": key, "windowsVirtualKeyCode": code}
            kind = "keyDown" if text else "rawKeyDown"
            self.call("Input.dispatchKeyEvent", type=kind, text=text, **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def paste(self) -> None:
        """Paste where the focus is."""
        self.call("Input.dispatchKeyEvent", type="keyDown", key="v", commands=["paste"])

    def type(self, text: str) -> None:
        """Type text where the focus is."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, after bringing it into view."""
        box = self.see(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left",
                clickCount=1,
            )  # fmt: skip

    def point(self, selector: str) -> None:
        """Move the pointer to the middle of an element that is in view."""
        box = self.see(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])

    def pick(self, selector: str, path: Path) -> None:
        """Choose a file in a control, as its dialog would."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def save_into(self, folder: Path) -> None:
        """Let the page save files into a folder."""
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def choose(self, selector: str, value: str) -> None:
        """Set a control as a user would, its event included."""
        self.see(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            f"e.value = {json.dumps(value)};"
            "for (const n of ['input', 'change']) e.dispatchEvent(new Event(n, {bubbles: true}));"
            "})()"
        )

    def resize(self, width: int, height: int, scheme: str = "light") -> None:
        """Size of the window in pixels, and whether its user likes it dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def photograph(self, path: Path) -> None:
        """Write what is seen to a PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self.receive, 1 << 16)
            assert part, "the browser ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> str:
        method, params = str(event.get("method", "")), event.get("params", {})
        if method == "Network.requestWillBeSent":
            if not params["request"]["url"].startswith("data:"):
                self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(str(params["entry"]["text"]))
        return method


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """A browser with one empty tab; it ends with the block."""
    assert CHROMIUM
    for_it, ours = _pipe()
    our_end, its_end = _pipe()
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    script = f'exec "$@" 3<&{for_it} 4>&{its_end} {for_it}<&- {its_end}>&-'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *command],
        pass_fds=(for_it, its_end),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(for_it)
    os.close(its_end)
    try:
        tab = Tab(send=ours, receive=our_end)
        pages = tab.call("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        tab.session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        yield tab
    finally:
        os.close(ours)  # its end of the conversation: Chromium leaves by itself
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(our_end)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are far from the numbers 3 and 4, which Chromium wants."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
