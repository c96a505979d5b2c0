"""Challenges, tokens, and what is remembered of them: tables, and the parser on anything at all."""

import base64
import json
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import RemoteError
from shared.image import ImageReference
from worker.adapters.registry.answers import Answer
from worker.adapters.registry.auth import (
    DEFAULT_LIFE,
    LONGEST_LIFE,
    MARGIN,
    REMEMBERED,
    Authorisation,
    Authorisations,
    Challenge,
    basic,
    challenge_of,
    parse_challenges,
    read_token,
    token_url,
)

SHOP = ImageReference.parse("ghcr.io/acme/shop:v1")
HUB = {"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:a/b:pull"}


@pytest.mark.parametrize(
    ("headers", "challenges"),
    [
        ([], []),
        ([""], []),
        (
            ['Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"'],
            [("bearer", HUB)],
        ),
        (['BEARER Realm = "https://x/t" , SERVICE=x'], [("bearer", {"realm": "https://x/t", "service": "x"})]),
        (['Bearer realm="a,b",scope="r:x:pull,push"'], [("bearer", {"realm": "a,b", "scope": "r:x:pull,push"})]),
        ([r'Basic realm="say \"hello\" \\ there"'], [("basic", {"realm": r'say "hello" \ there'})]),
        (['Basic realm="r", Bearer realm="s"'], [("basic", {"realm": "r"}), ("bearer", {"realm": "s"})]),
        (['Basic realm="r"', "Bearer realm=s"], [("basic", {"realm": "r"}), ("bearer", {"realm": "s"})]),
        (["Negotiate", "Basic"], [("negotiate", {}), ("basic", {})]),
        (['Negotiate YWJj/x==, Bearer realm="s"'], None),
        (['Bearer realm="one",realm="two"'], [("bearer", {"realm": "one"})]),
        (['realm="lost"'], []),
        (['Bearer realm="unfinished'], [("bearer", {"realm": ""})]),
        (['Bearer é, realm="r"'], [("bearer", {"realm": "r"})]),
        (["=,=,;;"], []),
    ],
)
def test_challenges_are_read(headers: list[str], challenges: list[tuple[str, dict[str, str]]] | None) -> None:
    read = [(challenge.scheme, dict(challenge.parameters)) for challenge in parse_challenges(headers)]
    if challenges is None:
        assert ("bearer", {"realm": "s"}) in read
    else:
        assert read == challenges


@given(st.lists(st.text(), max_size=4) | st.lists(st.text(alphabet='Bearealm="\\, \t,=é', max_size=200), max_size=4))
def test_any_header_is_read_without_an_error(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower() != ""


@given(st.dictionaries(st.sampled_from(["realm", "service", "scope"]), st.text(max_size=50)))
def test_a_challenge_that_was_written_is_read(parameters: dict[str, str]) -> None:
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in parameters.values())
    written = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in zip(parameters, quoted, strict=True))
    assert parse_challenges([written]) == (Challenge("bearer", parameters),)


@pytest.mark.parametrize("evil", ['"' * 100_000, 'a="' * 50_000, "a " * 50_000, " " * 100_000 + "=", '\\"' * 50_000])
def test_a_hostile_header_takes_no_time(evil: str) -> None:
    before = time.process_time()
    parse_challenges([evil, f"Bearer {evil}"])
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ('Basic realm="r", Bearer realm="https://s"', "bearer"),
        ('Bearer service="no realm", Basic realm="r"', "basic"),
        ("Basic", "basic"),
        ("Bearer", None),
        ("Negotiate", None),
        ("§$%", None),
    ],
)
def test_the_better_challenge_is_met(header: str, scheme: str | None) -> None:
    given_answer = Answer(httpx.URL("https://x"), 401, httpx.Headers([(b"WWW-Authenticate", header.encode())]), b"")
    if scheme is None:
        with pytest.raises(RemoteError, match="unknown kind of authorisation"):
            challenge_of(given_answer)
    else:
        assert challenge_of(given_answer).scheme == scheme


