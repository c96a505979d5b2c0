"""The clients: processes that send fuzzed requests over keep-alive connections, and judge the answers."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.fuzz.answers import Answer, breaches, pushes_of, split
from tests.fuzz.deliveries import Fuzzed, draw

PATIENCE = 60.0
"""Seconds after which no answer is one that never comes."""
_LARGE = 16_384
"""Bytes of a body from which on its refusal may overtake it, and be lost with the connection."""
_MOST_BREACHES = 20


@dataclass
class Tally:
    """What a number of requests came to."""

    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    pushes: int = 0
    unsure: int = 0
    """Pushes that may have been queued, as their answer was 503 or lost."""
    breaches: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what others counted."""
        self.requests += other.requests
        self.statuses += other.statuses
        self.pushes += other.pushes
        self.unsure += other.unsure
        self.breaches += other.breaches[: max(0, _MOST_BREACHES - len(self.breaches))]


def send_all(port: int, seed: int, numbers: range, connections: int, tokens: tuple[str, ...]) -> Tally:
    """Send the requests of these numbers over so many connections at a time. Runs in a process of its own."""
    tallies = [Tally() for _ in range(connections)]
    threads = [
        threading.Thread(target=_Client(port, tally).run, args=(seed, numbers[first::connections], tokens))
        for first, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


class _Client:
    """One connection after the other, as often as the ingress ends them."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._port = port
        self._tally = tally
        self._connection: socket.socket | None = None

    def run(self, seed: int, numbers: Sequence[int], tokens: tuple[str, ...]) -> None:
        for number in numbers:
            request = draw(seed, number, tokens)
            self._tally.requests += request.count
            try:
                if request.kind == "whole":
                    self._send(request)
                else:
                    self._send_apart(request)
            except Exception as error:
                self._hang_up()
                self._breach(request, f"CLIENT: {type(error).__name__}: {error}")
        self._hang_up()

    def _send(self, request: Fuzzed) -> None:
        """A proper request, over the connection that is kept: it must be answered."""
        # A connection that was idle may have been closed by the ingress just now: then it is sent again, on a new one.
        for _ in range(2):
            is_new = self._connection is None
            answer = self._ask(request)
            if answer or is_new:
                break
        if answer:
            self._judge(request, answer)
        elif request.body > _LARGE:
            self._tally.statuses["refusal lost"] += 1
            self._tally.unsure += 1
        else:
            self._breach(request, "NO ANSWER: the connection ended")

    def _ask(self, request: Fuzzed) -> Answer | None:
        connection = self._connection = self._connection or _connected(self._port)
        with suppress(ConnectionError):
            connection.sendall(request.wire)
        received, answer = b"", None
        with suppress(ConnectionError):
            while answer is None:
                data = connection.recv(262_144)
                if not data:
                    break
                received += data
                answer, rest = split(received, head_only=request.method == "HEAD")
                if answer and rest:
                    raise ValueError(f"{len(rest)} bytes behind the answer")
        if answer is None or answer.closes:
            self._hang_up()
        return answer

    def _send_apart(self, request: Fuzzed) -> None:
        """What may be no proper request, over a connection of its own: whatever comes back must be answers."""
        received = b""
        with _connected(self._port) as connection:
            with suppress(OSError):
                connection.sendall(request.wire)
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while data := connection.recv(262_144):
                    received += data
        answers = 0
        while received:
            answer, received = split(received, head_only=request.method == "HEAD")
            if answer is None:
                break
            answers += 1
            self._judge(request, answer)
            if request.method == "HEAD":
                break  # what is no proper request is refused with a body, whatever its method
        if not answers:
            self._tally.statuses["closed"] += 1
            self._tally.unsure += request.count

    def _judge(self, request: Fuzzed, answer: Answer) -> None:
        self._tally.statuses[str(answer.status)] += 1
        self._tally.pushes += pushes_of(answer)
        if answer.status == 503:
            self._tally.unsure += 200
        for breach in breaches(request, answer):
            self._breach(request, f"{breach}: {answer.body[:300]!r}")

    def _breach(self, request: Fuzzed, what: str) -> None:
        if len(self._tally.breaches) < _MOST_BREACHES:
            self._tally.breaches.append(
                f"request {request.number} ({request.kind}): {what}\n    {request.wire[:700]!r}"
            )

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
