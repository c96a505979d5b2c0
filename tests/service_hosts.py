"""Stands in for the hosts of chats and other services: a proxy that ends the TLS of any host, and keeps what was sent.

A client gets here by `HTTPS_PROXY`, and trusts the certificates by `REQUESTS_CA_BUNDLE` and `SSL_CERT_FILE`: so what is
seen is what the service would get, byte for byte, and nothing of the client is replaced.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import as_pem, certificate
from tests.listener import Listener

_AUTHORITY = "Test authority"
_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Request:
    """What a service got."""

    host: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


class ServiceHosts:
    """Every host of the world. `answer` is the status line's end; `open` is cleared for hosts that do not answer."""

    def __init__(self, folder: Path) -> None:
        self.requests: Queue[Request] = Queue()
        self.answer = "200 OK"
        self.more_headers = ""
        self.open = threading.Event()
        self.open.set()
        self._folder = folder
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(as_pem(certificate(_AUTHORITY, _KEY)))
        self._key = folder / "key.pem"
        self._key.write_bytes(as_pem(_KEY))
        self._listener = Listener(self._connected)
        self.url = f"http://127.0.0.1:{self._listener.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What brings a client here."""
        authority = str(self.authority)
        return {
            "HTTPS_PROXY": self.url,
            "https_proxy": self.url,
            "NO_PROXY": "",
            "no_proxy": "",
            "REQUESTS_CA_BUNDLE": authority,
            "SSL_CERT_FILE": authority,
        }

    def next(self) -> Request:
        """The next request that has come, or comes."""
        return self.requests.get(timeout=20)

    def close(self) -> None:
        """Serve no more."""
        self.open.set()
        self._listener.close()

    def _connected(self, connection: socket.socket) -> None:
        line, _ = _head(connection.makefile("rb", buffering=0))
        host = line.split()[1].rpartition(":")[0]
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self._context(host).wrap_socket(connection, server_side=True) as encrypted:
            self._request(host, encrypted)

    def _request(self, host: str, connection: ssl.SSLSocket) -> None:
        stream = connection.makefile("rb")
        line, headers = _head(stream)
        _, target, _ = line.split()
        body = stream.read(int(headers["Content-Length"] or 0))
        parts = urlsplit(target)
        self.requests.put(Request(host, parts.path, parse_qs(parts.query), headers, body))
        self.open.wait(60)
        reply = f"HTTP/1.1 {self.answer}\r\n{self.more_headers}Content-Length: 2\r\nConnection: close\r\n\r\nok"
        connection.sendall(reply.encode())

    def _context(self, host: str) -> ssl.SSLContext:
        if host not in self._contexts:
            path = self._folder / f"{len(self._contexts)}.pem"
            names = [x509.DNSName(host)]
            path.write_bytes(as_pem(certificate(host, _KEY, issuer=_AUTHORITY, names=names)))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path, self._key)
            self._contexts[host] = context
        return self._contexts[host]


@contextmanager
def service_hosts(folder: Path) -> Iterator[ServiceHosts]:
    """The hosts, for a while."""
    hosts = ServiceHosts(folder)
    try:
        yield hosts
    finally:
        hosts.close()


def _head(stream: Any) -> tuple[str, Message]:
    line = stream.readline().decode()
    lines = []
    while (header := stream.readline()) not in (b"\r\n", b""):
        lines.append(header)
    return line, BytesParser().parsebytes(b"".join(lines))
