"""Masking: a secret is hidden however an outside system spells it, and wherever it cuts it."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
from typing import SupportsIndex
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.masking import MASK, Masks, spellings, without_credentials

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n"
QUOTED = 'pä"ss\\wörd & more'
PFX = bytes(range(128, 200))
CONNECTION = "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=c2VjcmV0LWtleS1vZi1hY21l;EndpointSuffix=x"


def shown(secret: str | bytes, said: str) -> str:
    return Masks([secret])(f"Azure says: {said}.")


@pytest.mark.parametrize("secret", [PEM, QUOTED, "hunter2-hunter2"])
@pytest.mark.parametrize(
    "spelt",
    [
        str,
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: json.dumps(json.dumps(secret)),
        repr,
        lambda secret: quote(secret, safe=""),
        html.escape,
        lambda secret: base64.b64encode(secret.encode()).decode(),
    ],
    ids=["plain", "json", "json-utf8", "json-twice", "python", "url", "html", "base64"],
)
def test_a_secret_is_masked_in_every_spelling(secret: str, spelt: object) -> None:
    said = shown(secret, spelt(secret))  # type: ignore[operator]
    assert MASK in said
    rest = said.removeprefix("Azure says: ")
    assert len(rest) <= len(MASK) + 8, rest


KEY = "Eby8vdM02xNOcqFl/qUwJPLlmEtlCDX+1OUzFT50uSRZ6IFsuF+q2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SAS = "https://acme.blob.core.windows.net/c?sv=2024-01-01&sr=c&sig=abc%2Bdef%2Fghi%2Bjkl%2Fmno%3D&se=2030-01-01"


def as_dot_net(text: str) -> str:
    """System.Text.Json: learn.microsoft.com/dotnet/standard/serialization/system-text-json/character-encoding."""
    escaped = re.sub("[+&<>'`\"]", lambda found: f"\\u{ord(found[0]):04X}", text.replace("\\", "\\\\"))
    return json.dumps(escaped)[1:-1].replace("\\\\", "\\")


def as_go(text: str) -> str:
    """encoding/json: pkg.go.dev/encoding/json#HTMLEscape."""
    return re.sub("[&<>]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False)[1:-1])


@pytest.mark.parametrize("secret", [PEM, QUOTED, KEY, SAS])
@pytest.mark.parametrize(
    "spelt",
    [
        as_dot_net,
        as_go,
        lambda secret: json.dumps(as_dot_net(secret)),
        lambda secret: json.dumps(secret).replace("/", "\\/"),
        lambda secret: re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        quote,
        lambda secret: quote(as_go(secret), safe=""),
        lambda secret: html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    ],
    ids=["net", "go", "net-in-json", "php", "url-lower", "url-path", "go-in-url", "html-decimal"],
)
def test_however_an_encoder_escapes_it(secret: str, spelt: object) -> None:
    said = shown(secret, spelt(secret))  # type: ignore[operator]
    rest = said.removeprefix("Azure says: ")
    assert MASK in rest
    assert len(rest) <= len(MASK) + 8, rest


@pytest.mark.parametrize(
    ("secret", "said", "hidden"),
    [
        ("a-password-of-24-letters", "a-password-o […]", "*** […]"),
        ("a-password-of-24-letters", "… of-24-letters", "… ***"),
        ("a-password-of-24-letters", "a-password-ofX", "***X"),
        ("a-password-of-24-letters", "a-passwo", "a-passwo"),
        ("hunter2x", "hunter", "***"),
        ("hunter2", "hunte", "hunte"),
        ("hunter2", "hunter", "hunter"),
        ("a-password-of-17x", "a-passwo", "***"),
        ("a-password-of-17x", "a-passw", "a-passw"),
        ("a-password-of-24-letters", "f-24-letters", "***"),
        ("a-password-of-24-letters", "-24-letters", "-24-letters"),
        ("a-password-of-24-letters", "all letters", "all letters"),
        ("hunter2", "hunter2", "***"),
        ("hun", "hun", "hun"),
        (PEM, "MIIEvQIBADANBgkqhk", "***"),
        (PEM, "key BKcwggSjAgEAAoIBAQC7", "key ***"),
        (PFX, f"content {base64.b64encode(PFX).decode()[:40]}", "content ***"),
        (CONNECTION, "key c2VjcmV0LWtleS1vZi1hY21l", "key ***"),
        (CONNECTION, "account acme", "account acme"),
        ('{"kubeConfig": {"users": [{"token": "t0ken-of-ann"}], "n": 1}}', "token t0ken-of-ann", "token ***"),
        ('{"kubeConfig": ', '{"kubeConfig": 7', "***7"),
    ],
)
def test_a_secret_is_masked_where_it_is_cut_off_or_only_partly_there(
    secret: str | bytes, said: str, hidden: str
) -> None:
    assert Masks([secret])(said) == hidden


@pytest.mark.parametrize(
    ("secret", "known"),
    [
        ("abc", set()),
        ("abcd", {"abcd", "YWJjZA=="}),
        (
            "ä\"\\ /&'b?>",
            {
                "ä\"\\ /&'b?>",
                "\\u00e4\\\"\\\\ /&'b?>",
                "ä\\\"\\\\ /&'b?>",
                "\\\\u00e4\\\\\\\"\\\\\\\\ /&'b?>",
                "ä\"\\\\ /&\\'b?>",
                "%C3%A4%22%5C%20%2F%26%27b%3F%3E",
                "%C3%A4%22%5C+%2F%26%27b%3F%3E",
                "ä\"\\+/&'b?>",
                "ä&quot;\\ /&amp;&#x27;b?&gt;",
                "w6QiXCAvJidiPz4=",
            },
        ),
    ],
)
def test_every_spelling_of_a_secret_and_no_other_one(secret: str, known: set[str]) -> None:
    assert set(spellings(secret)) == known


@pytest.mark.parametrize(
    ("secret", "parts"),
    [
        ("\n short \nexactly8\nseven77\n", {"exactly8"}),
        ('[["first-value"], "second-value"]', {"first-value", "second-value"}),
        (' {"one": "first-value", "more": ["second-value", 7]}', {"first-value", "second-value"}),
        ("\ud800-a-lone-surrogate", {"7aCALWEtbG9uZS1zdXJyb2dhdGU="}),
        # Half a pair that a value of JSON spells by its number.
        (r'{"one": "\ud800 of/two"}', {"%3F%20of%2Ftwo", "%3F+of%2Ftwo"}),
    ],
    ids=["lines", "a list", "an object", "no text", "no text within JSON"],
)
def test_what_of_a_secret_may_be_quoted_alone(secret: str, parts: set[str]) -> None:
    found = set(spellings(secret))
    assert parts <= found
    assert not found & {"short", "seven77"}


def test_a_secret_within_the_rest_of_another_one_does_not_part_it() -> None:
    masks = Masks(["a-password-of-24-letters", "of-24-l"])
    assert masks("… password-of-24-letters") == "… ***"


def test_the_end_of_a_secret_may_be_the_beginning_of_a_text() -> None:
    assert Masks(["a-password-of-24-letters"])("of-24-letters, says Azure") == "***, says Azure"


def test_several_secrets_beside_each_other() -> None:
    masks = Masks(["first-secret", "second-secret", "first-secret-of-two"])
    assert masks("first-secretsecond-secret, first-secret-of-two; none") == "***, ***; none"


def test_nothing_is_hidden_where_nothing_is_known() -> None:
    assert Masks()("as it was") == "as it was"


@given(st.text(min_size=8, max_size=80), st.text(max_size=40), st.text(max_size=40))
def test_no_secret_of_eight_characters_is_ever_shown(secret: str, before: str, after: str) -> None:
    hidden = Masks([secret])(f"{before}{secret}{after}")
    assert secret not in hidden or secret in f"{before}{MASK}{after}"


class Counted(str):
    """A text that counts the characters that are read of it, in slices as well."""

    __slots__ = ("read",)
    read: list[int]

    def __new__(cls, text: str, read: list[int]) -> Counted:
        self = super().__new__(cls, text)
        self.read = read
        return self

    def __getitem__(self, place: SupportsIndex | slice) -> str:
        found = super().__getitem__(place)
        self.read[0] += len(found)
        return Counted(found, self.read) if len(found) > 1 else found


@pytest.mark.parametrize("repeated", ["a", "ab", "=", "-----BEGIN", '\\"', "a:", "://", "AAAA\n"])
def test_a_text_that_goes_on_like_a_long_secret_everywhere_costs_no_more_than_it_is_long(repeated: str) -> None:
    def characters_read(length: int) -> int:
        many, read = repeated * length, [0]
        # Of this length, and a character that the text has not: it is never whole, but goes on like it everywhere.
        Masks([f"{many[: length // 2]}x", f"x{many[: length // 2]}"])(Counted(many[:length], read))
        return read[0]

    assert characters_read(4000) <= 2.1 * characters_read(2000)


def known(secret: str, text: str) -> set[int]:
    """The characters of the text that are hidden, found by comparing at every place."""
    hidden = set[int]()
    for spelling in spellings(secret):
        least = len(spelling) if len(spelling) < 8 else min(12, max(6, len(spelling) // 2))
        for size in range(least, len(spelling) + 1):
            for part in (spelling[:size], spelling[-size:]):
                for place in range(len(text) - size + 1):
                    if text.startswith(part, place):
                        hidden |= set(range(place, place + size))
    return hidden


ALIKE = st.text("ab", min_size=4, max_size=24)


@given(ALIKE, st.lists(st.tuples(ALIKE, st.integers(0, 24)), max_size=5))
def test_what_repeats_itself_is_found_as_if_compared_at_every_place(secret: str, pieces: list[tuple[str, int]]) -> None:
    text = "".join(secret[:size] + piece + secret[-size:] for piece, size in pieces)
    hidden = known(secret, text)
    shown = "".join("\0" if place in hidden else letter for place, letter in enumerate(text))
    assert Masks([secret])(text) == re.sub("\0+", MASK, shown)


def test_secrets_that_repeat_themselves_in_every_way_are_found_where_they_overlap() -> None:
    for secret in map("".join, itertools.product("ab", repeat=8)):
        texts = (secret[:-1] + secret, secret + secret[1:], secret[:6] + secret[:7] + secret[-6:])
        masks = Masks([secret])
        for text in texts:
            hidden = known(secret, text)
            told = "".join("\0" if place in hidden else letter for place, letter in enumerate(text))
            assert masks(text) == re.sub("\0+", MASK, told)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("postgres://app:p@ss:w@db:5432/shop", "postgres://app:***@db:5432/shop"),
        ("redis://:s3cret@cache", "redis://:***@cache"),
        ("https://registry.example.com:8443/v2/", "https://registry.example.com:8443/v2/"),
        ("authorization: Bearer abcdefghijklmnop.qr-st", "authorization: Bearer ***"),
        ("'Basic dXNlcjpwYXNzd29yZA=='", "'Basic ***'"),
        ("basic authentication failed", "basic authentication failed"),
        ("AccountName=a;AccountKey=c2VjcmV0==;End=x", "AccountName=a;AccountKey=***;End=x"),
        ("Server=db;Password=hunter2 failed", "Server=db;Password=*** failed"),
        ("/shop?sp=r&sig=ab%2Bc%3D&se=1", "/shop?sp=r&sig=***&se=1"),
        ("user: ann@example.com", "user: ann@example.com"),
    ],
)
def test_what_is_plainly_a_credential_is_hidden_although_nobody_named_it(said: str, shown: str) -> None:
    assert without_credentials(said) == shown


@pytest.mark.parametrize(("layers", "hidden"), [(1, True), (3, True), (9, False)])
def test_only_so_many_layers_of_escapes_are_looked_behind(layers: int, hidden: bool) -> None:
    said = "/".join(KEY[:20])
    secret = said
    for _ in range(layers):
        said = quote(said, safe="")
    assert (Masks([secret])(said) == MASK) is hidden
