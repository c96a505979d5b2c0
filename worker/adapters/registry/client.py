"""Image registries: is the pushed image there, and what is its digest? One adapter for all that speak the protocol.

github.com/opencontainers/distribution-spec/blob/main/spec.md. Digests are never remembered, since tags move. What
can't be told is Unknown, and never stops a rollout: a registry may be out of our reach and within Azure's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypeVar

import httpx
import structlog

from shared.errors import RemoteError
from shared.image import ImageReference, InvalidImage, check_digest, check_tag
from shared.time_limit import within
from worker.adapters.registry.answers import SERVICE, Answer, absence, bad_answer, digest_of, json_object, refusal
from worker.adapters.registry.auth import (
    BASIC_LIFE,
    Authorisation,
    Authorisations,
    basic,
    challenge_of,
    read_token,
    token_url,
)
from worker.adapters.registry.urls import base_url, safe_url, same_origin
from worker.ports import Absent, Found, Lookup, Unknown

Result = TypeVar("Result")

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
LOOKUP_SECONDS, TAGS_SECONDS = 8.0, 30.0
PAUSE = 30.0
"""Seconds for which a registry that could not be reached is left alone."""
LARGEST_BODY = 4 * 1024 * 1024
"""Bytes: what the distribution specification asks every registry to take as a manifest."""
LARGEST_ERROR = 64 * 1024
MOST_TAGS, MOST_PAGES = 5000, 100
PAGE = 1000
"""Tags that a page may hold."""
REDIRECTS = 3
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
# A Link header (RFC 8288) that leads to the next page: </v2/acme/shop/tags/list?last=v9>; rel="next"
_NEXT = re.compile(r"""<([^<>\s]{1,2048})>[^<]*;\s*rel="?next\b""", re.IGNORECASE)
_KINDS = ("oci.image.index.v1", "docker.distribution.manifest.list.v2", "oci.image.manifest.v1")
_MANIFESTS = ", ".join(f"application/vnd.{kind}+json" for kind in (*_KINDS, "docker.distribution.manifest.v2"))
log = structlog.get_logger()


