"""One request to a registry, authorised as far as it wants that."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from shared.image import ImageReference
from worker.adapters.registry.answers import Answer, refusal
from worker.adapters.registry.auth import Authorisation
from worker.adapters.registry.granting import Access, Granting, Kind
from worker.adapters.registry.urls import base_url, same_origin
from worker.adapters.registry.wire import Wire


class Asking:
    """Asks registries, for many threads at once. `access` says how to ask for an image's repository."""

    def __init__(
        self, wire: Wire, granting: Granting, access: Callable[[ImageReference], Access]
    ) -> None:
        self._wire = wire
        self._granting = granting
        self._access = access

    def access(self, image: ImageReference) -> Access:
        """How its repository is to be asked."""
        return self._access(image)

    def ask(
        self, method: str, image: ImageReference, path: str, kind: Kind, deadline: float
    ) -> Answer:
        """A 200 or 404 for a path below the repository's URL, or below the registry's if it begins with a slash.

        Raises RemoteError or httpx.TransportError.
        """
        access = self._access(image)
        url = base_url(image, access.scheme).join(path)
        answer = self._wire.follow(
            method, url, self._granting.remembered(image, kind), deadline
        )
        # What is remembered may have run out or been withdrawn, so a 401 is met once more with a new authorisation.
        is_own_challenge = answer.status == 401 and same_origin(answer.url, url)
        if is_own_challenge:  # and not that of a server that we were redirected to
            granted = self._granting.authorise(image, kind, access, answer, deadline)
            answer = self._wire.follow(method, url, granted, deadline)
        # 404 is an answer and no error here: the callers differ in what it means.
        if answer.status not in {200, 404}:
            raise refusal(answer)
        return answer

    def ask_stranger(self, url: httpx.URL, deadline: float) -> Answer:
        """A GET without any authorisation, of a URL that is ours and not the registry's choice."""
        return self._wire.follow("GET", url, Authorisation(), deadline)