@pytest.mark.parametrize(
    ("parameters", "local", "url"),
    [
        (HUB, False, "https://auth.docker.io/token?scope=repository%3Aa%2Fb%3Apull&service=registry.docker.io"),
        ({"realm": "https://t/token"}, False, "https://t/token?scope=repository%3Aacme%2Fshop%3Apull"),
        ({"realm": "https://t/?a=b", "scope": "x y"}, False, "https://t/?a=b&scope=x&scope=y"),
        (
            {"realm": "http://127.0.0.1:5001/token"},
            True,
            "http://127.0.0.1:5001/token?scope=repository%3Aacme%2Fshop%3Apull",
        ),
        ({"realm": "http://127.0.0.1:5001/token"}, False, None),
        ({"realm": "http://auth.example.com/token"}, True, None),
        ({"realm": "https://user:word@auth.example.com/token"}, False, None),
        ({"realm": "ftp://auth.example.com/token"}, True, None),
        ({"realm": "file:///etc/passwd"}, True, None),
        ({"realm": "/token"}, True, None),
        ({"realm": "https://"}, False, None),
        ({"realm": "https://[::bad/"}, False, None),
        ({"realm": "https://host:65536/"}, False, None),
        ({"realm": "https://host:99999999/"}, False, None),
        ({"realm": "http:///x"}, True, None),
        ({"realm": "tests"}, False, None),
    ],
)
def test_a_token_is_asked_for_where_it_is_safe(parameters: dict[str, str], local: bool, url: str | None) -> None:
    challenge = Challenge("bearer", parameters)
    registry = httpx.URL("http://localhost:5000/v2/" if local else "https://ghcr.io/v2/")
    if url is None:
        with pytest.raises(RemoteError) as refused:
            token_url(challenge, SHOP, registry)
        assert "word" not in str(refused.value)
    else:
        assert str(token_url(challenge, SHOP, registry)) == url


@pytest.mark.parametrize(
    ("body", "token"),
    [
        ({"token": "t", "expires_in": 300}, ("t", 300)),
        ({"access_token": "t", "expires_in": 30.5}, ("t", 30.5)),
        ({"token": "", "access_token": "u"}, ("u", DEFAULT_LIFE)),
        ({"token": "t", "expires_in": 0}, ("t", DEFAULT_LIFE)),
        ({"token": "t", "expires_in": -5}, ("t", DEFAULT_LIFE)),
        ({"token": "t", "expires_in": "300"}, ("t", DEFAULT_LIFE)),
        ({"token": "t", "expires_in": 10**400}, ("t", LONGEST_LIFE)),
        ({"token": "t", "expires_in": float("nan")}, ("t", DEFAULT_LIFE)),
        ({"token": "t", "expires_in": float("inf")}, ("t", LONGEST_LIFE)),
        ({"token": "two\r\nHeader: x"}, None),
        ({"token": "ü"}, None),
        ({"token": "x" * 20_000}, None),
        ({"token": ["t"]}, None),
        ({"errors": []}, None),
        ([], None),
    ],
)
def test_a_token_is_read(body: object, token: tuple[str, float] | None) -> None:
    if token is None:
        with pytest.raises(RemoteError, match="contains no token"):
            read_token(json.dumps(body).encode())
    else:
        assert read_token(json.dumps(body).encode()) == token


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"<html>", b"[" * 100_000, b'{"token": 1' + b"0" * 10_000 + b"}"]
)
def test_what_is_no_token_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteError, match="contains no token"):
        read_token(body)


def test_a_user_name_and_password_may_hold_anything() -> None:
    assert basic("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    kind, _, encoded = basic("jürgen", "ключ\n").partition(" ")
    assert (kind, base64.b64decode(encoded).decode()) == ("Basic", "jürgen:ключ\n")


def test_a_grant_is_remembered_until_shortly_before_its_end() -> None:
    now = 1000.0
    granted = Authorisations(lambda: now)
    granted.keep("key", Authorisation("Bearer t", anonymous=False), 60)
    assert granted.get("key").header == "Bearer t"
    assert granted.get("another") == Authorisation()
    now += 60 - MARGIN
    assert granted.get("key") == Authorisation()


def test_a_bounded_number_of_grants_is_remembered() -> None:
    granted = Authorisations(lambda: 0.0)
    for key in range(REMEMBERED + 1):
        granted.keep(key, Authorisation(f"Bearer {key}"), 60)
        assert granted.get(1 if key else 0).header
    assert granted.get(0).header is None
    assert granted.get(1).header == "Bearer 1"


def test_a_grant_does_not_show_itself() -> None:
    assert "s3cret" not in repr(Authorisation("Bearer s3cret"))
