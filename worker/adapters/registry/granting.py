"""Meeting a registry's challenge: with its credentials, with the worker's own identity, or as a stranger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import httpx
import structlog
from azure.core.credentials import TokenCredential

from shared.azure_errors import translated
from shared.errors import RemoteError
from shared.image import ImageReference
from shared.local_hosts import is_local
from worker.adapters.registry.answers import (
    SERVICE,
    Answer,
    bad_answer,
    json_object,
    refusal,
)
from worker.adapters.registry.auth import (
    BASIC_LIFE,
    LONGEST_LIFE,
    Authorisation,
    Authorisations,
    Challenge,
    basic,
    challenge_of,
    read_token,
    scopes_of,
    token_url,
)
from worker.adapters.registry.urls import is_own_realm
from worker.adapters.registry.wire import Wire

ENTRA_SCOPE = "https://containerregistry.azure.net/.default"
"""Whom the worker's token is for: Azure Container Registry alone, in every cloud. Registries may refuse those for Azure
Resource Manager: learn.microsoft.com/azure/container-registry/container-registry-disable-authentication-as-arm."""
NO_IDENTITY = 120.0
"""Seconds for which no identity is looked for again where there was none: azure-identity takes its time to find out."""

Kind = Literal["manifests", "tags", "times"]
"""What is asked for: registries grant each on its own."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Access:
    """How a repository's registry is to be asked, by the targets file.

    `login` reads the user name and the password; `identity`: the worker's own identity is shown instead, and with
    "default" only where it is let in. `scheme` None: as its host suggests. `realms`: see RegistryEntry. `platforms`: it
    is of interest what an image is built for, which takes a request more.
    """

    login: Callable[[], tuple[str, str] | None] = lambda: None
    identity: Literal["always", "default", "never"] = "never"
    scheme: str | None = None
    realms: tuple[str, ...] = ()
    platforms: bool = False


