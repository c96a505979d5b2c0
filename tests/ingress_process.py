"""The real `aci-hooks-ingress` as a process, and a line to its queue that can be cut and stalled."""

from __future__ import annotations

import http.client
import re
import socket
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.environment import read_settings
from shared.message import UpdateMessage, decode
from shared.queue import Queue, open_queues
from shared.settings import IngressSettings
from tests.processes import Processes, Program, free_ports

COMMAND = Path(sys.executable).with_name("aci-hooks-ingress")
PATIENT = (sys.executable, "-m", "tests.patient_ingress")

_GUARD = 90.0
"""Seconds after which a test fails rather than waits on. No test measures anything by it."""


@dataclass(frozen=True)
class Answer:
    """What the process answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class IngressProcess:
    """A running ingress."""

    def __init__(self, program: Program, port: int, queue: Queue) -> None:
        self.program = program
        self.port = port
        self.queue = queue

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_GUARD)
        try:
            # Headers as octets, which http.client sends as they are.
            fields = {name: value.encode("latin-1") for name, value in (headers or {}).items()}
            connection.request(method, path, body, fields)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return Answer(response.status, dict(response.getheaders()), content)

    def exchange(self, request: bytes) -> bytes:
        """Whatever comes back for these bytes, and nothing behind them, until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_GUARD) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(ConnectionResetError):
                while received := connection.recv(65536):
                    answer += received
            return answer

    def received(self) -> list[UpdateMessage]:
        """Takes every message off the queue."""
        messages = []
        while leased := self.queue.receive(32):
            for leased_message in leased:
                message = decode(leased_message.text)
                assert isinstance(message, UpdateMessage)
                messages.append(message)
                self.queue.complete(leased_message)
        return messages


@contextmanager
def ingress_process(
    environment: Mapping[str, str],
    connection_string: str,
    line: Line | None = None,
    command: Sequence[str] = (str(COMMAND),),
) -> Iterator[IngressProcess]:
    """Start it on a free port with a queue of its own, behind `line` if one is given; stop it afterwards.

    `command` may be PATIENT: the same ingress, which waits for its queue for a minute.
    """
    (port,) = free_ports(1)
    storage = {
        "ACI_HOOKS_QUEUE": f"ingress-{uuid.uuid4().hex[:12]}",
        "AZURE_STORAGE_CONNECTION_STRING": connection_string,
    }
    queue, _ = open_queues(read_settings(IngressSettings, {**environment, **storage}))
    if line:
        storage["AZURE_STORAGE_CONNECTION_STRING"] = line.instead_of_queue(connection_string)
    with Processes() as processes:
        program = processes.start(
            "ingress",
            command,
            *("--host", "127.0.0.1", "--port", str(port)),
            environment={**environment, **storage},
            url=f"http://127.0.0.1:{port}/healthz",
        )
        yield IngressProcess(program, port, queue)


class Line:
    """A TCP relay to `upstream` that can be cut (connections refused) or stalled (open, and nothing passes)."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        (self._port,) = free_ports(1)
        self._flowing = threading.Event()
        self._flowing.set()
        self.holds_bytes = threading.Event()
        """Set once something was sent into the line while it is stalled."""
        self._sockets: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.restore()

    def instead_of_queue(self, connection_string: str) -> str:
        """The connection string with its queue endpoint on this line."""
        return re.sub(r"(QueueEndpoint=http://)[^/;]+", rf"\g<1>127.0.0.1:{self._port}", connection_string)

    @property
    def url(self) -> str:
        """Where the client is to connect."""
        return f"http://127.0.0.1:{self._port}"

    def stall(self) -> None:
        self.holds_bytes.clear()
        self._flowing.clear()

    def cut(self) -> None:
        if self._listener:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._listener = None
        for connection in self._sockets:
            connection.close()
        self._sockets.clear()

    def restore(self) -> None:
        self._flowing.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self._port), reuse_port=False, backlog=128)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._upstream)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self._flowing.is_set():
                    self.holds_bytes.set()
                self._flowing.wait()
                sink.sendall(data)
        for connection in (source, sink):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def queue_address(connection_string: str) -> tuple[str, int]:
    """Where the connection string's queue endpoint is."""
    found = re.search(r"QueueEndpoint=([^;]+)", connection_string)
    assert found
    url = urlsplit(found[1])
    return str(url.hostname), int(url.port or 80)
