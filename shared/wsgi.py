"""From an ASGI server to a WSGI application: what is wrong with a head, the head as a WSGI environ, the answer."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import closing
from typing import Any
from urllib.parse import unquote_to_bytes

from shared.problem import Problem

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""

_LONGEST_TARGET, _LONGEST_FIELD, _MOST_FIELDS = 4094, 8190, 100


def unacceptable(scope: Scope) -> Problem | None:
    """What is wrong with a head, whatever it means; None if nothing is. Sizes are checked first."""
    fields: list[tuple[bytes, bytes]] = scope["headers"]
    if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_TARGET:
        return Problem(414, f"the URL has more than {_LONGEST_TARGET} characters")
    if len(fields) > _MOST_FIELDS:
        return Problem(431, f"there are more than {_MOST_FIELDS} headers")
    if any(len(name) + len(value) > _LONGEST_FIELD for name, value in fields):
        return Problem(431, f"a header has more than {_LONGEST_FIELD} characters")
    # A proxy in front may use the other header, and see two requests where we see one (RFC 9112 §6.1).
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in fields}:
        return Problem(400, "both Content-Length and Transfer-Encoding are given")
    if scope["http_version"] not in {"1.0", "1.1"}:
        return Problem(400, "HTTP version not supported; use 1.0 or 1.1")
    if any(
        name == b"expect" and value.lower() != b"100-continue" for name, value in fields
    ):
        # A server may refuse an expectation that it can't meet (RFC 9110 §10.1.1).
        return Problem(417, "the only supported expectation is 100-continue")
    return None


def environ_of(scope: Scope) -> dict[str, Any]:
    """The head as a WSGI environ (PEP 3333), with an empty body."""
    # PEP 3333 wants every text as the bytes that came, each read as a character of Latin-1.
    host, port = scope["server"] or ("", None)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(_path(scope["raw_path"])).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:
            # In WSGI X_A would be the same as X-A, so that a client could forge a proxy's header.
            continue
        name, value = (
            raw_name.decode("latin-1").upper().replace("-", "_"),
            raw_value.decode("latin-1"),
        )
        key = name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"
        # A header that comes several times means the same as one with commas (RFC 9110 §5.2).
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _path(target: bytes) -> bytes:
    """The path of a request's target, which may be a whole URL (RFC 9112 §3.2.2)."""
    scheme, _, rest = target.partition(b"://")
    if scheme not in {b"http", b"https"}:
        return target
    return b"/" + rest.partition(b"/")[2]


def answer_of(app: Callable[..., Any], environ: dict[str, Any]) -> Answer:
    """Run the application."""
    status, fields = 503, list[tuple[str, str]]()

    def start_response(
        line: str, headers: list[tuple[str, str]], _error: Any = None
    ) -> None:
        nonlocal status, fields
        status, fields = int(line[:3]), headers

    with closing(app(environ, start_response)) as chunks:
        content = b"".join(chunks)
    return status, fields, content
