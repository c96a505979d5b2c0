"""What a secret may say: which registries a sender speaks for, and which images a secret is limited to. Pure.

A webhook can say anything, and whoever holds one sender's secret is not thereby to be believed about the images of
another one. A registry of a cloud has a sender of its own. The other senders are hosted by their users, and may name
any other host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ingress.authentication import Bearer, Hmac, Oidc, Scheme, Secrets, UrlToken
from ingress.delivery import Delivery
from shared.errors import RemoteError
from shared.image import check_registry
from shared.push import Push

FOR_EVERY_SENDER: tuple[Scheme, ...] = (UrlToken(), Bearer())
"""What a token is accepted as, whoever sends."""

_ANY_HOST = "generic"
"""The sender whose requests people write themselves, for whatever registry they use."""
_OF_A_CLOUD: Mapping[str, tuple[str, ...]] = {
    "dockerhub": ("docker.io", "*.docker.io", "*.docker.com"),
    "ghcr": ("ghcr.io", "docker.pkg.github.com"),
    "quay": ("quay.io",),
    "gitlab": ("registry.gitlab.com",),
    "acr": ("*.azurecr.*",),
    "gcr": ("gcr.io", "*.gcr.io", "*.pkg.dev"),
    "ecr": ("*.dkr.ecr.*", "*.dkr-ecr.*", "public.ecr.aws"),
}
_IN_CLOUDS_ONLY = frozenset({"dockerhub", "acr", "gcr", "ecr"})
"""Senders that nobody can host: they name no other registries than those."""


@dataclass(frozen=True)
class ImageGlob:
    """A glob over `registry/repository`: `*` and `?` stay between two slashes, `**` crosses them."""

    text: str

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
        pieces = re.split(r"(\*\*|\*|\?)", self.text)
        return re.compile("".join(parts.get(piece) or re.escape(piece) for piece in pieces))

    def matches(self, name: str) -> bool:
        """Does it match all of the name?"""
        return bool(self._pattern.fullmatch(name))


_CLOUDS = {sender: tuple(ImageGlob(glob) for glob in globs) for sender, globs in _OF_A_CLOUD.items()}


def speaker_for(registry: str) -> str | None:
    """The sender that a registry of a cloud is spoken for by; None for a registry that somebody hosts."""
    # Another port of the same host is no other registry.
    host = check_registry(registry.rpartition(":")[0] if re.search(r":\d+\Z", registry) else registry)
    return next((sender for sender, globs in _CLOUDS.items() if any(glob.matches(host) for glob in globs)), None)


def why_not(sender: str, registry: str) -> str | None:
    """Why the sender can't speak for the registry, whatever its secret; None if it can."""
    speaker = speaker_for(registry)
    if sender in {speaker, _ANY_HOST}:
        return None
    if speaker:
        return f"{registry} is spoken for by {speaker} and {_ANY_HOST} alone, not by {sender}"
    if sender in _IN_CLOUDS_ONLY:
        return f"{registry} is none of {sender}'s registries ({', '.join(_OF_A_CLOUD[sender])})"
    return None


@dataclass(frozen=True)
class LimitedSecrets:
    """An entry of the receivers file: what these secrets may say, and whether the sender's own proof must be used."""

    secrets: tuple[bytes, ...]
    images: tuple[ImageGlob, ...] | None = None
    own_proof_only: bool = False


@dataclass(frozen=True)
class Authority:
    """Secrets of one sender and what they may say: `images`, or else whatever the sender may.

    `tokens` are accepted in the URL or as bearer, `keys` by the sender's own schemes, `accepts`.
    """

    tokens: Secrets = ()
    keys: Secrets = ()
    accepts: tuple[Scheme, ...] = ()
    images: tuple[ImageGlob, ...] | None = None

    def may_be_used(self, head: Delivery) -> bool:
        """Could the delivery be proven, by what its head shows?"""
        by_token = [scheme.may_prove(head, self.tokens) for scheme in FOR_EVERY_SENDER]
        by_own = [scheme.may_prove(head, self.keys) for scheme in self.accepts]
        return any(by_token + by_own)

    def is_token_in(self, delivery: Delivery) -> bool:
        """Is the delivery proven by a token?"""
        proofs = [scheme.proves(delivery, self.tokens) for scheme in FOR_EVERY_SENDER]
        return any(proofs)

    def is_key_of(self, delivery: Delivery) -> bool:
        """Is the delivery proven by the sender's own proof? Raises RemoteError if that needs a key that is away."""
        proofs = [scheme.proves(delivery, self.keys) for scheme in self.accepts]
        return any(proofs)

    def covers(self, push: Push) -> bool:
        """Is the push's image among those that these secrets are limited to?"""
        name = f"{push.registry}/{push.repository}"
        return self.images is None or any(glob.matches(name) for glob in self.images)


@dataclass(frozen=True)
class Standing:
    """The authorities that a delivery was proven by: those with the sender's own proof, and those with a token."""

    own: tuple[Authority, ...]
    token: tuple[Authority, ...]

    def proof_of(self, push: Push) -> Literal["own", "token"] | None:
        """How far the push is proven, None if it is outside of what these secrets may say."""
        if any(authority.covers(push) for authority in self.own):
            return "own"
        return "token" if any(authority.covers(push) for authority in self.token) else None

    def signature(self, delivery: Delivery) -> bytes | None:
        """The signature of the delivery's bytes, if it was proven by one."""
        schemes = {scheme for authority in self.own for scheme in authority.accepts if isinstance(scheme, Hmac)}
        keys = [key for authority in self.own for key in authority.keys]
        signed = [scheme.signature(delivery) for scheme in schemes if scheme.proves(delivery, keys)]
        return next(iter(signed), None)


def standing_of(delivery: Delivery, authorities: Sequence[Authority]) -> Standing | None:
    """What proves the delivery, None if nothing does; raises RemoteError if that can't be found out now."""
    by_token = tuple(authority for authority in authorities if authority.is_token_in(delivery))
    try:
        by_own = tuple(authority for authority in authorities if authority.is_key_of(delivery))
    except RemoteError:
        if not by_token:
            raise
        by_own = ()
    return Standing(by_own, by_token) if by_own or by_token else None


def authorities_of(
    accepts: tuple[Scheme, ...], tokens: Secrets, keys: Secrets, limited: Sequence[LimitedSecrets]
) -> tuple[Authority, ...]:
    """Everything that may prove a delivery of one sender: its entries in the receivers file, then the settings.

    A secret that the file names says what the file lets it say and no more, wherever else it is set. The same holds for
    a proof without a secret of ours, such as Google's signature, once the file has an entry for the sender.
    """
    named = {secret for entry in limited for secret in entry.secrets}
    by_file = tuple(
        Authority(
            tokens=() if entry.own_proof_only else entry.secrets,
            keys=entry.secrets,
            accepts=accepts,
            images=entry.images,
        )
        for entry in limited
    )
    # The tokens that all senders share prove nothing of a sender that is to prove itself.
    own_proof_only = any(entry.own_proof_only for entry in limited)
    needs_keys = tuple(scheme for scheme in accepts if not isinstance(scheme, Oidc))
    by_settings = Authority(
        tokens=() if own_proof_only else tuple(token for token in tokens if token not in named),
        keys=tuple(key for key in keys if key not in named),
        accepts=needs_keys if limited else accepts,
    )
    return (*by_file, by_settings)
