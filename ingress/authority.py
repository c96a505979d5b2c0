"""What a secret may report: which registries a sender may name, and which images a secret is limited to. Pure.

A webhook can say anything. Whoever has one sender's secret must not be believed about the images of
another. A cloud's registry has a sender of its own. The other senders are hosted by their users, and may name
any other host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ingress.authentication import AcceptedSecrets, Bearer, Hmac, Oidc, Scheme, UrlToken
from ingress.delivery import Delivery
from shared.errors import RemoteError
from shared.globs import glob_pattern
from shared.image import check_registry
from shared.push import Push

FOR_EVERY_SENDER: tuple[Scheme, ...] = (UrlToken(), Bearer())
"""The ways in which a token is accepted, whatever the sender."""

_ANY_HOST = "generic"
"""The sender whose requests users write themselves, for any registry."""
_OF_A_CLOUD: Mapping[str, tuple[str, ...]] = {
    "dockerhub": ("docker.io", "*.docker.io", "*.docker.com"),
    "ghcr": ("ghcr.io", "docker.pkg.github.com"),
    "quay": ("quay.io",),
    "gitlab": ("registry.gitlab.com",),
    "acr": ("*.azurecr.*",),
    "gcr": ("gcr.io", "*.gcr.io", "*.pkg.dev"),
    "ecr": ("*.dkr.ecr.*", "*.dkr-ecr.*", "public.ecr.aws"),
}
# Some globs end in `*`, as other partitions of a cloud have other domains, such as azurecr.cn and amazonaws.com.cn.
_IN_CLOUDS_ONLY = frozenset({"dockerhub", "acr", "gcr", "ecr"})
"""Senders that users can't host: they may name only these registries."""


@dataclass(frozen=True)
class ImageGlob:
    """A glob over `registry/repository`: `*` and `?` don't match slashes, `**` does."""

    text: str

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return glob_pattern(self.text)

    def matches(self, name: str) -> bool:
        """Whether it matches the whole name."""
        return bool(self._pattern.fullmatch(name))


_CLOUDS = {
    sender: tuple(ImageGlob(glob) for glob in globs)
    for sender, globs in _OF_A_CLOUD.items()
}


def speaker_for(registry: str) -> str | None:
    """The only sender that may name this registry of a cloud; None for a registry that users host."""
    # Another port of the same host is not another registry: ghcr.io:8443 must not open GitHub's name to any sender.
    host = check_registry(re.sub(r":\d+\Z", "", registry))
    for sender, globs in _CLOUDS.items():
        if any(glob.matches(host) for glob in globs):
            return sender
    return None


def why_not(sender: str, registry: str) -> str | None:
    """Why the sender can't name this registry, whatever its secret; None if it can."""
    speaker = speaker_for(registry)
    if sender in {speaker, _ANY_HOST}:
        return None
    if speaker:
        return f"only {speaker} and {_ANY_HOST} may report images of {registry}, not {sender}"
    if sender in _IN_CLOUDS_ONLY:
        return f"{registry} is not one of {sender}'s registries ({', '.join(_OF_A_CLOUD[sender])})"
    return None


@dataclass(frozen=True)
class LimitedSecrets:
    """An entry of the receivers file: what these secrets may report, and whether the sender's own proof is required."""

    secrets: tuple[bytes, ...]
    images: tuple[ImageGlob, ...] | None = None
    own_proof_only: bool = False


