"""Every scheme: the right secret of a rotation, wrong and missing ones, and headers that nobody should send."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingress.authentication import BasicPassword, Bearer, FixedHeader, Hmac, Scheme, UrlToken
from ingress.delivery import Delivery
from tests.ingress_harness import OLD_SECRET, SECRET, basic, signed

BODY = b'{"image": "acme/shop:v2"}'
SECRETS = (OLD_SECRET.encode(), SECRET.encode())
SIGNATURE = signed("X-Sig", "sha256", SECRET, "sha256=")(BODY)["X-Sig"].encode()
BASIC = basic("anybody", SECRET)(b"")["Authorization"].encode()


def delivery(*fields: tuple[str, bytes], token: bytes | None = None, body: bytes = BODY) -> Delivery:
    return Delivery.of("generic", fields, body, datetime(2026, 1, 1, tzinfo=UTC), token)


@pytest.mark.parametrize(
    ("scheme", "given"),
    [
        (UrlToken(), delivery(token=SECRET.encode())),
        (UrlToken(), delivery(token=OLD_SECRET.encode())),
        (Bearer(), delivery(("Authorization", b"Bearer " + SECRET.encode()))),
        (Bearer(), delivery(("authorization", b"bearer   " + OLD_SECRET.encode()))),
        (FixedHeader("X-Api-Key"), delivery(("x-api-key", SECRET.encode()))),
        (FixedHeader("Authorization"), delivery(("Authorization", b" " + SECRET.encode() + b" "))),
        (Hmac("X-Sig", "sha256", b"sha256="), delivery(("X-Sig", SIGNATURE))),
        (Hmac("X-Sig", "sha1"), delivery(("X-Sig", signed("X-Sig", "sha1", OLD_SECRET)(BODY)["X-Sig"].encode()))),
        (BasicPassword(), delivery(("Authorization", BASIC))),
        (BasicPassword(), delivery(("Authorization", basic("a", OLD_SECRET)(b"")["Authorization"].encode()))),
    ],
)
def test_a_valid_proof_is_accepted(scheme: Scheme, given: Delivery) -> None:
    assert scheme.proves(given, SECRETS)
    assert not scheme.proves(given, ())
    assert not scheme.proves(given, (b"another-secret",))


@pytest.mark.parametrize(
    ("scheme", "given"),
    [
        (UrlToken(), delivery()),
        (UrlToken(), delivery(token=b"")),
        (UrlToken(), delivery(token="schlüssel".encode())),
        (Bearer(), delivery()),
        (Bearer(), delivery(("Authorization", SECRET.encode()))),
        (Bearer(), delivery(("Authorization", b"Bearer"))),
        (Bearer(), delivery(("Authorization", b"Bearer \xff\xfe"))),
        (Bearer(), delivery(("Authorization", b"Basic " + SECRET.encode()))),
        (Bearer(), delivery(*[("Authorization", b"Bearer " + SECRET.encode())] * 2)),
        (FixedHeader("X-Api-Key"), delivery(("X-Api-Key", b""))),
        (FixedHeader("X-Api-Key"), delivery(("X-Api-Key", b"caf\xe9"))),
        (FixedHeader("X-Api-Key"), delivery(("X-Api-Key", SECRET.upper().encode()))),
        (FixedHeader("X-Api-Key"), delivery(("X-Api-Key", SECRET[:-1].encode()))),
        (Hmac("X-Sig", "sha256", b"sha256="), delivery(("X-Sig", SIGNATURE), body=BODY + b" ")),
        (Hmac("X-Sig", "sha256", b"sha256="), delivery(("X-Sig", SIGNATURE.removeprefix(b"sha256=")))),
        (Hmac("X-Sig", "sha256", b"sha256="), delivery(("X-Sig", b"sha256="))),
        (Hmac("X-Sig", "sha256", b"sha256="), delivery(("X-Sig", b"sha256=\xe9\xe9"))),
        (Hmac("X-Sig", "sha256", b"sha256="), delivery(("X-Sig", SIGNATURE), ("X-Sig", SIGNATURE))),
        (Hmac("X-Sig", "sha256", b"sha256="), delivery(("X-Sig", SECRET.encode()))),
        (BasicPassword(), delivery()),
        (BasicPassword(), delivery(("Authorization", b"Basic"))),
        (BasicPassword(), delivery(("Authorization", b"Basic %%%"))),
        (BasicPassword(), delivery(("Authorization", b"Basic \xff"))),
        (BasicPassword(), delivery(("Authorization", b"Basic bm9jb2xvbg=="))),
        (BasicPassword(), delivery(("Authorization", basic(SECRET, "")(b"")["Authorization"].encode()))),
    ],
)
def test_any_other_proof_is_refused(scheme: Scheme, given: Delivery) -> None:
    assert not scheme.proves(given, SECRETS)


def test_an_empty_secret_lets_nobody_in() -> None:
    assert not UrlToken().proves(delivery(token=b""), (b"",))
    assert not FixedHeader("X-Api-Key").proves(delivery(("X-Api-Key", b"")), (b"",))


def test_non_ascii_secrets_work() -> None:
    secret = "schlüssel-für-die-tür".encode()
    assert UrlToken().proves(delivery(token=secret), (secret,))
    assert FixedHeader("X-Api-Key").proves(delivery(("X-Api-Key", secret)), (secret,))


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        (SIGNATURE, True),
        (b"sha256=" + b"0" * 64, True),  # the body may yet make it right
        (b"sha256=" + b"0" * 63, False),
        (b"", False),
        (None, False),
    ],
)
def test_a_head_without_a_signature_can_prove_nothing(signature: bytes | None, expected: bool) -> None:
    scheme = Hmac("X-Sig", "sha256", b"sha256=")
    head = delivery(*([("X-Sig", signature)] if signature is not None else []), body=b"")
    assert scheme.may_prove(head, SECRETS) is expected
    assert not scheme.may_prove(head, ())


def test_where_no_body_is_needed_the_head_decides() -> None:
    assert UrlToken().may_prove(delivery(token=SECRET.encode()), SECRETS)
    assert not Bearer().may_prove(delivery(("Authorization", b"Bearer wrong")), SECRETS)
    assert not FixedHeader("X-Api-Key").may_prove(delivery(("X-Api-Key", b"wrong")), SECRETS)
    assert BasicPassword().may_prove(delivery(("Authorization", BASIC)), SECRETS)