class Registry:
    """Every registry, for many threads at once. `credentials` gives a registry's user name and password, if any.

    A lookup takes at most LOOKUP_SECONDS, and no time at all within PAUSE seconds after its registry was found
    unreachable. `clock` counts seconds, `transport` takes the network's place in tests.
    """

    def __init__(
        self,
        credentials: Callable[[str], tuple[str, str] | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._credentials = credentials
        self._authorisations = Authorisations(clock)
        self._clock = clock
        self._paused: dict[str, float] = {}
        self._client = httpx.Client(
            transport=transport,
            mounts={"http://": None},  # plain http is for local hosts: no proxy of the environment gets to see it
            # The body's bytes are what a digest is of, so they must not be encoded; and cookies would pile up.
            headers={"Accept-Encoding": "identity", "User-Agent": "aci-hooks"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def lookup(self, image: ImageReference) -> Lookup:
        """Ask for the image's digest if it has one, else for its tag. Raises nothing that a registry could cause."""
        try:
            return self._in_time(image, LOOKUP_SECONDS, self._look_up)
        except RemoteError as error:
            return Unknown(f"{image.registry}: {error.message}")

    def tags(self, image: ImageReference) -> list[str]:
        """The tags of the image's repository, at most MOST_TAGS, in the registry's order. Raises RemoteError."""
        return self._in_time(image, TAGS_SECONDS, self._list_tags)

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def _in_time(self, image: ImageReference, seconds: float, ask: Callable[[ImageReference, float], Result]) -> Result:
        if self._clock() < self._paused.get(image.registry, 0.0):
            raise RemoteError(SERVICE, None, "Unreachable", "unreachable a moment ago, and left alone for a while")
        deadline = time.monotonic() + seconds
        try:
            # In a thread: no timeout of a socket covers the resolver, or a server that sends a byte a second.
            return within(seconds, lambda: ask(image, deadline), SERVICE)
        except (httpx.TransportError, TimeoutError, UnicodeError) as error:
            self._paused[image.registry] = self._clock() + PAUSE
            why = f"no answer within {seconds:g} s" if isinstance(error, TimeoutError) else type(error).__name__
            raise RemoteError(SERVICE, None, "Unreachable", f"unreachable ({why})") from error

    def _look_up(self, image: ImageReference, deadline: float) -> Lookup:
        path = f"manifests/{image.digest or image.followed_tag}"
        answer = self._ask("HEAD", image, path, deadline)
        digest = _checked(check_digest, answer.headers.get("Docker-Content-Digest"))
        if answer.status == 200 and digest:
            return _found(image, digest)
        # Not every registry sends the header, and a 404 may be that of a proxy in front of it: the body tells.
        answer = self._ask("GET", image, path, deadline)
        if answer.status == 404:
            return Absent(f"{image} is not in its registry ({absence(answer)})")
        return _found(image, digest_of(answer, image.digest or "sha256:"))

    def _list_tags(self, image: ImageReference, deadline: float) -> list[str]:
        tags: list[str] = []
        path = f"tags/list?n={PAGE}"
        for _ in range(MOST_PAGES):
            answer = self._ask("GET", image, path, deadline)
            if answer.status == 404:
                raise refusal(answer)
            tags += _tags_in(answer)
            next_page = _NEXT.search(answer.headers.get("Link", ""))
            if next_page is None and len(tags) <= MOST_TAGS:
                return tags
            if next_page is None or len(tags) > MOST_TAGS:
                break
            path = next_page[1]
        log.warning("too many tags, the rest is not looked at", repository=image.name, tags=len(tags))
        return tags[:MOST_TAGS]

    def _ask(self, method: str, image: ImageReference, path: str, deadline: float) -> Answer:
        """A 200 or 404, authorised as far as the registry wanted it; raises RemoteError or httpx.TransportError."""
        base = base_url(image)
        url = safe_url(path, base, local=base.scheme == "http")
        if not same_origin(url, base):
            raise bad_answer("it sends us to another host for its next page")
        granted = self._authorisations.get((image.registry, image.repository))
        answer = self._follow(method, url, granted, deadline)
        is_own_challenge = answer.status == 401 and same_origin(answer.url, url)
        if is_own_challenge:  # and not that of a server that we were redirected to
            granted = self._authorise(image, answer, deadline)
            answer = self._follow(method, url, granted, deadline)
        if answer.status not in {200, 404}:
            raise refusal(answer)
        return answer

    def _authorise(self, image: ImageReference, answer: Answer, deadline: float) -> Authorisation:
        """Meet the challenge in `answer`, with our credentials if there are any; raises RemoteError."""
        challenge = challenge_of(answer)
        credentials = self._credentials(image.registry)
        ours = Authorisation(basic(*credentials), anonymous=False) if credentials else Authorisation()
        if challenge.scheme == "basic":
            granted, seconds = ours, BASIC_LIFE
        else:
            # Strangers get a token too, for what is public.
            url = token_url(challenge, image, local=answer.url.scheme == "http")
            token_answer = self._send("GET", url, ours, deadline)
            if token_answer.status != 200:
                raise refusal(token_answer)
            token, seconds = read_token(token_answer.body)
            granted = replace(ours, header=f"Bearer {token}")
        self._authorisations.keep((image.registry, image.repository), granted, seconds)
        return granted

    def _follow(self, method: str, url: httpx.URL, granted: Authorisation, deadline: float) -> Answer:
        """Send, and follow redirects; the authorisation stays with the origin that it was granted by."""
        here = url
        for _ in range(REDIRECTS + 1):
            shown = granted if same_origin(here, url) else Authorisation()
            answer = self._send(method, here, shown, deadline)
            location = answer.headers.get("Location")
            if location is None or answer.status not in _REDIRECTED:
                # By how the registry was asked: a host that it redirects to is shown no credentials in any case.
                return replace(answer, anonymous=granted.anonymous)
            here = safe_url(location, here, local=url.scheme == "http")
        raise bad_answer("it redirects again and again")

    def _send(self, method: str, url: httpx.URL, granted: Authorisation, deadline: float) -> Answer:
        headers = {"Accept": _MANIFESTS} if "/manifests/" in url.path else {}
        if granted.header:
            headers["Authorization"] = granted.header
        request = self._client.build_request(method, url, headers=headers)
        try:
            answer = self._exchange(request, deadline)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            # Most likely a kept connection that the server has closed meanwhile.
            answer = self._exchange(request, deadline)
        return replace(answer, anonymous=granted.anonymous)

    def _exchange(self, request: httpx.Request, deadline: float) -> Answer:
        """Send one request and read its answer whole; raises TimeoutError past the deadline."""
        left = max(deadline - time.monotonic(), 0.01)
        timeout = httpx.Timeout(min(READ_SECONDS, left), connect=min(CONNECT_SECONDS, left))
        request.extensions["timeout"] = timeout.as_dict()
        response = self._client.send(request, stream=True)
        limit = LARGEST_BODY if response.status_code == 200 else LARGEST_ERROR
        body = bytearray()
        try:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit:
                    raise bad_answer(f"its answer is larger than {limit} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError
        finally:
            response.close()
        return Answer(request.url, response.status_code, response.headers, bytes(body))


def _found(image: ImageReference, digest: str) -> Found:
    if image.digest is None:
        return Found(digest)
    # Digests by different algorithms can't be compared; the one that was asked for stands then.
    is_comparable = image.digest.split(":")[0] == digest.split(":")[0]
    if is_comparable and image.digest != digest:
        raise bad_answer("it answered with another image than the one asked for")
    return Found(image.digest)


def _checked(check: Callable[[str], str], value: object) -> str | None:
    """The value as `check` gives it back; None if it is not a text, or one that `check` refuses."""
    if not isinstance(value, str):
        return None
    try:
        return check(value)
    except InvalidImage:
        return None


def _tags_in(answer: Answer) -> list[str]:
    tags = json_object(answer.body).get("tags")
    if not isinstance(tags, list):
        return []
    return [tag for tag in tags if _checked(check_tag, tag)]