@dataclass(frozen=True)
class Authority:
    """Secrets of one sender and what they may report: `images`, or else whatever the sender may report.

    `tokens` are accepted in the URL or as bearer, `keys` by the sender's own schemes, `accepts`.
    """

    tokens: AcceptedSecrets = ()
    keys: AcceptedSecrets = ()
    accepts: tuple[Scheme, ...] = ()
    images: tuple[ImageGlob, ...] | None = None

    def may_be_used(self, head: Delivery) -> bool:
        """Whether the head may prove the delivery."""
        # Lists, here and below: any() over a generator stops at the first match, and its time would show which it was.
        by_token = [scheme.may_prove(head, self.tokens) for scheme in FOR_EVERY_SENDER]
        by_own = [scheme.may_prove(head, self.keys) for scheme in self.accepts]
        return any(by_token + by_own)

    def is_token_in(self, delivery: Delivery) -> bool:
        """Whether a token proves the delivery."""
        proofs = [scheme.proves(delivery, self.tokens) for scheme in FOR_EVERY_SENDER]
        return any(proofs)

    def is_key_of(self, delivery: Delivery) -> bool:
        """Whether the sender's own proof proves the delivery. Raises RemoteError if that needs an unavailable key."""
        proofs = [scheme.proves(delivery, self.keys) for scheme in self.accepts]
        return any(proofs)

    def covers(self, push: Push) -> bool:
        """Whether the push's image is among those that these secrets are limited to."""
        name = f"{push.registry}/{push.repository}"
        return self.images is None or any(glob.matches(name) for glob in self.images)


@dataclass(frozen=True)
class Standing:
    """The authorities that a delivery was proven by: those with the sender's own proof, and those with a token."""

    own: tuple[Authority, ...]
    token: tuple[Authority, ...]

    def proof_of(self, push: Push) -> Literal["own", "token"] | None:
        """How far the push is proven, None if these secrets may not report it."""
        if any(authority.covers(push) for authority in self.own):
            return "own"
        if any(authority.covers(push) for authority in self.token):
            return "token"
        return None

    def signature(self, delivery: Delivery) -> bytes | None:
        """The signature of the delivery's bytes, if one proves it.

        The delivery is proven by now, so how long this takes tells nothing.
        """
        for authority in self.own:
            for scheme in authority.accepts:
                # The other schemes prove who sent the delivery, but not which bytes.
                if isinstance(scheme, Hmac) and scheme.proves(delivery, authority.keys):
                    return scheme.signature(delivery)
        return None


def standing_of(
    delivery: Delivery, authorities: Sequence[Authority]
) -> Standing | None:
    """What proves the delivery, None if nothing does; raises RemoteError if that is unknown now."""
    by_token = tuple(
        authority for authority in authorities if authority.is_token_in(delivery)
    )
    try:
        by_own = tuple(
            authority for authority in authorities if authority.is_key_of(delivery)
        )
    except RemoteError:
        # A token is enough by itself: while the key server is down, only deliveries that need it must wait.
        if not by_token:
            raise
        by_own = ()
    return Standing(by_own, by_token) if by_own or by_token else None


def authorities_of(
    accepts: tuple[Scheme, ...],
    tokens: AcceptedSecrets,
    keys: AcceptedSecrets,
    limited: Sequence[LimitedSecrets],
) -> tuple[Authority, ...]:
    """Everything that may prove a delivery of one sender: entries of the receivers file, then the settings.

    A secret in the file may report only what the file allows, wherever else it is set. The same is true for
    a proof without a shared secret, such as Google's signature, once the file has an entry for the sender.
    """
    named = set[bytes]()
    for entry in limited:
        named.update(entry.secrets)
    by_file = [_authority_of(entry, accepts) for entry in limited]
    # The tokens that all senders share are not enough for a sender that must prove itself.
    own_proof_only = any(entry.own_proof_only for entry in limited)
    other_tokens = tuple(token for token in tokens if token not in named)
    # Google's signature has no key here that could be in the file, so the scheme itself is left to the file's entries.
    needs_keys = tuple(scheme for scheme in accepts if not isinstance(scheme, Oidc))
    by_settings = Authority(
        tokens=() if own_proof_only else other_tokens,
        keys=tuple(key for key in keys if key not in named),
        accepts=needs_keys if limited else accepts,
    )
    return (*by_file, by_settings)


def _authority_of(entry: LimitedSecrets, accepts: tuple[Scheme, ...]) -> Authority:
    """What the secrets of one entry of the receivers file may do: as tokens, unless the sender must prove itself."""
    return Authority(
        tokens=() if entry.own_proof_only else entry.secrets,
        keys=entry.secrets,
        accepts=accepts,
        images=entry.images,
    )
