"""Every scheme: the right secret of a rotation, wrong and missing ones, and headers that nobody should send."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime

import pytest

from ingress.authentication import BasicPassword, Bearer, FixedHeader, Hmac, Scheme, UrlToken, is_authentic
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
def test_proves(scheme: Scheme, given: Delivery) -> None:
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
def test_proves_nothing(scheme: Scheme, given: Delivery) -> None:
    assert not scheme.proves(given, SECRETS)


def test_an_empty_secret_lets_nobody_in() -> None:
    assert not UrlToken().proves(delivery(token=b""), (b"",))
    assert not FixedHeader("X-Api-Key").proves(delivery(("X-Api-Key", b"")), (b"",))


def test_non_ascii_secrets_work() -> None:
    secret = "schlüssel-für-die-tür".encode()
    assert UrlToken().proves(delivery(token=secret), (secret,))
    assert FixedHeader("X-Api-Key").proves(delivery(("X-Api-Key", secret)), (secret,))


def test_tokens_are_for_the_url_and_bearer_alone() -> None:
    accepts = (FixedHeader("X-Api-Key"),)

    def accepted(given: Delivery) -> bool:
        return is_authentic(given, tokens=(b"common",), secrets=(b"own",), accepts=accepts)

    assert accepted(delivery(token=b"common"))
    assert accepted(delivery(("Authorization", b"Bearer common")))
    assert accepted(delivery(("X-Api-Key", b"own")))
    assert not accepted(delivery(token=b"own"))
    assert not accepted(delivery(("Authorization", b"Bearer own")))
    assert not accepted(delivery(("X-Api-Key", b"common")))


@pytest.mark.parametrize(
    ("right", "compared"),
    [
        ({b"1"}, [b"1", b"2", b"1", b"2"]),
        ({b"3"}, [b"1", b"2", b"1", b"2", b"3", b"4", b"3", b"4"]),
        ((), [b"1", b"2", b"1", b"2", b"3", b"4", b"3", b"4"]),
    ],
)
def test_every_scheme_of_a_kind_is_asked_and_every_secret_compared(
    monkeypatch: pytest.MonkeyPatch, right: Container[bytes], compared: list[bytes]
) -> None:
    seen: list[bytes] = []

    def compare(_given: bytes, secret: bytes) -> bool:
        seen.append(secret)
        return secret in right

    monkeypatch.setattr("ingress.authentication.hmac.compare_digest", compare)
    given = delivery(("X-Api-Key", b"x"), token=b"x")
    accepts = (FixedHeader("X-Api-Key"), BasicPassword())
    assert is_authentic(given, tokens=(b"1", b"2"), secrets=(b"3", b"4"), accepts=accepts) is bool(right)
    assert seen == compared