class Granting:
    """Gets authorisations and remembers them, for many threads at once. `credential` is the worker's own."""

    def __init__(
        self,
        wire: Wire,
        clock: Callable[[], float],
        credential: Callable[[], TokenCredential],
    ) -> None:
        self._wire = wire
        self._credential = credential
        self._granted = Authorisations(clock)

    def remembered(self, image: ImageReference, kind: Kind) -> Authorisation:
        """What was granted for this repository; nothing at all if there is nothing fresh."""
        return self._granted.get((image.registry, image.repository, kind))

    def authorise(
        self,
        image: ImageReference,
        kind: Kind,
        access: Access,
        answer: Answer,
        deadline: float,
    ) -> Authorisation:
        """Meet the challenge in `answer`, with what there is. Raises RemoteError."""
        login = access.login()
        ours = (
            Authorisation(basic(*login), anonymous=False) if login else Authorisation()
        )
        challenge = challenge_of(answer)
        # Nothing is exchanged under Basic: the user name and the password themselves go along with each request.
        if challenge.scheme == "basic":
            granted, seconds = ours, BASIC_LIFE
        else:
            if access.identity != "never":
                ours = self._identity(image, access, challenge, answer.url, deadline)
            granted, seconds = self._token(
                image, access, challenge, ours, answer.url, deadline
            )
        self._granted.keep((image.registry, image.repository, kind), granted, seconds)
        return granted

    def _token(
        self,
        image: ImageReference,
        access: Access,
        challenge: Challenge,
        ours: Authorisation,
        registry: httpx.URL,
        deadline: float,
    ) -> tuple[Authorisation, float]:
        """A token for the challenge, and the seconds that it lives. Strangers get one too, for what is public."""
        url = token_url(challenge, image, registry)
        self._wire.insist_on_reach(registry, url)
        # The challenge is whatever the registry's answer says. Without this check, it could have the credentials sent
        # to any server of its choice.
        may_see_ours = ours.anonymous or is_own_realm(
            url.host, registry.host, access.realms
        )
        if not may_see_ours:
            ours = Authorisation(why_anonymous=_kept_back(url.host, image.registry))
        # Azure's token server takes its refresh token in a form, any other the credentials in a header.
        if ours.header and access.identity != "never":
            form = {
                "grant_type": "refresh_token",
                "service": _service(challenge, registry),
                "scope": " ".join(scopes_of(challenge, image)),
                "refresh_token": ours.header,
            }
            answer = self._wire.send(
                "POST", url.copy_with(query=None), Authorisation(), deadline, form
            )
        else:
            answer = self._wire.follow("GET", url, ours, deadline)
        if answer.status != 200:
            raise refusal(
                replace(
                    answer, anonymous=ours.anonymous, why_anonymous=ours.why_anonymous
                )
            )
        token, seconds = read_token(answer.body)
        return replace(ours, header=f"Bearer {token}"), seconds

    def _identity(
        self,
        image: ImageReference,
        access: Access,
        challenge: Challenge,
        registry: httpx.URL,
        deadline: float,
    ) -> Authorisation:
        """The registry's refresh token for the worker's identity, as `header`; none for a stranger, if that may do.

        https://azure.github.io/acr/AAD-OAuth.html. Raises RemoteError.
        """
        key = (image.registry, "identity")
        # Kept for the registry as a whole, because its refresh token is good for every repository.
        if remembered := self._granted.find(key):
            return remembered
        try:
            granted, seconds = (
                self._exchanged(challenge, image, registry, deadline),
                LONGEST_LIFE,
            )
        except RemoteError as error:
            # An outage says nothing about the identity's role. So nobody asks as a stranger for a while because of one.
            is_passing = error.status == 429 or (error.status or 0) >= 500
            if access.identity == "always" or is_passing:
                raise
            # Nobody has said that this identity may pull here, and the registry may be open to strangers.
            log.info("asking anonymously", registry=image.registry, why=error.message)
            granted, seconds = (
                Authorisation(why_anonymous=f"private, and {error.message}"),
                NO_IDENTITY,
            )
        self._granted.keep(key, granted, seconds)
        return granted

    def _exchanged(
        self,
        challenge: Challenge,
        image: ImageReference,
        registry: httpx.URL,
        deadline: float,
    ) -> Authorisation:
        url = token_url(challenge, image, registry)
        # Never to where a challenge leads: whoever gets this token may pull whatever the worker may.
        is_in_the_clear = registry.scheme == "http" and not is_local(registry.host)
        if url.host != registry.host or is_in_the_clear:
            raise bad_answer(
                "the worker's own identity is not sent to another host or over plain http"
            )
        exchange = url.copy_with(path="/oauth2/exchange", query=None)
        form = {
            "grant_type": "access_token",
            "service": _service(challenge, registry),
            "access_token": self._entra_token(),
        }
        answer = self._wire.send("POST", exchange, Authorisation(), deadline, form)
        if answer.status in {400, 401, 403}:
            what = "the worker's own identity has no access; assign it the role AcrPull on this registry"
            raise RemoteError(SERVICE, answer.status, "Unauthorized", what)
        if answer.status != 200:
            raise refusal(answer)
        token = json_object(answer.body).get("refresh_token")
        if not isinstance(token, str) or not token:
            raise bad_answer("its answer to the worker's identity contains no token")
        return Authorisation(token, anonymous=False)

    def _entra_token(self) -> str:
        try:
            with translated(SERVICE):
                return self._credential().get_token(ENTRA_SCOPE).token
        except RemoteError as error:
            what = f"the worker's own identity got no token for it: {error.message}"
            raise RemoteError(SERVICE, None, "Unauthorized", what) from error


def _service(challenge: Challenge, registry: httpx.URL) -> str:
    return challenge.parameters.get("service") or registry.host


def _kept_back(realm: str, registry: str) -> str:
    return (
        f"private, and its credentials were not sent to its token server {realm[:100]}, which is in another domain: "
        f"list that host under `realms` of {registry} if you trust it"
    )
