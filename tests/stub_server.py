"""An HTTP or HTTPS server on loopback that answers what a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import as_pem, certificate
from tests.http_server import LoopbackServer, QuietHandler

Headers = Mapping[str, str]
Answer = tuple[int, Headers, bytes]
Asked = tuple[str, str, dict[str, str], bytes]


class StubServer:
    """Answers what `answer` says of a method, a path with its query, and headers in lower case.

    `full` takes its place where the body matters, which it is given, too.
    A header that is given as `-` in an answer is left out.
    """

    def __init__(
        self,
        answer: Callable[[str, str, Headers], Answer] | None = None,
        certificate: Path | None = None,
        full: Callable[[str, str, Headers, bytes], Answer] | None = None,
    ) -> None:
        self.asked: list[Asked] = []
        stub = self
        if full is None:
            assert answer is not None
            answer_all = _without_body(answer)
        else:
            answer_all = full

        class Handler(QuietHandler):
            def serve(self) -> None:
                body = self.read_body()
                headers = {name.lower(): value for name, value in self.headers.items()}
                stub.asked.append((self.command, self.path, headers, body))
                self.answer(*answer_all(self.command, self.path, headers, body))

            def send_header(self, keyword: str, value: str) -> None:
                if value != "-":
                    super().send_header(keyword, value)

        self._server = LoopbackServer(Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = self._server.host
        self.url = f"{'https' if certificate else 'http'}://{self.host}"

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Method and path of what it was asked."""
        return [(method, path) for method, path, _, _ in self.asked]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()


def _without_body(answer: Callable[[str, str, Headers], Answer]) -> Callable[[str, str, Headers, bytes], Answer]:
    return lambda method, path, headers, _body: answer(method, path, headers)


@contextmanager
def listening() -> Iterator[tuple[str, list[Any]]]:
    """A webhook that takes everything: its host, and the JSON that was posted to it so far."""
    posted: list[Any] = []

    def answer(_method: str, _path: str, _headers: Headers, body: bytes) -> Answer:
        posted.append(json.loads(body))
        return 200, {}, b"{}"

    with StubServer(full=answer) as server:
        yield server.host, posted


def write_certificate(folder: Path) -> Path:
    """A file with a self-signed certificate of loopback and its key; whoever is given it as authority trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    path = folder / "certificate.pem"
    path.write_bytes(as_pem(key) + as_pem(certificate("tests", key, names=names)))
    return path
