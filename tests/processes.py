"""Real processes of the project, for the demo, the integration tests and the chaos runs.

    with Processes() as processes:
        worker = processes.start("worker", WORKER, "run", environment={...}, url="http://127.0.0.1:8081/healthz")
        worker.kill()                      # SIGKILL, as a crash would be
        worker = processes.start("worker", WORKER, "run", environment={...})
        worker.wait_for_log("worker started")

Every program writes its standard output and its errors to one log file. `start` comes back once the program is ready,
and raises with the end of its log if it is not in time. Leaving the block ends what is still running.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

PROJECT = Path(__file__).resolve().parent.parent
INGRESS = (sys.executable, "-m", "ingress")
WORKER = (sys.executable, "-m", "worker")
SIMULATOR = (sys.executable, "-m", "tests.arm_simulator")

PATIENCE = 300.0
"""Seconds to wait for what is to come, on any machine. A wait ends as soon as it is there, so a long limit is free."""

_PORTS = range(20000, 30000)
_RESERVED: list[IO[str]] = []
"""The locks of the ports that this process has been given; they are held as long as they are open."""
_LINES_SHOWN = 25
_STEP = 0.02


class ProcessError(Exception):
    """A program did not do as it should; the text holds the end of its log."""


def wait_until(condition: Callable[[], bool], within: float, what: str) -> None:
    """Return as soon as `condition` holds; raises TimeoutError naming `what` if it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        time.sleep(_STEP)


def free_ports(count: int) -> list[int]:
    """So many different TCP ports that nobody listens on, and that no other call returns while this process lives.

    They come from below the range that the system gives to outgoing connections, so that none of those takes a port
    between this call and its use, or while the program that owns it is being started again.
    """
    start = secrets.randbelow(len(_PORTS))
    candidates = itertools.chain(_PORTS[start:], _PORTS[:start])
    usable = (port for port in candidates if _reserve(port) and _is_free(port))
    return list(itertools.islice(usable, count))


def _reserve(port: int) -> bool:
    """Whether the port is this call's from now on: no other one's, of this or of another process, got it before."""
    # Regression: of two test processes that found the same port free, one could not listen on it seconds later. The
    # system gives a lock up with the process that has it, however that ends.
    places = Path(tempfile.gettempdir()) / f"aci-hooks-ports-{os.getuid()}"
    places.mkdir(exist_ok=True)
    lock = (places / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _RESERVED.append(lock)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))  # a program may listen on every address, or on that of the loopback alone
        except OSError:
            return False
        return True


def answers(url: str) -> bool:
    """Does a GET of `url` get a 2xx?"""
    try:
        return httpx.get(url, timeout=2, trust_env=False, verify=False).is_success
    except httpx.TransportError:
        return False


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without any setting of aci-hooks in it, and with `settings`."""
    ours = {"RESOURCE_GROUP_NAME", "CONTAINER_GROUP_NAME", "PORT"}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ACI_HOOKS_", "AZURE_", "OTEL_", "APPLICATIONINSIGHTS_")) and name not in ours
    }
    # What runs here talks to what runs here, whatever proxy the machine has.
    return {**inherited, "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1", **settings}


class Program:
    """One process in a group of its own; `log` is the file with all that it wrote. Not thread-safe."""

    def __init__(self, name: str, command: Iterable[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                cwd=PROJECT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its programs in order
            )

    @property
    def pid(self) -> int:
        """The process's id, also after its end."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        """Has it not ended yet?"""
        return self.exit_code is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP, to the process; nothing happens if it has ended."""
        self._process.send_signal(number)

    def terminate(self, within: float = PATIENCE) -> int:
        """SIGTERM, and its exit code. Raises ProcessError, having killed it, if it takes more seconds than `within`."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.wait(within)
        except ProcessError:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL to the process and its children, as a crash of the machine would; returns when it is gone."""
        if self.running:  # afterwards its id may be another's
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def wait(self, within: float) -> int:
        """Its exit code, once it ends by itself; raises ProcessError if it does not within so many seconds."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise self.error(f"still running after {within:g} s") from None

    def wait_until(self, condition: Callable[[], bool], within: float, otherwise: str) -> None:
        """Return once `condition` holds; raises ProcessError if the program ends, or `otherwise` if it takes longer."""
        deadline = time.monotonic() + within
        while not condition():
            if not self.running:
                raise self.error(f"ended with exit code {self.exit_code}")
            if time.monotonic() > deadline:
                raise self.error(f"{otherwise} after {within:g} s")
            time.sleep(_STEP)

    def wait_until_ready(self, url: str, within: float) -> None:
        """Return once a GET of `url` gets a 2xx; raises ProcessError if the program ends or takes longer."""
        self.wait_until(lambda: answers(url), within, f"{url} does not answer")

    def wait_for_log(self, text: str, within: float = PATIENCE) -> None:
        """Return once `text` is in the log; raises ProcessError if the program ends or takes longer."""
        self.wait_until(lambda: text in self.output(), within, f"{text!r} is not in the log")

    def output(self) -> str:
        """All that it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def tail(self, lines: int = _LINES_SHOWN) -> str:
        """The last lines that it has written."""
        return "\n".join(self.output().splitlines()[-lines:])

    def error(self, what: str) -> ProcessError:
        """An error about this program, with the end of its log."""
        return ProcessError(f"{self.name}: {what}; the end of {self.log}:\n{self.tail()}")


class Processes:
    """The programs of one run and the folder of their logs: `folder`, or a temporary one that is removed at the end."""

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="aci-hooks-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.programs: list[Program] = []

    def start(
        self,
        name: str,
        command: Iterable[str],
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        url: str | None = None,
        within: float = PATIENCE,
    ) -> Program:
        """Start a program; with a `url`, come back once that answers. Raises ProcessError if it does not in time.

        `environment` are the settings of aci-hooks that the program gets: none of this process's own reach it.
        Programs of one name write to one log, one after the other.
        """
        log = self.folder / f"{name}.log"
        program = Program(name, [*command, *arguments], environment_of(environment or {}), log)
        self.programs.append(program)
        if url:
            program.wait_until_ready(url, within)
        return program

    def tails(self, lines: int = _LINES_SHOWN) -> str:
        """The end of every log, for a report on what went wrong."""
        logs = {program.log: program for program in self.programs}
        return "\n".join(f"--- {log}\n{program.tail(lines)}" for log, program in logs.items())

    def stop(self) -> None:
        """End everything that still runs, all at once: with SIGTERM, and with SIGKILL what does not obey."""
        for program in self.programs:
            program.signal(signal.SIGTERM)
        for program in self.programs:
            try:
                program.terminate(within=10)
            except ProcessError as error:
                print(error, file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._temporary and error is None:
            shutil.rmtree(self.folder, ignore_errors=True)
