"""Image registries: what does a tag point at, and which tags are there? One adapter for all that speak the protocol.

github.com/opencontainers/distribution-spec/blob/main/spec.md. What tags point at is never remembered, since tags move;
what a digest stands for is. What can't be told is Unknown, and never stops a rollout: a registry may be out of our
reach and within Azure's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import httpx
import structlog
from azure.core.credentials import TokenCredential

from shared import tracing
from shared.errors import RemoteError
from shared.image import ImageReference
from shared.time_limit import within
from worker.adapters.registry.answers import (
    SERVICE,
    absence,
    bad_answer,
    digest_of,
    told_digest,
)
from worker.adapters.registry.asking import Asking
from worker.adapters.registry.behind_digests import BehindDigests
from worker.adapters.registry.granting import Access, Granting
from worker.adapters.registry.listing import list_tags, recent_tags
from worker.adapters.registry.manifests import Contents
from worker.adapters.registry.pauses import Pauses
from worker.adapters.registry.wire import Resolve, Wire, addresses_of, why_unreachable
from worker.ports import Absent, Dated, Found, Lookup, Unknown

Returned = TypeVar("Returned")

LOOKUP_SECONDS, TAGS_SECONDS = 8.0, 120.0
_HEAD_IS_FINAL = frozenset({401, 429})
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
        self._wire = Wire(transport, resolve)
        self._asking = Asking(
            self._wire, Granting(self._wire, clock, credential or _no_identity), access
        )
        self._pauses = Pauses(clock)
        self._behind = BehindDigests(self._asking)

    def lookup(
        self, image: ImageReference, running: frozenset[str] = frozenset()
    ) -> Lookup:
        """What the image's digest, or else its tag, stands for. Raises nothing that a registry could cause.

        Where that is one of the `running` digests nothing more is asked: reading a manifest counts as a pull.
        """
        try:
            return self._in_time(
                image,
                LOOKUP_SECONDS,
                lambda deadline: self._look_up(image, running, deadline),
            )
        except RemoteError as error:
            return Unknown(f"{image.registry}: {error.message}")

    def tags(self, image: ImageReference) -> list[str]:
        """Every tag of the image's repository, in the registry's order.

        Raises RemoteError, also for a list that could not be read to its end: a part of it would pass for the whole.
        """
        return self._in_time(
            image,
            TAGS_SECONDS,
            lambda deadline: list_tags(self._asking, image, deadline),
        )

    def recent(self, image: ImageReference) -> list[Dated] | None:
        """The tags that were pushed last, newest first, by the registry's own interface; None if it has none for us.

        Raises RemoteError where it wants to be left alone.
        """
        try:
            return self._in_time(
                image,
                LOOKUP_SECONDS,
                lambda deadline: recent_tags(self._asking, image, deadline),
                "times",
            )
        except RemoteError as error:
            # A limit is told to the caller, who would otherwise go on to read the configs of many images, and those
            # count against the limit, too.
            if error.status == 429:
                raise
            log.info(
                "times of pushes not read", repository=image.name, why=error.message
            )
            return None

    def created(self, image: ImageReference) -> datetime | None:
        """When the image was made, by its config; None if that is not said. Raises RemoteError."""
        return self._in_time(
            image, LOOKUP_SECONDS, lambda deadline: self._created(image, deadline)
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._wire.close()

    def _in_time(
        self,
        image: ImageReference,
        seconds: float,
        ask: Callable[[float], Returned],
        interface: str = "",
    ) -> Returned:
        """What `ask` gives in time. The interfaces of one registry may have hosts and limits of their own."""
        place = image.registry, interface
        self._pauses.check(place)
        deadline = time.monotonic() + seconds
        try:
            # In a thread: no timeout of a socket covers the resolver, or a server that sends a byte a second.
            with tracing.call(
                "registry",
                {"server.address": image.registry, "aci_hooks.image": str(image)},
            ):
                return within(seconds, lambda: ask(deadline), SERVICE)
        except RemoteError as error:
            self._pauses.after(place, error)
            raise
        # UnicodeError: a label of the host's name is longer than IDNA allows.
        except (httpx.TransportError, TimeoutError, UnicodeError) as error:
            self._pauses.after_silence(place)
            why = why_unreachable(error)
            if isinstance(error, TimeoutError):
                why = f"unreachable (no answer within {seconds:g} s)"
            raise RemoteError(SERVICE, None, "Unreachable", why) from error

    def _look_up(
        self, image: ImageReference, running: frozenset[str], deadline: float
    ) -> Lookup:
        place = f"manifests/{image.digest or image.followed_tag}"
        told = self._head(image, place, deadline)
        if told and (known := self._behind.known(image, told)):
            return _found(image, told, known)
        # It runs already, so what is in it makes no difference, and reading its manifest would count as a pull.
        if told and told in running:
            return _found(image, told, Contents())
        try:
            answer = self._asking.ask("GET", image, place, "manifests", deadline)
            # After a HEAD that found it, a 404 is that of a proxy or of a cache, and no word of the registry.
            if answer.status == 404 and not told:
                return Absent(f"{image} is not in its registry ({absence(answer)})")
            digest = digest_of(answer, image.digest or "sha256:")
        except RemoteError as error:
            if not told:
                raise
            # The digest is known, and it is all that a rollout needs.
            self._pauses.after((image.registry, ""), error)
            log.info("manifest not read", image=str(image), why=error.message)
            return _found(image, told, Contents())
        # What a registry calls its manifest is what containers are pulled by; the rest of them names none.
        digest = told_digest(answer) or digest
        return _found(
            image, digest, self._behind.read(image, digest, answer.body, deadline)
        )

    def _head(self, image: ImageReference, place: str, deadline: float) -> str | None:
        """The digest by a request that transfers nothing and counts as no pull; None where a GET has to tell.

        Not every registry sends the header, a 404 may be that of a proxy in front of it, and some that redirect to a
        store refuse a HEAD there.
        """
        try:
            answer = self._asking.ask("HEAD", image, place, "manifests", deadline)
        except RemoteError as error:
            # A GET would be refused in the same way, and count against the limit once more.
            if error.status is None or error.status in _HEAD_IS_FINAL:
                raise
            return None
        return told_digest(answer) if answer.status == 200 else None

    def _created(self, image: ImageReference, deadline: float) -> datetime | None:
        found = self._look_up(image, frozenset(), deadline)
        if not isinstance(found, Found) or found.artifact:
            return None
        return self._behind.created(image, found.digest, deadline)


def _found(image: ImageReference, digest: str, contents: Contents) -> Found:
    if image.digest is not None:
        # Digests by different algorithms can't be compared; the one that was asked for stands then.
        is_comparable = image.digest.split(":")[0] == digest.split(":")[0]
        if is_comparable and image.digest != digest:
            raise bad_answer("it answered with an image other than the one requested")
        digest = image.digest
    return Found(digest, contents.platforms, contents.artifact, contents.built_for)


def _no_identity() -> TokenCredential:
    raise RemoteError(
        SERVICE, None, "Unauthorized", "the worker has no identity of its own here"
    )
