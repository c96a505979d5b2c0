"""Image registries: what does a tag point at, and which tags are there? One adapter for all that speak the protocol.

github.com/opencontainers/distribution-spec/blob/main/spec.md. What tags point at is never remembered, since tags move;
what a digest stands for is. What can't be told is Unknown, and never stops a rollout: a registry may be out of our
reach and within Azure's.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import httpx
import structlog
from azure.core.credentials import TokenCredential

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.time_limit import within
from worker.adapters.registry.answers import SERVICE, Answer, absence, bad_answer, digest_of, refusal, told_digest
from worker.adapters.registry.granting import Access, Granting, Kind
from worker.adapters.registry.manifests import Contents, contents_of
from worker.adapters.registry.pages import next_query, tags_in
from worker.adapters.registry.urls import base_url, same_origin
from worker.adapters.registry.wire import Resolve, Wire, addresses_of, why_unreachable
from worker.ports import Absent, Found, Lookup, Unknown

Result = TypeVar("Result")

LOOKUP_SECONDS, TAGS_SECONDS = 8.0, 120.0
PAUSE = 30.0
"""Seconds for which a registry that could not be reached is left alone."""
MOST_TAGS, MOST_PAGES = 200_000, 5_000
"""More than any repository has: of the official ones of Docker Hub the largest has 18,096 tags."""
PAGE_SIZES = (1000, 100, None)
"""Tags that a page may hold; the next one is asked for where a registry refuses it."""
CONTENTS_KEPT = 4096
_HEAD_IS_FINAL = frozenset({401, 429})
_SIZE_REFUSED = frozenset({400, 405, 406, 413, 414, 416, 422, 500, 501})
log = structlog.get_logger()


class Registry:
    """Every registry, for many threads at once. `access` says how to ask for an image's repository.

    A lookup takes at most LOOKUP_SECONDS, and no time at all within PAUSE seconds after its registry was found
    unreachable, or while it wants to be left alone. `credential` is the worker's own identity, `clock` counts seconds,
    `transport` and `resolve` take the network's place in tests.
    """

    def __init__(
        self,
        access: Callable[[ImageReference], Access],
        credential: Callable[[], TokenCredential] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
        resolve: Resolve = addresses_of,
    ) -> None:
        self._access = access
        self._clock = clock
        self._wire = Wire(transport, resolve)
        self._granting = Granting(self._wire, clock, credential or _no_identity)
        self._pauses: dict[str, tuple[float, str]] = {}
        self._contents: OrderedDict[tuple[str, str], Contents] = OrderedDict()
        self._lock = threading.Lock()

    def lookup(self, image: ImageReference, running: frozenset[str] = frozenset()) -> Lookup:
        """What the image's digest, or else its tag, stands for. Raises nothing that a registry could cause.

        Where that is one of the `running` digests nothing more is asked: reading a manifest counts as a pull.
        """
        try:
            return self._in_time(image, LOOKUP_SECONDS, lambda deadline: self._look_up(image, running, deadline))
        except RemoteError as error:
            return Unknown(f"{image.registry}: {error.message}")

    def tags(self, image: ImageReference) -> list[str]:
        """Every tag of the image's repository, in the registry's order.

        Raises RemoteError, also for a list that could not be read to its end: a part of it would pass for the whole.
        """
        return self._in_time(image, TAGS_SECONDS, lambda deadline: self._list_tags(image, deadline))

    def close(self) -> None:
        """Close the kept connections."""
        self._wire.close()

    def _in_time(self, image: ImageReference, seconds: float, ask: Callable[[float], Result]) -> Result:
        until, why = self._pauses.get(image.registry, (0.0, ""))
        if self._clock() < until:
            raise RemoteError(SERVICE, None, "Unreachable", f"{why} a moment ago, and left alone for a while")
        deadline = time.monotonic() + seconds
        try:
            # In a thread: no timeout of a socket covers the resolver, or a server that sends a byte a second.
            return within(seconds, lambda: ask(deadline), SERVICE)
        except RemoteError as error:
            self._leave_alone(image.registry, error)
            raise
        except (httpx.TransportError, TimeoutError, UnicodeError) as error:
            self._pauses[image.registry] = self._clock() + PAUSE, "unreachable"
            late = isinstance(error, TimeoutError)
            why = f"unreachable (no answer within {seconds:g} s)" if late else why_unreachable(error)
            raise RemoteError(SERVICE, None, "Unreachable", why) from error

    def _leave_alone(self, registry: str, error: RemoteError) -> None:
        """Pause as long as a registry asks for: whoever goes on asking is let in later still."""
        wants_pause = error.status == 429 or (error.status == 503 and error.retry_after is not None)
        if wants_pause:
            pause = PAUSE if error.retry_after is None else error.retry_after
            self._pauses[registry] = self._clock() + pause, error.message

    def _look_up(self, image: ImageReference, running: frozenset[str], deadline: float) -> Lookup:
        place = f"manifests/{image.digest or image.followed_tag}"
        told = self._head(image, place, deadline)
        if told and (known := self._known(image, told)):
            return _found(image, told, known)
        if told and told in running:
            return _found(image, told, Contents())
        try:
            answer = self._ask("GET", image, place, "manifests", deadline)
            if answer.status == 404 and not told:
                return Absent(f"{image} is not in its registry ({absence(answer)})")
            digest = digest_of(answer, image.digest or "sha256:")
        except RemoteError as error:
            if not told:
                raise
            self._leave_alone(image.registry, error)
            log.info("manifest not read", image=str(image), why=error.message)
            return _found(image, told, Contents())
        # What a registry calls its manifest is what containers are pulled by; the rest of them names none.
        digest = told_digest(answer) or digest
        return _found(image, digest, self._read(image, digest, answer.body, deadline))

    def _head(self, image: ImageReference, place: str, deadline: float) -> str | None:
        """The digest by a request that transfers nothing and counts as no pull; None where a GET has to tell.

        Not every registry sends the header, a 404 may be that of a proxy in front of it, and some that redirect to a
        store refuse a HEAD there.
        """
        try:
            answer = self._ask("HEAD", image, place, "manifests", deadline)
        except RemoteError as error:
            if error.status is None or error.status in _HEAD_IS_FINAL:
                raise
            return None
        return told_digest(answer) if answer.status == 200 else None

    def _read(self, image: ImageReference, digest: str, body: bytes, deadline: float) -> Contents:
        """What is behind a digest, remembered: it never changes."""
        contents = contents_of(body)
        if contents.child:
            answer = self._ask("GET", image, f"manifests/{contents.child}", "manifests", deadline)
            if answer.status != 200:
                return contents
            contents = Contents(contents.platforms, contents_of(answer.body).artifact)
        with self._lock:
            self._contents[image.name, digest] = contents
            while len(self._contents) > CONTENTS_KEPT:
                self._contents.popitem(last=False)
        return contents

    def _known(self, image: ImageReference, digest: str) -> Contents | None:
        with self._lock:
            return self._contents.get((image.name, digest))

    def _list_tags(self, image: ImageReference, deadline: float) -> list[str]:
        tags: dict[str, None] = {}
        answer, size = self._first_page(image, deadline)
        asked: set[str] = set()
        for _ in range(MOST_PAGES):
            page = tags_in(answer)
            grown = len(tags)
            tags.update(dict.fromkeys(page))
            query = next_query(answer, size, page)
            was_link = "Link" in answer.headers
            if query is None or (not was_link and len(tags) == grown):
                return list(tags)
            if query in asked:
                raise _not_whole("its pages form a loop", len(tags))
            if len(tags) > MOST_TAGS:
                break
            asked.add(query)
            answer = self._ask("GET", image, f"tags/list?{query}", "tags", deadline)
            if answer.status != 200:
                raise _not_whole("a page of it is missing", len(tags))
        raise _not_whole("it does not end", len(tags))

    def _first_page(self, image: ImageReference, deadline: float) -> tuple[Answer, int | None]:
        for size in PAGE_SIZES:
            try:
                answer = self._ask("GET", image, f"tags/list?n={size}" if size else "tags/list", "tags", deadline)
            except RemoteError as error:
                if size is None or error.status not in _SIZE_REFUSED:
                    raise
                continue
            if answer.status == 404:
                raise refusal(answer)
            return answer, size
        raise AssertionError("the last size is none, and raises")

    def _ask(self, method: str, image: ImageReference, path: str, kind: Kind, deadline: float) -> Answer:
        """A 200 or 404, authorised as far as the registry wanted it; raises RemoteError or httpx.TransportError."""
        access = self._access(image)
        url = base_url(image, access.scheme).join(path)
        answer = self._wire.follow(method, url, self._granting.remembered(image, kind), deadline)
        is_own_challenge = answer.status == 401 and same_origin(answer.url, url)
        if is_own_challenge:  # and not that of a server that we were redirected to
            granted = self._granting.authorise(image, kind, access, answer, deadline)
            answer = self._wire.follow(method, url, granted, deadline)
        if answer.status not in {200, 404}:
            raise refusal(answer)
        return answer


def _found(image: ImageReference, digest: str, contents: Contents) -> Found:
    if image.digest is not None:
        # Digests by different algorithms can't be compared; the one that was asked for stands then.
        is_comparable = image.digest.split(":")[0] == digest.split(":")[0]
        if is_comparable and image.digest != digest:
            raise bad_answer("it answered with another image than the one asked for")
        digest = image.digest
    return Found(digest, contents.platforms, contents.artifact)


def _not_whole(why: str, read: int) -> RemoteError:
    return RemoteError(SERVICE, None, "BadGateway", f"its list of tags could not be read whole, as {why}: {read} read")


def _no_identity() -> TokenCredential:
    raise RemoteError(SERVICE, None, "Unauthorized", "the worker has no identity of its own here")
