"""How a delivery proves its origin: pure checks on bytes, in constant time, that never raise on any input.

A scheme is a frozen value with one question, `proves(delivery, secrets)`. Every secret of a rotation is compared, and
every scheme of a kind is asked, so the time taken does not show which of them nearly matched. A header that is
missing, repeated or unreadable proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import jwt

from ingress.delivery import Delivery

AcceptedSecrets = Sequence[bytes]

_BAD_TOKEN = (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError)

_CLOCK_LEEWAY = 60
"""Seconds by which the clock of a token's issuer may differ from ours."""


class Scheme(Protocol):
    """One way of authentication. `label` says in a few words where the secret belongs."""

    @property
    def label(self) -> str: ...

    def may_prove(self, head: Delivery, secrets: AcceptedSecrets) -> bool:
        """Whether the head may prove the delivery. If not, its body is not read. Needs no other server."""

    def proves(self, delivery: Delivery, secrets: AcceptedSecrets) -> bool:
        """Whether the delivery is proven."""


@dataclass(frozen=True, slots=True)
class UrlToken:
    """The secret is the last part of the URL's path, for senders in which only a URL can be configured."""

    label: str = "the token in the URL"

    def proves(self, delivery: Delivery, secrets: AcceptedSecrets) -> bool:
        return _is_one_of(delivery.url_token, secrets)

    may_prove = proves


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer <secret>` (RFC 6750 §2.1)."""

    label: str = "Authorization: Bearer"

    def proves(self, delivery: Delivery, secrets: AcceptedSecrets) -> bool:
        return _is_one_of(_credentials(delivery, b"bearer"), secrets)

    may_prove = proves


@dataclass(frozen=True, slots=True)
class FixedHeader:
    """The header's whole value is the secret."""

    name: str

    @property
    def label(self) -> str:
        return self.name

    def proves(self, delivery: Delivery, secrets: AcceptedSecrets) -> bool:
        return _is_one_of(delivery.header(self.name), secrets)

    may_prove = proves


@dataclass(frozen=True, slots=True)
class Hmac:
    """The header is `prefix` and the hexadecimal HMAC of the raw body, keyed with the secret (RFC 2104)."""

    header: str
    algorithm: Literal["sha1", "sha256"]
    prefix: bytes = b""

    @property
    def label(self) -> str:
        return f"the HMAC in {self.header}"

    def signature(self, head: Delivery) -> bytes | None:
        """The signature in the head, None if there is none."""
        return head.header(self.header)

    def may_prove(self, head: Delivery, secrets: AcceptedSecrets) -> bool:
        """Whether there is a signature of the right length, and a key that could have made it."""
        # Only then is the body read: a stranger who leaves the header out can't have the ingress take a megabyte.
        length = len(self.prefix) + 2 * hashlib.new(self.algorithm).digest_size
        return bool(secrets) and len(self.signature(head) or b"") == length

    def proves(self, delivery: Delivery, secrets: AcceptedSecrets) -> bool:
        # Over the bytes as they came: JSON that was parsed and written again has other spaces and other escapes.
        digest = getattr(hashlib, self.algorithm)
        signatures = [hmac.new(secret, delivery.body, digest) for secret in secrets]
        expected = [
            self.prefix + signature.hexdigest().encode("ascii")
            for signature in signatures
        ]
        return _is_one_of(self.signature(delivery), expected)


@dataclass(frozen=True, slots=True)
class BasicPassword:
    """`Authorization: Basic`, any user name with the secret as its password (RFC 7617)."""

    label: str = "the password of Authorization: Basic"

    def proves(self, delivery: Delivery, secrets: AcceptedSecrets) -> bool:
        encoded = _credentials(delivery, b"basic") or b""
        try:
            # Without `validate` characters outside the alphabet would be skipped: one password, many spellings.
            pair = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return False
        # At the first colon: a user name can't contain one, a password can (RFC 7617 §2).
        _, colon, password = pair.partition(b":")
        return _is_one_of(password if colon else None, secrets)

    may_prove = proves


@dataclass(frozen=True, slots=True)
class Oidc:
    """An OpenID Connect token as bearer: signature, issuer, audience, lifetime, and whose verified e-mail it carries.

    The e-mail is what tells the one service account from everybody else whom the same issuer gives tokens to.
    `find_key` gives the issuer's public key of a key id, None if there is none; it raises RemoteError if that cannot be
    found out. Without audiences or e-mails nothing is accepted.
    """

    issuers: Sequence[str]
    audiences: Sequence[str]
    emails: Sequence[str]
    find_key: Callable[[str], jwt.PyJWK | None] = field(repr=False)
    label: str = "a signed OpenID Connect token"

    def may_prove(self, head: Delivery, secrets: AcceptedSecrets) -> bool:  # noqa: ARG002 - its secret is the issuer's
        """Whether it claims to be for us. No key is fetched for a token that is meant for somebody else."""
        token = _credentials(head, b"bearer")
        if token is None or not self.audiences or not self.emails:
            return False
        try:
            return self._is_ours(jwt.decode(token, options={"verify_signature": False}))
        except _BAD_TOKEN:
            return False

    def proves(self, delivery: Delivery, secrets: AcceptedSecrets) -> bool:
        token = _credentials(delivery, b"bearer")
        if token is None or not self.may_prove(delivery, secrets):
            return False
        try:
            key = self.find_key(str(jwt.get_unverified_header(token).get("kid", "")))
            return key is not None and self._is_ours(self._verified(token, key))
        except _BAD_TOKEN:
            return False

    def _verified(self, token: bytes, key: jwt.PyJWK) -> dict[str, Any]:
        # The algorithms are a list of ours: the token's own `alg` could name `none` (RFC 8725 §3.1).
        return jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=self.audiences,
            issuer=self.issuers,
            leeway=_CLOCK_LEEWAY,
            options={"require": ["exp", "iat", "iss", "aud"]},
        )

    def _is_ours(self, claims: dict[str, Any]) -> bool:
        audience = claims.get("aud")  # a text or a list of texts: RFC 7519 §4.1.3
        audiences = audience if isinstance(audience, list) else [audience]
        is_for_us = any(name in self.audiences for name in audiences)
        # The issuer signs for every Google account; only the verified e-mail says that it is the expected one
        # (docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions).
        is_of_ours = (
            claims.get("email") in self.emails and claims.get("email_verified") is True
        )
        return claims.get("iss") in self.issuers and is_for_us and is_of_ours


def _credentials(delivery: Delivery, scheme: bytes) -> bytes | None:
    header = delivery.header("Authorization")
    if header is None:
        return None
    # A scheme's name is case-insensitive (RFC 9110 §11.1): some senders write `bearer`.
    name, _, credentials = header.partition(b" ")
    return credentials.strip() if name.lower() == scheme else None


def _is_one_of(given: bytes | None, secrets: AcceptedSecrets) -> bool:
    # A list, not a generator: any() must not stop at the first match, or its time would show which secret matched.
    matches = [hmac.compare_digest(given or b"", secret) for secret in secrets]
    # An empty secret, if one ever got past the settings, must not let in whoever gives none.
    return bool(given) and any(matches)
