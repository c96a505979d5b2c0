"""HTTP to registries: in time, bounded in size, and never to where a registry may not lead us."""

from __future__ import annotations

import socket
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from worker.adapters.registry.addresses import may_lead
from worker.adapters.registry.answers import Answer, bad_answer
from worker.adapters.registry.auth import Authorisation
from worker.adapters.registry.manifests import IMAGE_MANIFESTS, INDEXES
from worker.adapters.registry.urls import safe_url, same_origin

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
LARGEST_BODY = 4 * 1024 * 1024
"""Bytes: what the distribution specification asks every registry to take as a manifest."""
LARGEST_ERROR = 64 * 1024
REDIRECTS = 3
_GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of gzip (RFC 1952 §2.3.1)."""
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
# Not version 1 of Docker's manifests: a registry would convert newer ones to it, with another digest.
_MANIFESTS = ", ".join(
    sorted(
        INDEXES
        | {kind for kind in IMAGE_MANIFESTS if "distribution.manifest.v1" not in kind}
    )
)

Resolve = Callable[[str], frozenset[str]]


def addresses_of(host: str) -> frozenset[str]:
    """Every address of a host; none if its name can't be resolved here, as where a proxy does that."""
    try:
        return frozenset(
            str(info[4][0])
            for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
    # UnicodeError: a label of the name is longer than IDNA allows.
    except (OSError, UnicodeError):
        return frozenset()


class Wire:
    """Sends requests, for many threads at once. `resolve` gives a host's addresses, `transport` is for tests."""

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        resolve: Resolve = addresses_of,
    ) -> None:
        self._resolve = resolve
        self._client = httpx.Client(
            transport=transport,
            verify=True if transport else _system_trust(),
            mounts={
                "http://": None
            },  # plain http is for local hosts: no proxy of the environment gets to see it
            # The body's bytes are what a digest is of, so they must not be encoded; and cookies would pile up.
            headers={"Accept-Encoding": "identity", "User-Agent": "aci-hooks"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def insist_on_reach(self, registry: httpx.URL, url: httpx.URL) -> None:
        """Raises RemoteError if the registry must not lead us to that host."""
        if url.host == registry.host:
            return
        if not may_lead(self._addresses(registry), self._addresses(url)):
            raise bad_answer(
                "it redirects to an address of a private network, which a public registry may not do"
            )

    def _addresses(self, url: httpx.URL) -> frozenset[str]:
        # By the name that is connected to. `url.host` is the one for people: of xn--fa-hia.de it makes faß.de, which
        # the standard library resolves as fass.de, another host.
        return self._resolve(url.raw_host.decode("ascii"))

    def follow(
        self, method: str, url: httpx.URL, granted: Authorisation, deadline: float
    ) -> Answer:
        """Send, and follow redirects; the authorisation stays with the origin that it was granted by."""
        here = url
        for _ in range(REDIRECTS + 1):
            # A registry may redirect to a store elsewhere, which must not see the registry's token.
            shown = granted if same_origin(here, url) else Authorisation()
            answer = self.send(method, here, shown, deadline)
            location = answer.headers.get("Location")
            if location is None or answer.status not in _REDIRECTED:
                # By how the registry was asked: a host that it redirects to is shown no credentials in any case.
                return replace(
                    answer,
                    anonymous=granted.anonymous,
                    why_anonymous=granted.why_anonymous,
                )
            # Where it leads is the answer's choice, so it is checked like a realm before anything is sent there.
            here = safe_url(location, here, url)
            self.insist_on_reach(url, here)
        raise bad_answer("it redirects too often")

    def send(
        self,
        method: str,
        url: httpx.URL,
        granted: Authorisation,
        deadline: float,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; once more if the connection broke, as a kept one may have been closed meanwhile."""
        headers = {"Accept": _MANIFESTS} if "/manifests/" in url.path else {}
        if granted.header:
            headers["Authorization"] = granted.header
        request = self._client.build_request(method, url, headers=headers, data=form)
        # Nothing that is sent here changes anything, so it may be sent twice.
        try:
            answer = self._exchange(request, deadline)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            answer = self._exchange(request, deadline)
        return replace(
            answer, anonymous=granted.anonymous, why_anonymous=granted.why_anonymous
        )

    def _exchange(self, request: httpx.Request, deadline: float) -> Answer:
        """Send one request and read its answer whole; raises TimeoutError past the deadline."""
        # httpx's timeouts are for each read: a server that sends a byte now and then never runs into one. So the
        # deadline is looked at as well, after every piece.
        left = max(deadline - time.monotonic(), 0.01)
        timeout = httpx.Timeout(
            min(READ_SECONDS, left), connect=min(CONNECT_SECONDS, left)
        )
        request.extensions["timeout"] = timeout.as_dict()
        response = self._client.send(request, stream=True)
        limit = LARGEST_BODY if response.status_code == 200 else LARGEST_ERROR
        body = bytearray()
        try:
            # Raw, so that the limit is for what is really sent.
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit:
                    raise bad_answer(f"its answer is larger than {limit} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError
        finally:
            response.close()
        content = _decoded(bytes(body), response.headers.get("Content-Encoding", ""))
        return Answer(
            request.url, response.status_code, response.headers, content, at=time.time()
        )


def why_unreachable(error: BaseException) -> str:
    """Why a connection could not be made, in words that say what to correct."""
    cause: BaseException | None = error
    while cause is not None:
        # httpx hides the reason behind errors of its own, so the chain of causes is followed to the error that says
        # what to correct.
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate can't be trusted: {cause.verify_message}; add its authority to the system's store, "
                "or set SSL_CERT_FILE to a file that has it"
            )
        if isinstance(cause, ssl.SSLError):
            return (
                f"it does not answer over TLS ({cause.reason or type(cause).__name__}): write `scheme: http` under "
                "`registries` if it speaks plain http"
            )
        cause = cause.__cause__ or cause.__context__
    return f"unreachable ({type(error).__name__})"


def _decoded(body: bytes, encoding: str) -> bytes:
    """The body without the compression that was asked not to be there, if it is. Raises RemoteError."""
    is_called_gzip = encoding.strip().lower() in {"gzip", "x-gzip"}
    if not (is_called_gzip and body.startswith(_GZIP_MAGIC)):
        return body
    # Unpacked only up to the limit: a few kilobytes may stand for gigabytes.
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(body, LARGEST_BODY)
    except zlib.error as error:
        raise bad_answer("its answer is not compressed as its headers say") from error
    if unpacker.unconsumed_tail:
        raise bad_answer(f"its answer is larger than {LARGEST_BODY} bytes")
    if not unpacker.eof:
        raise bad_answer("its answer is not compressed as its headers say")
    return content


def _system_trust() -> ssl.SSLContext:
    """The machine's certificate authorities, to which a company adds its own; certifi's if the machine has none."""
    paths = ssl.get_default_verify_paths()
    # The folder may be there and empty, as in images without the package ca-certificates.
    has_store = bool(
        paths.cafile or (paths.capath and any(Path(paths.capath).iterdir()))
    )
    return ssl.create_default_context() if has_store else httpx.create_ssl_context()
