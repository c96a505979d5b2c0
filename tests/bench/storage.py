"""What is asked of storage, counted from outside by Azurite's own access log: so whatever the worker is, it counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.azurite import ACCOUNT, Azurite
from tests.processes import Program, environment_of

READS, WRITES, REFUSED, LISTS = "record reads", "record writes", "record writes refused", "lists of records"
SENT, CHANGED, DELETED, RECEIVED = "messages sent", "messages changed", "messages deleted", "receives"
KINDS = (READS, WRITES, REFUSED, LISTS, SENT, CHANGED, DELETED, RECEIVED)
"""What is counted. `changed` are messages that were put back or whose lease was renewed; `refused` are the writes of
a record that somebody else had changed; receives count those that found nothing, too."""

_REQUEST = re.compile(r'"(?P<method>[A-Z]+) (?P<url>/\S+) HTTP/[\d.]+" (?P<status>\d{3})')
_RECORDS = re.compile(rf"/{ACCOUNT}/[^/]+/groups/.+")
_MESSAGES = re.compile(rf"/{ACCOUNT}/[^/]+/messages(?P<one>/.+)?")
_BY_MESSAGES = {"POST": SENT, "GET": RECEIVED}
_BY_MESSAGE = {"PUT": CHANGED, "DELETE": DELETED}


class LoggedAzurite(Azurite):
    """An Azurite that writes a line to its log for each request, before it answers the next one."""

    def counts(self) -> Counter[str]:
        """How often each of KINDS was asked for so far."""
        return Counter(kind for line in self.program.output().splitlines() for kind in _kinds(line))

    def _start(self) -> Program:
        ports = {"blob": self._blob_port, "queue": self._queue_port, "table": self._table_port}
        listen = [
            word for name, port in ports.items() for word in (f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port))
        ]
        flags = ["--disableTelemetry", "--skipApiVersionCheck", "--location", str(self.data)]
        program = Program("azurite", [*self._command, *flags, *listen], environment_of({}), self.data / "azurite.log")
        for service in ("Blob", "Queue"):
            program.wait_for_log(f"Azurite {service} service is successfully listening", 30)
        return program


def _kinds(line: str) -> Iterator[str]:
    """What a line of the log stands for, if it is one of KINDS."""
    if not (request := _REQUEST.search(line)):
        return
    method, status, url = request["method"], int(request["status"]), urlsplit(request["url"])
    if _RECORDS.fullmatch(url.path):
        if method == "GET":
            yield READS
        elif method == "PUT":
            yield WRITES if status < 400 else REFUSED
    elif found := _MESSAGES.fullmatch(url.path):
        yield from filter(None, [(_BY_MESSAGE if found["one"] else _BY_MESSAGES).get(method)])
    elif parse_qs(url.query).get("comp") == ["list"]:
        yield LISTS


def logged(folder: Path) -> LoggedAzurite:
    """As `storage` of a stage."""
    return LoggedAzurite(folder)
