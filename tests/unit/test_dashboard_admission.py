"""Who may look at the status page: whoever has a token; without tokens, whoever asks this machine for this machine."""

from __future__ import annotations

import base64

import pytest

from worker.dashboard.admission import is_loopback, may_enter, names_loopback

TOKENS = ("the-first-of-the-tokens", "pässword-number-two")


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {TOKENS[0]}",
        f"bearer  {TOKENS[0]} ",
        basic(f"anybody:{TOKENS[0]}"),
        basic(f":{TOKENS[1]}"),
        f"Bearer {TOKENS[1].encode().decode('latin-1')}",
    ],
)
def test_a_token_opens_in_either_form(header: str) -> None:
    assert may_enter(header, TOKENS)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKENS[0]}x",
        f"Bearer {TOKENS[0][:-1]}",
        f"Digest {TOKENS[0]}",
        TOKENS[0],
        basic(TOKENS[0]),
        basic(f"{TOKENS[0]}:wrong"),
        "Basic not-base64!",
        "Basic \u20ac",
        "Bearer " + "\u20ac" * 5000,
    ],
)
def test_nothing_else_does(header: str | None) -> None:
    assert not may_enter(header, TOKENS)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", ""])
def test_any_other(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["localhost", "localhost:8082", "127.0.0.1:8082", "[::1]:8082", "[::1]"])
def test_a_host_header_that_names_this_machine(host: str) -> None:
    assert names_loopback(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example:8082", "evil.example", "localhost:evil", "localhost:8082:1", "127.0.0.1.evil.example"],
)
def test_a_host_header_of_a_name_that_was_made_to_point_here(host: str | None) -> None:
    assert not names_loopback(host)
